// pipetest [KILOBYTES [ROUND_TRIPS]]: sends numbers through a pipe and checks them, then plays ping-pong over two.

#include "libc.h"

static void stream(u64 words) {
  int ends[2];
  if (pipe(ends) < 0) fail("pipetest: no pipe\n");
  if (fork() == 0) {
    u64 chunk[96];
    close(ends[0]);
    for (u64 i = 0; i < words;) {
      u64 count = MIN(words - i, 1 + i % ARRAY_LENGTH(chunk));
      for (u64 j = 0; j < count; j++) chunk[j] = i++;
      write(ends[1], chunk, count * 8);
    }
    exit(0);
  }
  close(ends[1]);
  u64 wanted = 0, filled = 0;
  u8 bytes[1000];
  for (;;) {
    long size = read(ends[0], bytes + filled, sizeof(bytes) - filled);
    if (size < 0) fail("pipetest: read: %s\n", error_name(size));
    if (size == 0) break;
    filled += (u64)size;
    for (u64 i = 0; i + 8 <= filled; i += 8) {
      u64 got = 0;
      memcpy(&got, bytes + i, 8);
      if (got != wanted++) fail("pipetest: %lu where %lu should be\n", got, wanted - 1);
    }
    u64 rest = filled % 8;
    for (u64 i = 0; i < rest; i++) bytes[i] = bytes[filled - rest + i];
    filled = rest;
  }
  close(ends[0]);
  waitpid(-1, NULL, 0);
  if (wanted != words) fail("pipetest: %lu numbers of %lu\n", wanted, words);
}

static void ping_pong(u64 rounds) {
  int there[2], back[2];
  pipe(there);
  pipe(back);
  int pid = fork();
  if (pid == 0) {
    u64 value;
    close(there[1]), close(back[0]);
    while (read(there[0], &value, 8) == 8) {
      value++;
      write(back[1], &value, 8);
    }
    exit(0);
  }
  close(there[0]), close(back[1]);
  u64 value = 0;
  for (u64 i = 0; i < rounds; i++) {
    write(there[1], &value, 8);
    read(back[0], &value, 8);
  }
  close(there[1]), close(back[0]);
  waitpid(pid, NULL, 0);
  if (value != rounds) fail("pipetest: %lu round trips of %lu\n", value, rounds);
}

int main(int argc, char **argv) {
  u64 kilobytes = argc > 1 ? parse_number(argv[1]) : 64;
  u64 rounds = argc > 2 ? parse_number(argv[2]) : 100;
  stream(kilobytes * 1024 / 8);
  ping_pong(rounds);
  printf("pipetest: %lu KiB in order, %lu round trips\n", kilobytes, rounds);
  return 0;
}
