// Formatted output, unbuffered (one write(2) a call), and input by lines.

#include "libc.h"

struct output {
  char *bytes;
  size_t size, length;
};

static void put(struct output *output, char c) {
  if (output->length < output->size) output->bytes[output->length] = c;
  output->length++;
}

static void put_padded(struct output *output, const char *text, u64 length, u64 width, bool left, char fill) {
  for (u64 i = length; !left && i < width; i++) put(output, fill);
  for (u64 i = 0; i < length; i++) put(output, text[i]);
  for (u64 i = length; left && i < width; i++) put(output, ' ');
}

static void put_number(struct output *output, u64 value, u32 base, bool negative, u64 width, bool left, char fill) {
  char digits[24];
  u64 at = sizeof(digits);
  do {
    digits[--at] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0);
  if (negative) digits[--at] = '-';
  put_padded(output, digits + at, sizeof(digits) - at, width, left, fill);
}

static void format_to(struct output *output, const char *format, __builtin_va_list arguments) {
  for (; *format != 0; format++) {
    if (*format != '%') {
      put(output, *format);
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
      put_number(output, value < 0 ? -(u64)value : (u64)value, 10, value < 0, width, left, fill);
      break;
    }
    case 'u':
    case 'x': {
      u64 value = is_long ? __builtin_va_arg(arguments, u64) : __builtin_va_arg(arguments, u32);
      put_number(output, value, *format == 'u' ? 10 : 16, false, width, left, fill);
      break;
    }
    case 'p': put_number(output, (u64)__builtin_va_arg(arguments, void *), 16, false, width, left, fill); break;
    case 's': {
      const char *text = __builtin_va_arg(arguments, const char *);
      put_padded(output, text, strlen(text), width, left, ' ');
      break;
    }
    case 'c': put(output, (char)__builtin_va_arg(arguments, int)); break;
    case 0: return;
    default: put(output, *format);
    }
  }
}

static void vfprintf(int fd, const char *format, __builtin_va_list arguments) {
  char bytes[512];
  struct output output = {.bytes = bytes, .size = sizeof(bytes)};
  format_to(&output, format, arguments);
  write(fd, bytes, MIN(output.length, output.size));
}

#define WITH_ARGUMENTS(statement)                                                                                      \
  do {                                                                                                                 \
    __builtin_va_list arguments;                                                                                       \
    __builtin_va_start(arguments, format);                                                                             \
    statement;                                                                                                         \
    __builtin_va_end(arguments);                                                                                       \
  } while (0)

void printf(const char *format, ...) { WITH_ARGUMENTS(vfprintf(1, format, arguments)); }
void fprintf(int fd, const char *format, ...) { WITH_ARGUMENTS(vfprintf(fd, format, arguments)); }

int snprintf(char *to, size_t size, const char *format, ...) {
  struct output output = {.bytes = to, .size = size > 0 ? size - 1 : 0};
  WITH_ARGUMENTS(format_to(&output, format, arguments));
  if (size > 0) to[MIN(output.length, output.size)] = 0;
  return (int)output.length;
}

void fail(const char *format, ...) {
  WITH_ARGUMENTS(vfprintf(2, format, arguments));
  exit(1);
}

// The next line without its newline, cut off at size - 1 characters; its length, or -1 at the end of the input.
long read_line(struct reader *reader, char *line, size_t size) {
  size_t length = 0;
  for (;;) {
    if (reader->at == reader->filled) {
      long got = read(reader->fd, reader->bytes, sizeof(reader->bytes));
      reader->at = 0;
      reader->filled = got > 0 ? (u32)got : 0;
      if (got <= 0) {
        line[length] = 0;
        return length > 0 ? (long)length : -1;
      }
    }
    char c = reader->bytes[reader->at++];
    if (c == '\n') {
      line[length] = 0;
      return (long)length;
    }
    if (length < size - 1) line[length++] = c;
  }
}
