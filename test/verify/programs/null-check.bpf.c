#include "fixture.h"

SEC("xdp")
int count_packets(struct xdp_md *ctx)
{
	__u32 key = 0;
	struct value *value = bpf_map_lookup_elem(&counts, &key);

	value->count += 1; /* rejected here */
	return XDP_PASS;
}
