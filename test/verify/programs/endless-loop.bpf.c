#include "fixture.h"

SEC("xdp")
int wait_for_it(struct xdp_md *ctx)
{
	volatile int stop = 0;

	while (!stop) /* rejected here */
		;
	return XDP_PASS;
}
