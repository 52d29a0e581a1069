#include "bench.h"

/* 64 look-ups in a hash table of 8-byte keys; the first run fills it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, u64);
} table_ SEC(".maps");
#ifndef NATIVE
#define lookup_hash(map, key) bpf_map_lookup_elem(map, key)
#define update_hash(map, key, value) bpf_map_update_elem(map, key, value, BPF_ANY)
#endif
u32 filled;

PROGRAM
{
	u64 sum = 0;

	if (!filled) {
		for (u64 i = 0; i < 64; i++) {
			u64 key = i * 2654435761u;
			update_hash(&table_, &key, &i);
		}
		filled = 1;
	}
	for (u64 i = 0; i < 64; i++) {
		u64 key = i * 2654435761u;
		u64 *value = lookup_hash(&table_, &key);
		if (value)
			sum += *value;
	}
	return (u32)sum;
}
