// panic: makes the kernel panic.

#include "libc.h"

int main(int argc, char **argv) {
  (void)argc, (void)argv;
  syscall(SYS_panic);
  return 1;
}
