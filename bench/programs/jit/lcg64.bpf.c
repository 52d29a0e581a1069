#include "bench.h"

u64 seed = 1;

PROGRAM
{
	u64 x = seed;

	for (int i = 0; i < 20000; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		x ^= x >> 33;
	}
	return (u32)x;
}
