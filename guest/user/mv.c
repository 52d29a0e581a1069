// mv FROM TO: renames a file or a directory.

#include "libc.h"

int main(int argc, char **argv) {
  if (argc != 3) fail("usage: mv FROM TO\n");
  long error = syscall(SYS_renameat2, AT_FDCWD, argv[1], AT_FDCWD, argv[2], 0);
  if (error < 0) fail("mv: %s: %s\n", argv[1], error_name(error));
  return 0;
}
