// SPDX-License-Identifier: MIT
// For kernel-functions.test.ts: what the kernel itself has behind a program's context.
#include "kfuncs.h"

struct __sk_buff {
	__u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority;
	__u32 ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end, napi_id;
};
struct xdp_md {
	__u32 data, data_end, data_meta;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct sk_buff {
	unsigned int len;
	__u8 pkt_type : 3;
	__u32 mark;
	__u16 queue_mapping;
	__u16 protocol;
	__u16 vlan_tci;
	__u16 vlan_proto;
	__u32 priority;
	int skb_iif;
	__u16 tc_index;
	__u32 hash;
	unsigned int napi_id;
	__u64 tstamp;
	unsigned char *data;
};
struct xdp_buff {
	void *data, *data_end, *data_meta;
};
#pragma clang attribute pop

#include <bpf/bpf_core_read.h>

extern void *bpf_cast_to_kern_ctx(void *context) __ksym;
extern void *bpf_rdonly_cast(const void *pointer, __u32 type) __ksym;

static void see_packet(struct __sk_buff *context)
{
	struct sk_buff *skb = bpf_cast_to_kern_ctx(context);
	__u64 bytes = 0;

	out[0] = skb->len;
	out[1] = skb->mark;
	out[2] = skb->queue_mapping;
	out[3] = (__u16)skb->protocol;
	out[4] = skb->vlan_tci;
	out[5] = (__u16)skb->vlan_proto;
	out[6] = skb->priority;
	out[7] = skb->skb_iif;
	out[8] = skb->tc_index;
	out[9] = skb->hash;
	out[10] = skb->napi_id;
	out[11] = BPF_CORE_READ_BITFIELD(skb, pkt_type);
	out[12] = skb->tstamp;
	bpf_probe_read_kernel(&bytes, sizeof(bytes), skb->data);
	out[13] = bytes;
	out[14] = BPF_CORE_READ(skb, len);
}

// The context and the struct behind it are the same thing.
static void change_packet(struct __sk_buff *context)
{
	struct sk_buff *skb = bpf_cast_to_kern_ctx(context);

	context->mark = 77;
	context->priority = 78;
	context->tc_index = 79;
	out[20] = skb->mark;
	out[21] = skb->priority;
	out[22] = skb->tc_index;
}

SEC("tc")
int packet_of_tc(struct __sk_buff *context)
{
	see_packet(context);
	change_packet(context);
	return 0;
}

SEC("action")
int packet_of_action(struct __sk_buff *context)
{
	see_packet(context);
	change_packet(context);
	return 0;
}

SEC("socket")
int packet_of_socket(struct __sk_buff *context)
{
	see_packet(context);
	return 0;
}

SEC("cgroup_skb/ingress")
int packet_of_cgroup(struct __sk_buff *context)
{
	see_packet(context);
	return 1;
}

SEC("lwt_in")
int packet_of_lwt_in(struct __sk_buff *context)
{
	see_packet(context);
	return 0;
}

SEC("lwt_out")
int packet_of_lwt_out(struct __sk_buff *context)
{
	see_packet(context);
	return 0;
}

SEC("lwt_xmit")
int packet_of_lwt_xmit(struct __sk_buff *context)
{
	see_packet(context);
	return 0;
}

static void see_frame(struct xdp_buff *frame, __u64 *to)
{
	to[0] = frame->data_end - frame->data;
	to[1] = frame->data - frame->data_meta;
	bpf_probe_read_kernel(&to[2], 8, frame->data);
	bpf_probe_read_kernel(&to[3], 8, frame->data_end - 8);
}

SEC("xdp")
int frame_whose_ends_move(struct xdp_md *context)
{
	struct xdp_buff *frame = bpf_cast_to_kern_ctx(context);

	see_frame(frame, out);
	out[10] = bpf_xdp_adjust_head(context, 6);
	out[11] = bpf_xdp_adjust_tail(context, -3);
	out[12] = bpf_xdp_adjust_meta(context, -8);
	see_frame(frame, out + 20);
	// Of a pointer that is cast, the type alone is new.
	see_frame(bpf_rdonly_cast(frame, bpf_core_type_id_kernel(struct xdp_buff)), out + 30);
	out[40] = (void *)frame == (void *)context;
	return 2;
}

// Nothing is written there.
SEC("?tc")
int refused_write(struct __sk_buff *context)
{
	struct sk_buff *skb = bpf_cast_to_kern_ctx(context);

	skb->mark = 1;
	return 0;
}

// The argument is the context itself.
SEC("?xdp")
int refused_argument(struct xdp_md *context)
{
	return bpf_cast_to_kern_ctx((void *)context + 8) != 0;
}

SEC("?xdp")
int refused_other(struct xdp_md *context)
{
	return bpf_cast_to_kern_ctx(&out) != 0;
}
