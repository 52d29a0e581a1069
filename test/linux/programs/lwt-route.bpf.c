// SPDX-License-Identifier: MIT
// For lwt-encap.test.ts: whether Linux gives a packet a route before it has an lwt_xmit program run on it.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct sk_buff {
	unsigned long _skb_refdst;
} __attribute__((preserve_access_index));

extern void *bpf_cast_to_kern_ctx(void *) __ksym;

SEC("lwt_xmit") int has_route(struct __sk_buff *skb)
{
	struct sk_buff *packet = bpf_cast_to_kern_ctx(skb);
	return packet->_skb_refdst != 0;
}
