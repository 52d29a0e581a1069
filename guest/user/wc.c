// wc [FILE...]: lines, words and bytes of files, or of its input.

#include "libc.h"

static void count(int fd, const char *name) {
  char bytes[1024];
  u64 lines = 0, words = 0, total = 0;
  bool in_word = false;
  for (;;) {
    long size = read(fd, bytes, sizeof(bytes));
    if (size <= 0) break;
    total += (u64)size;
    for (long i = 0; i < size; i++) {
      bool space = bytes[i] == ' ' || bytes[i] == '\n' || bytes[i] == '\t';
      if (bytes[i] == '\n') lines++;
      if (!space && !in_word) words++;
      in_word = !space;
    }
  }
  printf("%lu %lu %lu %s\n", lines, words, total, name);
}

int main(int argc, char **argv) {
  if (argc == 1) count(0, "-");
  for (int i = 1; i < argc; i++) {
    int fd = open(argv[i], O_RDONLY);
    if (fd < 0) fail("wc: %s: %s\n", argv[i], error_name(fd));
    count(fd, argv[i]);
    close(fd);
  }
  return 0;
}
