// SPDX-License-Identifier: MIT
// For client-contract.test.ts: reads a map value without asking whether there is one.
#include "../../bpf/guest.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} some SEC(".maps");

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SEC("raw_tp")
int careless(void *context)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&some, &key);

	return *value;
}
