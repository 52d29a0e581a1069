#include <linux/if_ether.h>
#include "fixture.h"

SEC("tc")
int shorten(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;

	if (data + sizeof(*eth) > end)
		return TC_ACT_OK;
	if (bpf_skb_pull_data(skb, 0))
		return TC_ACT_SHOT;
	return eth->h_proto == 8; /* rejected here */
}
