// forms [SEED]: runs the kernel's probe_target_all_forms and prints its hash.

#include "libc.h"

int main(int argc, char **argv) {
  u64 seed = argc > 1 ? parse_number(argv[1]) : 1;
  printf("forms: %016lx\n", (u64)syscall(SYS_probe_forms, seed));
  return 0;
}
