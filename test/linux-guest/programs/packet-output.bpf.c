// SPDX-License-Identifier: MIT
// For scenes/packet-output.ts: programs over packets, and those that trace them and send what they find there.
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct net_device {
	int ifindex;
};

struct xdp_rxq_info {
	struct net_device *dev;
	__u32 queue_index;
};

struct xdp_buff {
	void *data;
	void *data_end;
	void *data_meta;
	struct xdp_rxq_info *rxq;
};

struct sk_buff {
	struct net_device *dev;
	unsigned char *data;
	unsigned int len;
	__u32 mark;
	__u32 priority;
	__u32 hash;
	int skb_iif;
	__u16 protocol;
	__u16 vlan_proto;
	__u16 vlan_tci;
	__u16 queue_mapping;
	__u16 tc_index;
	__s64 tstamp;
};
#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} events SEC(".maps");

// What to ask for.
__u64 flags;
__u32 size = 5;
// What was answered, and what the context holds.
__s64 answer;
__u64 found[12];

struct note {
	__u8 bytes[24];
} sent = { { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99 } };

SEC("?xdp")
int shortens(struct xdp_md *ctx)
{
	bpf_xdp_adjust_head(ctx, 14);
	bpf_xdp_adjust_meta(ctx, -8);
	return XDP_PASS;
}

SEC("?xdp.frags")
int shortens_fragments(struct xdp_md *ctx)
{
	bpf_xdp_adjust_head(ctx, 14);
	bpf_xdp_adjust_tail(ctx, -100);
	return XDP_PASS;
}

SEC("?tc")
int changes(struct __sk_buff *ctx)
{
	ctx->mark = 7;
	ctx->priority = 9;
	ctx->tc_index = 11;
	bpf_skb_change_tail(ctx, 40, 0);
	bpf_skb_change_head(ctx, 14, 0);
	return 0;
}

/* The ends of a frame, and where it came in. */
static __always_inline void see_frame(struct xdp_buff *xdp)
{
	found[0] = xdp->data_end - xdp->data;
	found[1] = xdp->data - xdp->data_meta;
	found[3] = xdp->rxq->dev->ifindex;
	found[4] = xdp->rxq->queue_index;
	found[5] = bpf_xdp_get_buff_len((void *)xdp);
}

static __always_inline void see_packet(struct sk_buff *skb)
{
	found[0] = skb->len;
	found[1] = skb->dev->ifindex;
	found[2] = skb->mark;
	found[3] = skb->priority;
	found[4] = skb->hash;
	found[5] = skb->skb_iif;
	found[6] = skb->protocol;
	found[7] = (__u32)skb->vlan_proto << 16 | skb->vlan_tci;
	found[8] = skb->queue_mapping;
	found[9] = skb->tc_index;
	found[10] = skb->tstamp;
	bpf_probe_read_kernel(&found[11], 4, skb->data);
}

#define SENDS(section, name, type, see, helper)                                \
	SEC("?" section)                                                       \
	int name(__u64 *ctx)                                                   \
	{                                                                      \
		struct type *packet = (void *)ctx[0];                          \
		__u32 bytes = size & 15;                                       \
                                                                               \
		see(packet);                                                   \
		answer = helper((void *)packet, &events, flags, &sent, bytes); \
		return 0;                                                      \
	}

SENDS("fentry/shortens", at_frame, xdp_buff, see_frame, bpf_xdp_output)
SENDS("fexit/shortens", behind_frame, xdp_buff, see_frame, bpf_xdp_output)
SENDS("fentry/shortens_fragments", at_fragments, xdp_buff, see_frame, bpf_xdp_output)
SENDS("fexit/shortens_fragments", behind_fragments, xdp_buff, see_frame, bpf_xdp_output)
SENDS("fentry/changes", at_packet, sk_buff, see_packet, bpf_skb_output)
SENDS("fexit/changes", behind_packet, sk_buff, see_packet, bpf_skb_output)
