// SPDX-License-Identifier: MIT
// For packet-samples.test.ts: sends bytes of `request`, and as much of the packet as its flags say.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} events SEC(".maps");

struct {
	__u64 flags;
	__u32 size;
	__u8 bytes[64];
} request;

__s64 answer;

#define SAMPLE(section, name, context, result)                                                                     \
	SEC(section) int name(struct context *ctx)                                                                 \
	{                                                                                                          \
		__u32 size = request.size;                                                                         \
		if (size <= sizeof(request.bytes))                                                                 \
			answer = bpf_perf_event_output(ctx, &events, request.flags, request.bytes, size);          \
		return result;                                                                                     \
	}

SAMPLE("xdp", of_xdp, xdp_md, XDP_PASS)
SAMPLE("xdp.frags", of_xdp_frags, xdp_md, XDP_PASS)
SAMPLE("tc", of_tc, __sk_buff, 0)
SAMPLE("socket", of_socket, __sk_buff, 0)
SAMPLE("lwt_xmit", of_lwt_xmit, __sk_buff, 0)
SAMPLE("cgroup_skb/egress", of_cgroup_skb, __sk_buff, 1)
SAMPLE("raw_tp", of_raw_tp, bpf_raw_tracepoint_args, 0)
