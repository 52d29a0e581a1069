// head [-n LINES] [FILE]: the first lines (10) of a file, or of its input.

#include "libc.h"

int main(int argc, char **argv) {
  u64 lines = 10;
  int at = 1;
  if (argc > 2 && strcmp(argv[1], "-n") == 0) lines = parse_number(argv[2]), at = 3;
  struct reader reader = {.fd = at < argc ? open(argv[at], O_RDONLY) : 0};
  if (reader.fd < 0) fail("head: %s: %s\n", argv[at], error_name(reader.fd));
  char line[512];
  while (lines-- > 0 && read_line(&reader, line, sizeof(line)) >= 0) printf("%s\n", line);
  return 0;
}
