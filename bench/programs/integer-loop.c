/*
 * The integer benchmark of the machine: random numbers, a table-driven checksum, an insertion sort, a polynomial
 * hash, over 64 KiB. It runs bare, in whatever mode it is started, and needs nothing but RAM and QEMU's test
 * device. How many rounds: the double word at ROUNDS. The result goes to RESULT.
 */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

#define ROUNDS (*(volatile u64 *)0x80100000ul)
#define RESULT (*(volatile u64 *)0x80100008ul)
#define TEST_DEVICE (*(volatile u32 *)0x100000ul)
#define POWER_OFF 0x5555

#define SIZE 65536

static u32 table[256];
static u8 bytes[SIZE];

static void fill_table(void) {
  for (u32 i = 0; i < 256; i++) {
    u32 c = i;
    for (int bit = 0; bit < 8; bit++) c = c & 1 ? (c >> 1) ^ 0xedb88320u : c >> 1;
    table[i] = c;
  }
}

static u32 checksum(void) {
  u32 c = ~0u;
  for (int i = 0; i < SIZE; i++) c = table[(c ^ bytes[i]) & 255] ^ (c >> 8);
  return ~c;
}

static void sort_a_little(int count, int reach) {
  for (int i = 1; i < count; i++) {
    u8 value = bytes[i];
    int j = i - 1;
    for (; j >= 0 && j > i - reach && bytes[j] > value; j--) bytes[j + 1] = bytes[j];
    bytes[j + 1] = value;
  }
}

void run(void) {
  u64 state = 88172645463325252ul, sum = 0;
  fill_table();
  for (u64 round = ROUNDS; round > 0; round--) {
    for (int i = 0; i < SIZE; i++) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      bytes[i] = (u8)state;
    }
    sum += checksum();
    sort_a_little(2000, 20);
    for (int i = 0; i < SIZE; i++) sum = sum * 31 + bytes[i];
  }
  RESULT = sum;
  TEST_DEVICE = POWER_OFF;
  for (;;) {
  }
}

__attribute__((naked, section(".entry"))) void start(void) {
  __asm__("li sp, 0x80200000\n\tj run");
}
