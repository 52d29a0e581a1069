#include "fixture.h"

SEC("socket")
int stamp(struct __sk_buff *skb)
{
	skb->len = 7; /* rejected here */
	return 0;
}
