// SPDX-License-Identifier: MIT
// For live-frames.test.ts: what XDP programs find in live frames, and where they send them.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define MOST 512
#define MARK_AT 16

struct event {
	__u32 mark;
	__u32 length;
	__u32 meta;
	__u32 first;
	__u32 last;
	__u32 ingress;
	__u32 queue;
	__u32 egress;
};

// Of the program itself, of a CPU's, of a device's.
struct event seen[3][MOST];
__u32 counts[3];
__u32 cpu;

// What to do: the last verdict stays.
__u32 verdict = XDP_DROP;
__u64 flags;
__u32 key;
__u32 cpu_verdict = XDP_DROP;
__s32 head, tail, meta;
__u32 meta_first;
__s32 results[3];

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct bpf_cpumap_val);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} hashed SEC(".maps");

static __always_inline void see(struct xdp_md *xdp, __u32 who, __u32 egress)
{
	__u8 *data = (void *)(long)xdp->data;
	__u8 *end = (void *)(long)xdp->data_end;
	__u32 *words = (void *)(long)xdp->data_meta;
	__u32 n = counts[who];
	struct event *event = &seen[who][n & (MOST - 1)];

	event->length = end - data;
	event->meta = (void *)data - (void *)words;
	event->first = (void *)(words + 1) <= (void *)data ? *words : -1;
	event->ingress = xdp->ingress_ifindex;
	event->queue = xdp->rx_queue_index;
	event->egress = egress;
	if (data + MARK_AT + 4 <= end) {
		event->last = data[13];
		event->mark = *(__u32 *)(data + MARK_AT);
		*(__u32 *)(data + MARK_AT) = (who + 1) * 1000 + n;
		data[13] += 1;
	}
	// Whoever waits for the count finds what was seen.
	barrier();
	counts[who] = n + 1;
}

static __always_inline void adjust(struct xdp_md *xdp)
{
	results[0] = head ? bpf_xdp_adjust_head(xdp, head) : 0;
	results[1] = tail ? bpf_xdp_adjust_tail(xdp, tail) : 0;
	results[2] = meta ? bpf_xdp_adjust_meta(xdp, meta) : 0;
	if (meta_first) {
		__u32 *words = (void *)(long)xdp->data_meta;

		if ((void *)(words + 1) <= (void *)(long)xdp->data)
			*words = meta_first + counts[0];
	}
}

SEC("xdp")
int decides(struct xdp_md *xdp)
{
	see(xdp, 0, 0);
	adjust(xdp);
	return verdict;
}

SEC("xdp")
int to_cpu(struct xdp_md *xdp)
{
	see(xdp, 0, 0);
	adjust(xdp);
	return bpf_redirect_map(&cpus, key, flags);
}

SEC("xdp")
int to_device(struct xdp_md *xdp)
{
	see(xdp, 0, 0);
	return bpf_redirect_map(&devices, key, flags);
}

SEC("xdp")
int to_hashed(struct xdp_md *xdp)
{
	see(xdp, 0, 0);
	return bpf_redirect_map(&hashed, key, flags);
}

// Says where to once, and redirects ever after.
SEC("xdp")
int says_once(struct xdp_md *xdp)
{
	see(xdp, 0, 0);
	if (counts[0] == 3)
		bpf_redirect_map(&cpus, key, flags);
	return counts[0] == 3 ? XDP_DROP : XDP_REDIRECT;
}

SEC("xdp/cpumap")
int on_cpu(struct xdp_md *xdp)
{
	see(xdp, 1, 0);
	cpu = bpf_get_smp_processor_id();
	return cpu_verdict;
}

SEC("xdp/devmap")
int on_device(struct xdp_md *xdp)
{
	see(xdp, 2, xdp->egress_ifindex);
	return XDP_DROP;
}

char _license[] SEC("license") = "GPL";
