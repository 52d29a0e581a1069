#include <linux/if_ether.h>
#include "fixture.h"

SEC("xdp")
int read_type(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	struct ethhdr *eth = data;

	if (eth->h_proto == 8) /* rejected here */
		return XDP_DROP;
	return XDP_PASS;
}
