// grep [-c] [-v] TEXT [FILE...]: the lines that contain the text.

#include "libc.h"

static bool only_count, inverted;

static u64 search(int fd, const char *text) {
  struct reader reader = {.fd = fd};
  char line[512];
  u64 found = 0;
  while (read_line(&reader, line, sizeof(line)) >= 0) {
    if ((strstr(line, text) != NULL) == inverted) continue;
    found++;
    if (!only_count) printf("%s\n", line);
  }
  if (only_count) printf("%lu\n", found);
  return found;
}

int main(int argc, char **argv) {
  int at = 1;
  for (; at < argc && argv[at][0] == '-'; at++) {
    if (strcmp(argv[at], "-c") == 0) only_count = true;
    if (strcmp(argv[at], "-v") == 0) inverted = true;
  }
  if (at == argc) fail("usage: grep [-c] [-v] TEXT [FILE...]\n");
  const char *text = argv[at++];
  u64 found = 0;
  if (at == argc) found = search(0, text);
  for (; at < argc; at++) {
    int fd = open(argv[at], O_RDONLY);
    if (fd < 0) fail("grep: %s: %s\n", argv[at], error_name(fd));
    found += search(fd, text);
    close(fd);
  }
  return found > 0 ? 0 : 1;
}
