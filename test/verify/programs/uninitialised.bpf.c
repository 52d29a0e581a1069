#include "fixture.h"

SEC("socket")
int guess(struct __sk_buff *skb)
{
	/* As a compiler may leave it: r7 has a value only where the length is small. */
	asm volatile("r6 = *(u32 *)(%0 + 0);" /* rejected here */
		     "if r6 > 100 goto +1;"
		     "r7 = 1;"
		     "r0 = r7;"
		     :: "r"(skb) : "r0", "r6", "r7");
	return 0;
}
