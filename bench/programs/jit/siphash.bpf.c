#include "bench.h"

u8 text[1024] __attribute__((aligned(8))) = { R1024(5) };

#define ROUND \
	do { \
		v0 += v1; v1 = rotl64(v1, 13); v1 ^= v0; v0 = rotl64(v0, 32); \
		v2 += v3; v3 = rotl64(v3, 16); v3 ^= v2; \
		v0 += v3; v3 = rotl64(v3, 21); v3 ^= v0; \
		v2 += v1; v1 = rotl64(v1, 17); v1 ^= v2; v2 = rotl64(v2, 32); \
	} while (0)

PROGRAM
{
	const u64 *words = (const u64 *)text;
	u64 v0 = 0x736f6d6570736575, v1 = 0x646f72616e646f6d;
	u64 v2 = 0x6c7967656e657261, v3 = 0x7465646279746573;

	for (int i = 0; i < 128; i++) {
		u64 m = words[i];
		v3 ^= m;
		ROUND;
		ROUND;
		v0 ^= m;
	}
	v2 ^= 0xff;
	ROUND; ROUND; ROUND; ROUND;
	return (u32)(v0 ^ v1 ^ v2 ^ v3);
}
