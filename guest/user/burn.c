// burn [ROUNDS]: keeps a processor busy with integers: counts the primes below 20000, ROUNDS times.

#include "libc.h"

#define LIMIT 20000

static u64 count_primes(u8 *composite) {
  u64 count = 0;
  memset(composite, 0, LIMIT);
  for (u64 i = 2; i < LIMIT; i++) {
    if (composite[i]) continue;
    count++;
    for (u64 j = i * i; j < LIMIT; j += i) composite[j] = 1;
  }
  return count;
}

int main(int argc, char **argv) {
  static u8 composite[LIMIT];
  u64 rounds = argc > 1 ? parse_number(argv[1]) : 10, count = 0;
  for (u64 i = 0; i < rounds; i++) count = count_primes(composite);
  printf("burn: %lu primes below %d\n", count, LIMIT);
  return 0;
}
