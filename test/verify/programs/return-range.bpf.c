#include "fixture.h"

SEC("cgroup_skb/egress")
int allow(struct __sk_buff *skb)
{
	return 7; /* rejected here */
}
