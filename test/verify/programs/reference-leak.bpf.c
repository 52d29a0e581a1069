#include "fixture.h"

SEC("xdp")
int announce(struct xdp_md *ctx)
{
	__u64 *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return XDP_PASS;
	*event = bpf_ktime_get_ns();
	if (ctx->rx_queue_index == 7)
		return XDP_DROP;
	bpf_ringbuf_submit(event, 0);
	return XDP_PASS;
} /* rejected here */
