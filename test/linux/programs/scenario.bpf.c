// SPDX-License-Identifier: MIT
// For backend.test.ts: programs that are test-run on both kernels, and what they leave behind.
#include "../../../bpf/guest.h"
#include <bpf/bpf_helpers.h>

struct event {
	__u64 number;
	__u32 length;
	__u32 colour;
};

const volatile __u32 weight = 1;
const volatile char greeting[8] = "hello";
__u64 runs;
__u32 total = 1000;
__u64 dropped;
int order[4] = { 4, 3, 2, 1 };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct event);
} by_length SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} per_cpu SEC(".maps");

struct {
	__uint(type, 22); /* BPF_MAP_TYPE_QUEUE */
	__uint(max_entries, 4);
	__type(value, __u32);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} perf SEC(".maps");

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct __sk_buff {
	__u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority;
	__u32 ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end;
};

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

static __always_inline int note(__u32 length)
{
	struct event event = { .number = ++runs, .length = length, .colour = length & 3 };
	__u32 slot = length & 3;
	__u64 *value, one = 1;
	struct event *record;

	total += length * weight;
	bpf_map_update_elem(&by_length, &length, &event, BPF_ANY);
	value = bpf_map_lookup_elem(&slots, &slot);
	if (value)
		__sync_fetch_and_add(value, length);
	value = bpf_map_lookup_elem(&per_cpu, &slot);
	if (value)
		*value += 1;
	else
		bpf_map_update_elem(&per_cpu, &slot, &one, BPF_NOEXIST);
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		dropped++;
		return -1;
	}
	*record = event;
	if (length & 1)
		bpf_ringbuf_discard(record, 0);
	else
		bpf_ringbuf_submit(record, 0);
	return event.number;
}

SEC("socket")
int on_packet(struct __sk_buff *skb)
{
	return note(skb->len);
}

SEC("raw_tp")
int on_event(__u64 *arguments)
{
	struct event event = { .number = arguments[0], .length = arguments[1], .colour = 9 };

	bpf_perf_event_output(arguments, &perf, 0xffffffffULL, &event, sizeof(event));
	return note(arguments[1]);
}

SEC("syscall")
int on_call(struct event *context)
{
	return note(context->length) + context->colour + order[context->number & 3];
}

SEC("?socket")
int on_queued_packet(struct __sk_buff *skb)
{
	__u32 length = skb->len;

	return bpf_map_push_elem(&queue, &length, BPF_EXIST);
}

/* Turns the addresses of an Ethernet frame round. */
static __always_inline int turn(__u8 *data, __u8 *end)
{
	if (data + 14 > end)
		return -1;
	for (int i = 0; i < 6; i++) {
		__u8 byte = data[i];

		data[i] = data[i + 6];
		data[i + 6] = byte;
	}
	return 0;
}

SEC("?xdp")
int on_frame(struct xdp_md *context)
{
	__u8 *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;

	if (turn(data, end))
		return 0; /* XDP_ABORTED */
	total += end - data;
	return data[12] == 8 ? 3 : 2; /* XDP_TX, XDP_PASS */
}

SEC("?tc")
int on_buffer(struct __sk_buff *skb)
{
	__u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	if (turn(data, end))
		return 2; /* TC_ACT_SHOT */
	total += skb->len + skb->protocol;
	return skb->mark;
}

/* What no kernel takes. */
SEC("?socket")
__attribute__((naked)) int never_reached(void)
{
	asm volatile("r0 = 0; goto +1; r0 = 1; exit;");
}

SEC("?socket")
__attribute__((naked)) int jumps_out(void)
{
	asm volatile("r0 = 0; goto +5; exit;");
}

SEC("?socket")
__attribute__((naked)) int careless(void)
{
	asm volatile("r0 = *(u64 *)(r10 + 8); exit;");
}
