#include "fixture.h"

const volatile int limit = 7;

SEC("socket")
int change(struct __sk_buff *skb)
{
	*(volatile int *)&limit = 8; /* rejected here */
	return 0;
}
