#include "fixture.h"

SEC("xdp")
int pick_slot(struct xdp_md *ctx)
{
	__u32 key = 0;
	struct value *value = bpf_map_lookup_elem(&counts, &key);
	__u32 slot = ctx->rx_queue_index;

	if (!value)
		return XDP_PASS;
	value->slots[slot] = 1; /* rejected here */
	return XDP_PASS;
}
