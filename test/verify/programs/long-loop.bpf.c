#include "fixture.h"

SEC("xdp")
int sum(struct xdp_md *ctx)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < 10000000; i++) { /* rejected here */
		sum = sum * 31 + i;
		asm volatile("" : "+r"(sum));
	}
	return sum & 1;
}
