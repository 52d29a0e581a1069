// printf's little brother: %d %u %x with an optional l, %s %c %p %%, a width, '-' and '0'.
// The user programs' library has its own; this one is for the console's messages and the files under /proc.

#include "defs.h"

static void put(struct text_buffer *buffer, char c) {
  u64 at = buffer->length++ - buffer->skip; // huge before skip
  if (at < buffer->size) buffer->bytes[at] = c;
}

// How many bytes there are in the buffer.
u64 text_stored(const struct text_buffer *buffer) {
  if (buffer->length <= buffer->skip) return 0;
  return MIN(buffer->length - buffer->skip, buffer->size);
}

static void put_padded(struct text_buffer *buffer, const char *text, u64 length, u64 width, bool left, char fill) {
  for (u64 i = length; !left && i < width; i++) put(buffer, fill);
  for (u64 i = 0; i < length; i++) put(buffer, text[i]);
  for (u64 i = length; left && i < width; i++) put(buffer, ' ');
}

static void put_number(struct text_buffer *buffer, u64 value, u32 base, bool negative, u64 width, bool left,
                       char fill) {
  char digits[24];
  u64 at = sizeof(digits);
  do {
    digits[--at] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0);
  if (negative) digits[--at] = '-';
  put_padded(buffer, digits + at, sizeof(digits) - at, width, left, fill);
}

void text_vprintf(struct text_buffer *buffer, const char *format, __builtin_va_list arguments) {
  for (; *format != 0; format++) {
    if (*format != '%') {
      put(buffer, *format);
      continue;
    }
    format++;
    bool left = false, is_long = false;
    char fill = ' ';
    u64 width = 0;
    if (*format == '-') left = true, format++;
    if (*format == '0') fill = '0', format++;
    for (; *format >= '0' && *format <= '9'; format++) width = width * 10 + (u64)(*format - '0');
    if (*format == 'l') is_long = true, format++;
    switch (*format) {
    case 'd': {
      i64 value = is_long ? __builtin_va_arg(arguments, i64) : __builtin_va_arg(arguments, i32);
      put_number(buffer, value < 0 ? -(u64)value : (u64)value, 10, value < 0, width, left, fill);
      break;
    }
    case 'u':
    case 'x': {
      u64 value = is_long ? __builtin_va_arg(arguments, u64) : __builtin_va_arg(arguments, u32);
      put_number(buffer, value, *format == 'u' ? 10 : 16, false, width, left, fill);
      break;
    }
    case 'p': put_number(buffer, (u64)__builtin_va_arg(arguments, void *), 16, false, 16, false, '0'); break;
    case 's': {
      const char *text = __builtin_va_arg(arguments, const char *);
      put_padded(buffer, text, strlen(text), width, left, ' ');
      break;
    }
    case 'c': put(buffer, (char)__builtin_va_arg(arguments, int)); break;
    case 0: return;
    default: put(buffer, *format);
    }
  }
}

void text_printf(struct text_buffer *buffer, const char *format, ...) {
  __builtin_va_list arguments;
  __builtin_va_start(arguments, format);
  text_vprintf(buffer, format, arguments);
  __builtin_va_end(arguments);
}
