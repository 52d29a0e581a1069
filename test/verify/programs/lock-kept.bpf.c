#include "fixture.h"

struct locked {
	struct bpf_spin_lock lock;
	__u64 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct locked);
} shared SEC(".maps");

SEC("xdp")
int count_locked(struct xdp_md *ctx)
{
	__u32 key = 0;
	struct locked *locked = bpf_map_lookup_elem(&shared, &key);

	if (!locked)
		return XDP_PASS;
	bpf_spin_lock(&locked->lock);
	locked->count += 1;
	if (locked->count > 1000)
		return XDP_DROP;
	bpf_spin_unlock(&locked->lock);
	return XDP_PASS;
} /* rejected here */
