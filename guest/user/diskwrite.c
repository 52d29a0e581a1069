// diskwrite [FIRST_BLOCK [BLOCKS]]: writes blocks of a kilobyte to /dev/disk, syncs, reads them back and compares.

#include "libc.h"

#define BLOCK 1024

static void fill(u64 *block, u64 number, u64 salt) {
  u64 value = (number + 1) * 0x9e3779b97f4a7c15 ^ salt;
  for (u64 i = 0; i < BLOCK / 8; i++) {
    value = value * 6364136223846793005 + 1442695040888963407;
    block[i] = value;
  }
}

int main(int argc, char **argv) {
  u64 first = argc > 1 ? parse_number(argv[1]) : 128;
  u64 blocks = argc > 2 ? parse_number(argv[2]) : 64;
  u64 salt = (u64)getpid();
  u64 wanted[BLOCK / 8], found[BLOCK / 8];
  int fd = open("/dev/disk", O_RDWR);
  if (fd < 0) fail("diskwrite: /dev/disk: %s\n", error_name(fd));
  lseek(fd, (long)(first * BLOCK), SEEK_SET);
  for (u64 i = 0; i < blocks; i++) {
    fill(wanted, first + i, salt);
    long size = write(fd, wanted, BLOCK);
    if (size != BLOCK) fail("diskwrite: write of block %lu: %s\n", first + i, error_name(size));
  }
  int error = fsync(fd);
  if (error < 0) fail("diskwrite: fsync: %s\n", error_name(error));
  lseek(fd, (long)(first * BLOCK), SEEK_SET);
  for (u64 i = 0; i < blocks; i++) {
    fill(wanted, first + i, salt);
    long size = read(fd, found, BLOCK);
    if (size != BLOCK) fail("diskwrite: read of block %lu: %s\n", first + i, error_name(size));
    if (memcmp(wanted, found, BLOCK) != 0) fail("diskwrite: block %lu is not what was written\n", first + i);
  }
  printf("diskwrite: %lu blocks written and verified\n", blocks);
  return 0;
}
