// SPDX-License-Identifier: MIT
#include "../../../bpf/guest.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u64);
} kept SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} ours SEC(".maps");

SEC("socket") int both(void *ctx)
{
	__u32 key = 1;

	return bpf_map_lookup_elem(&kept, &key) != 0 || bpf_map_lookup_elem(&ours, &key) != 0;
}

char LICENSE[] SEC("license") = "GPL";
