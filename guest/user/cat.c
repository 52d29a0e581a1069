// cat [FILE...]: copies files, or its input, to its output.

#include "libc.h"

static void copy(int fd) {
  char bytes[1024];
  for (;;) {
    long size = read(fd, bytes, sizeof(bytes));
    if (size < 0) fail("cat: %s\n", error_name(size));
    if (size == 0) return;
    write(1, bytes, (size_t)size);
  }
}

int main(int argc, char **argv) {
  if (argc == 1) copy(0);
  for (int i = 1; i < argc; i++) {
    int fd = open(argv[i], O_RDONLY);
    if (fd < 0) fail("cat: %s: %s\n", argv[i], error_name(fd));
    copy(fd);
    close(fd);
  }
  return 0;
}
