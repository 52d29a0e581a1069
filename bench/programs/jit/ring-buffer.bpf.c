#include "bench.h"

/* Reserves and discards 16 records of 32 bytes, so that the ring never fills. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} ring_ SEC(".maps");

PROGRAM
{
	u32 lost = 0;

	for (u32 i = 0; i < 16; i++) {
		u64 *record = bpf_ringbuf_reserve(&ring_, 32, 0);
		if (!record) {
			lost++;
			continue;
		}
		record[0] = i;
		record[1] = lost;
		bpf_ringbuf_discard(record, 1);
	}
	return lost;
}
