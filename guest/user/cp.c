// cp FROM TO: copies a file.

#include "libc.h"

int main(int argc, char **argv) {
  if (argc != 3) fail("usage: cp FROM TO\n");
  int from = open(argv[1], O_RDONLY);
  if (from < 0) fail("cp: %s: %s\n", argv[1], error_name(from));
  int to = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC);
  if (to < 0) fail("cp: %s: %s\n", argv[2], error_name(to));
  char bytes[2048];
  for (;;) {
    long size = read(from, bytes, sizeof(bytes));
    if (size < 0) fail("cp: %s: %s\n", argv[1], error_name(size));
    if (size == 0) return 0;
    long written = write(to, bytes, (size_t)size);
    if (written != size) fail("cp: %s: %s\n", argv[2], error_name(written));
  }
}
