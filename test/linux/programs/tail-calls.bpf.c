// SPDX-License-Identifier: MIT
// Tail calls that are made deep in programs: what every program of a chain does when those behind it have returned.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	unsigned int entered, fell_through, returned;
} out;

int deep_chain(struct __sk_buff *skb);
int direct_chain(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} chains SEC(".maps") = {
	.values = { [0] = (void *)&deep_chain, [1] = (void *)&direct_chain },
};

static __noinline int innermost(struct __sk_buff *skb)
{
	volatile char own[32] = { 1, 2, 3 };

	out.entered++;
	bpf_tail_call(skb, &chains, 0);
	out.fell_through++;
	return own[1];
}

static __noinline int middle(struct __sk_buff *skb)
{
	int result = innermost(skb);

	return result + 1;
}

SEC("?tc")
int deep_chain(struct __sk_buff *skb)
{
	int before = out.entered;
	int result = middle(skb);

	out.returned += before;
	return result + 1;
}

SEC("?tc")
int direct_chain(struct __sk_buff *skb)
{
	out.entered++;
	bpf_tail_call(skb, &chains, 1);
	out.fell_through++;
	return out.entered;
}
