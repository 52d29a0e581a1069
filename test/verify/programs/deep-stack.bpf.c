#include "fixture.h"

static __noinline int inner(int n)
{
	volatile char buffer[300] = {};

	buffer[n & 255] = 1;
	return buffer[7];
}

SEC("xdp")
int outer(struct xdp_md *ctx)
{
	volatile char buffer[300] = {};

	buffer[ctx->rx_queue_index & 255] = 1;
	return inner(ctx->rx_queue_index) + buffer[3]; /* rejected here */
}
