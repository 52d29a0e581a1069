#include "bench.h"

u8 text[1024] __attribute__((aligned(8))) = { R1024(3) };

PROGRAM
{
	const u32 *words = (const u32 *)text;
	u32 h = 42;

	for (int i = 0; i < 256; i++) {
		u32 k = words[i] * 0xcc9e2d51;
		k = rotl32(k, 15) * 0x1b873593;
		h = rotl32(h ^ k, 13) * 5 + 0xe6546b64;
	}
	h ^= 1024;
	h ^= h >> 16;
	h *= 0x85ebca6b;
	h ^= h >> 13;
	h *= 0xc2b2ae35;
	return h ^ h >> 16;
}
