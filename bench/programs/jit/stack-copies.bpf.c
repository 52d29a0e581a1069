#include "bench.h"

/* Moves bytes about between buffers on the stack. */
u64 input[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

PROGRAM
{
	u64 a[16], b[16];
	u64 sum = 0;

	for (int i = 0; i < 16; i++)
		a[i] = input[i & 7] + i;
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 16; i++)
			b[15 - i] = a[i] + round;
		for (int i = 0; i < 16; i++)
			a[i] = b[i] ^ sum;
		sum += a[round & 15];
	}
	return (u32)sum;
}
