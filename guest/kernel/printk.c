// The kernel's messages, on the console, one whole message at a time.

#include "defs.h"

void printk(const char *format, ...) {
  char line[256];
  struct text_buffer buffer = {.bytes = line, .size = sizeof(line)};
  __builtin_va_list arguments;
  __builtin_va_start(arguments, format);
  text_vprintf(&buffer, format, arguments);
  __builtin_va_end(arguments);
  uart_write(line, text_stored(&buffer));
}
