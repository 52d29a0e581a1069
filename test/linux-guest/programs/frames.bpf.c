// SPDX-License-Identifier: MIT
// For scenes/frames.ts: live frames that go several ways, and who sees them arrive.
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define MOST 1024
#define ETHERNET_BYTES 14
#define SHOWN 40

// How many, what each is to become in turn, and where what is redirected goes.
__u32 sent;
__u8 verdicts[16];
__u32 verdict_count = 1;
__u32 device;
__u32 key;
__u64 flags;
__s32 head, tail;
// What was in a page when it came: the number that was last written there.
__u32 found[MOST];

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpf_cpumap_val);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} targets SEC(".maps");

struct frame {
	__u8 ethernet[ETHERNET_BYTES];
	__u8 verdict;
	__u8 way;
	__u32 number;
	// By whom it was changed on its way.
	__u8 changed[4];
};

/* 10 and more are ways to redirect. */
enum { TO_DEVICE = 10, TO_TARGETS, TO_CPU };

SEC("?xdp")
int sends(struct xdp_md *ctx)
{
	struct frame *frame = (void *)(long)ctx->data;
	__u32 number = sent++;
	__u8 verdict = verdicts[(number % verdict_count) & 15];

	if ((void *)(frame + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	found[number & (MOST - 1)] = frame->number;
	frame->number = number + 1;
	frame->verdict = verdict;
	__builtin_memset(frame->changed, 0, sizeof(frame->changed));
	if (head)
		bpf_xdp_adjust_head(ctx, head);
	if (tail)
		bpf_xdp_adjust_tail(ctx, tail);
	switch (verdict) {
	case TO_DEVICE:
		return bpf_redirect(device, 0);
	case TO_TARGETS:
		return bpf_redirect_map(&targets, key, flags);
	case TO_CPU:
		return bpf_redirect_map(&cpus, 0, 0);
	}
	return verdict;
}

static __always_inline int change(struct xdp_md *ctx, __u32 which, int verdict)
{
	struct frame *frame = (void *)(long)ctx->data;

	if ((void *)(frame + 1) <= (void *)(long)ctx->data_end)
		frame->changed[which & 3]++;
	return verdict;
}

SEC("?xdp/devmap")
int on_target(struct xdp_md *ctx)
{
	return change(ctx, 0, XDP_PASS);
}

SEC("?xdp/cpumap")
int on_cpu(struct xdp_md *ctx)
{
	return change(ctx, 1, XDP_PASS);
}

SEC("?xdp/cpumap")
int on_cpu_redirects(struct xdp_md *ctx)
{
	change(ctx, 2, 0);
	return bpf_redirect_map(&targets, key, 0);
}

/* What arrives on a Linux: at the peers of devices, and on its way up from a device. */

struct arrival {
	__u32 ifindex;
	__u32 length;
	__u8 bytes[SHOWN];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} arrivals SEC(".maps");

SEC("?xdp")
int arrives(struct xdp_md *ctx)
{
	struct arrival *arrival = bpf_ringbuf_reserve(&arrivals, sizeof(*arrival), 0);

	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (!arrival)
		return XDP_DROP;
	arrival->ifindex = ctx->ingress_ifindex;
	arrival->length = end - data;
	__builtin_memset(arrival->bytes, 0, SHOWN);
#pragma unroll
	for (int i = 0; i < SHOWN; i++) {
		if (data + i + 1 > end)
			break;
		arrival->bytes[i] = data[i];
	}
	bpf_ringbuf_submit(arrival, 0);
	return XDP_DROP;
}

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct net_device {
	int ifindex;
};

struct sk_buff {
	struct net_device *dev;
	unsigned int len;
	unsigned char *head;
	__u16 mac_header;
};
#pragma clang attribute pop

// The device whose packets count.
int watched;

SEC("?tp_btf/netif_receive_skb")
int passes(__u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];
	struct arrival *arrival;
	__u32 length;

	if (skb->dev->ifindex != watched)
		return 0;
	arrival = bpf_ringbuf_reserve(&arrivals, sizeof(*arrival), 0);
	if (!arrival)
		return 0;
	arrival->ifindex = 0;
	arrival->length = skb->len + ETHERNET_BYTES;
	__builtin_memset(arrival->bytes, 0, SHOWN);
	length = arrival->length;
	bpf_probe_read_kernel(arrival->bytes, length < SHOWN ? length : SHOWN, skb->head + skb->mac_header);
	bpf_ringbuf_submit(arrival, 0);
	return 0;
}
