#include "fixture.h"

SEC("socket")
int lookup(struct __sk_buff *skb)
{
	void *value = bpf_map_lookup_elem(&counts, (void *)(long)skb->len); /* rejected here */

	return value != 0;
}
