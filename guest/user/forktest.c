// forktest [CHILDREN [ROUNDS]]: makes children that make grandchildren, and waits for all of them.

#include "libc.h"

static int child(int number) {
  int grandchild = fork();
  if (grandchild == 0) exit(number & 0x3f);
  int status;
  int waited = waitpid(grandchild, &status, 0);
  return waited == grandchild && status >> 8 == (number & 0x3f) ? number : 255;
}

int main(int argc, char **argv) {
  int children = argc > 1 ? (int)parse_number(argv[1]) : 10;
  int rounds = argc > 2 ? (int)parse_number(argv[2]) : 1;
  for (int round = 0; round < rounds; round++) {
    u64 sum = 0;
    for (int i = 0; i < children; i++) {
      int pid = fork();
      if (pid < 0) fail("forktest: fork: %s\n", error_name(pid));
      if (pid == 0) exit(child(i));
    }
    for (int i = 0; i < children; i++) {
      int status;
      int pid = waitpid(-1, &status, 0);
      if (pid < 0) fail("forktest: wait: %s\n", error_name(pid));
      sum += (u64)status >> 8;
    }
    if (sum != (u64)(children * (children - 1) / 2)) fail("forktest: the exit codes add up to %lu\n", sum);
  }
  printf("forktest: %d times %d children\n", rounds, children);
  return 0;
}
