// SPDX-License-Identifier: MIT
// For lwt-encap.test.ts: puts `request` before the packet, and says what became of it.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__u32 mode;
	__u32 size;
	__u8 header[304];
} request;

struct {
	__s64 answer;
	__u32 length, protocol, hash, first;
} out;

static int push(struct __sk_buff *skb)
{
	__u32 size = request.size;
	if (size - 1 >= sizeof(request.header))
		return 1;
	out.answer = bpf_lwt_push_encap(skb, request.mode, request.header, size);
	out.length = skb->len;
	out.protocol = skb->protocol;
	out.hash = skb->hash;
	void *data = (void *)(long)skb->data;
	if (data + 4 <= (void *)(long)skb->data_end)
		out.first = *(__u32 *)data;
	return 0;
}

SEC("lwt_in") int push_in(struct __sk_buff *skb)
{
	return push(skb);
}

SEC("lwt_xmit") int push_xmit(struct __sk_buff *skb)
{
	return push(skb);
}
