// seq LAST | seq FIRST LAST: counts.

#include "libc.h"

int main(int argc, char **argv) {
  if (argc < 2) fail("usage: seq [FIRST] LAST\n");
  u64 first = argc > 2 ? parse_number(argv[1]) : 1;
  u64 last = parse_number(argv[argc - 1]);
  for (u64 i = first; i <= last; i++) printf("%lu\n", i);
  return 0;
}
