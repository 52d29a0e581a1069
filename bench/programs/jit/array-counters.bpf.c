#include "bench.h"

/* Counts 64 events in an array map, atomically. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");
#ifndef NATIVE
#define lookup_array(map, key) bpf_map_lookup_elem(map, key)
#define update_array(map, key, value) bpf_map_update_elem(map, key, value, BPF_ANY)
#endif

PROGRAM
{
	u64 sum = 0;

	for (u32 i = 0; i < 64; i++) {
		u32 key = (i * 37) & 255;
		u64 *value = lookup_array(&counters, &key);
		if (value)
			__sync_fetch_and_add(value, i);
		else
			sum++;
	}
	return (u32)sum;
}
