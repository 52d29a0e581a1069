#include "fixture.h"

SEC("xdp")
int fill(struct xdp_md *ctx)
{
	char buffer[16] = {};
	__u32 i = ctx->rx_queue_index;

	if (i > 32)
		return XDP_PASS;
	*(volatile char *)(buffer + i) = 1; /* rejected here */
	return buffer[3];
}
