/* A program of some 4,000 instructions, written out: arithmetic, branches, and tables on the stack. */
#include "bench.h"

#define ROUND(n)                                                                                                       \
	x += (x << 3) ^ ((n) * 0x9e37u);                                                                               \
	if (x & (n)) {                                                                                                 \
		a ^= x >> 5;                                                                                           \
		table[(n) & 15] = a;                                                                                   \
	} else {                                                                                                       \
		a += x * 31;                                                                                           \
		table[((n) + 3) & 15] ^= x;                                                                            \
	}                                                                                                              \
	x = (x << 13) | (x >> 51);
#define ROUNDS_4(n) ROUND(n) ROUND((n) + 1) ROUND((n) + 2) ROUND((n) + 3)
#define ROUNDS_16(n) ROUNDS_4(n) ROUNDS_4((n) + 4) ROUNDS_4((n) + 8) ROUNDS_4((n) + 12)
#define ROUNDS_64(n) ROUNDS_16(n) ROUNDS_16((n) + 16) ROUNDS_16((n) + 32) ROUNDS_16((n) + 48)

u64 seed = 77;

PROGRAM
{
	/* volatile: each access is one. */
	volatile u64 table[16];
	u64 x = seed;
	u64 a = 5;

	for (int i = 0; i < 16; i++)
		table[i] = i;
	ROUNDS_64(1) ROUNDS_64(65) ROUNDS_64(129) ROUNDS_16(193) ROUNDS_16(209)
	for (int i = 0; i < 16; i++)
		a ^= table[i];
	return (u32)(a ^ x);
}
