#include "bench.h"

/* Ethernet, VLAN, IPv4 and IPv6, TCP and UDP headers of 20 frames. */
#define FRAME 128
u8 frames[20 * FRAME] __attribute__((aligned(8))) = { R1024(0x08), R1024(0x45), R256(0x86), R256(0xdd) };
u32 ready;

static __always_inline u16 be16(const u8 *at) { return (u16)(at[0] << 8 | at[1]); }

PROGRAM
{
	u32 total = 0;

	for (int n = 0; n < 20; n++) {
		const u8 *frame = frames + n * FRAME;
		u16 protocol = be16(frame + 12);
		u32 at = 14;

		if ((n & 3) == 1)
			protocol = 0x0800;
		else if ((n & 3) == 2)
			protocol = 0x86dd;
		else if ((n & 3) == 3) {
			protocol = (n & 4) ? 0x0800 : 0x86dd;
			at = 18;
		}
		u8 next;
		if (protocol == 0x0800) {
			u32 length = (frame[at] & 15) * 4;
			next = frame[at + 9] & 1 ? 6 : 17;
			total += frame[at + 12] ^ frame[at + 16];
			at += length < 20 ? 20 : length;
		} else if (protocol == 0x86dd) {
			next = frame[at + 6] & 1 ? 6 : 17;
			for (int i = 0; i < 4; i++)
				total += *(const u32 *)(frame + at + 10 + 4 * i);
			at += 40;
		} else {
			continue;
		}
		if (at > FRAME - 20)
			continue;
		if (next == 6)
			total += be16(frame + at + 2) * 3 + frame[at + 13];
		else
			total += be16(frame + at) + be16(frame + at + 4);
	}
	return total;
}
