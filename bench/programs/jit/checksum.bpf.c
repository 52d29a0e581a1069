#include "bench.h"

/* The Internet checksum of a packet of 1,400 bytes. */
u8 packet[1408] __attribute__((aligned(8))) = { R1024(1), R256(7), R64(9) };

PROGRAM
{
	u32 sum = 0;
	const u16 *words = (const u16 *)packet;

	for (int i = 0; i < 700; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (u16)~sum;
}
