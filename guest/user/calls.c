// calls [ROUNDS]: makes cheap system calls in a loop, for measuring what one costs.

#include "libc.h"

int main(int argc, char **argv) {
  u64 rounds = argc > 1 ? parse_number(argv[1]) : 1000;
  u64 start = clock_ns();
  for (u64 i = 0; i < rounds; i++) syscall(SYS_getppid);
  u64 ns = clock_ns() - start;
  printf("calls: %lu calls of getppid, %lu ns each\n", rounds, rounds > 0 ? ns / rounds : 0);
  return 0;
}
