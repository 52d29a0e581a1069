// sleeper [MILLISECONDS [TIMES]]: sleeps, and checks that it was long enough.

#include "libc.h"

int main(int argc, char **argv) {
  u64 ms = argc > 1 ? parse_number(argv[1]) : 10;
  u64 times = argc > 2 ? parse_number(argv[2]) : 1;
  for (u64 i = 0; i < times; i++) {
    u64 start = clock_ns();
    sleep_ms(ms);
    if (clock_ns() - start < ms * 1000000) fail("sleeper: woken too early\n");
  }
  printf("sleeper: %lu times %lu ms\n", times, ms);
  return 0;
}
