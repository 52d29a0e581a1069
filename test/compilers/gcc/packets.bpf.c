/* Arithmetic of all widths and signs, byte order, copies, and a switch, on a packet. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct header {
	__u8 kind;
	__u8 flags;
	__be16 port;
	__be32 address;
	__s16 delta;
	__u8 name[6];
};

static __always_inline __u64 mix(__u64 hash, __u32 value)
{
	return (hash ^ value) * 1099511628211ull;
}

SEC("classifier")
int packets(struct __sk_buff *skb)
{
	struct header *packet = (void *)(long)skb->data, header;
	__u64 hash = 14695981039346656037ull;
	__u8 name[6];
	__s64 wide;

	if ((void *)(packet + 1) > (void *)(long)skb->data_end)
		return TC_ACT_SHOT;
	__builtin_memcpy(&header, packet, sizeof(header));
	__builtin_memset(name, 0x20, sizeof(name));
	__builtin_memcpy(name, header.name, 4);
	for (int i = 0; i < 6; i++)
		hash = mix(hash, name[i]);
	wide = header.delta;
	switch (header.kind) {
	case 0:
		return bpf_ntohs(header.port);
	case 1:
		return bpf_ntohs(header.address) << 3;
	case 2:
		return wide >> 2;
	case 3:
		return wide < -5 ? 1 : 2;
	case 4:
		return (__u32)(hash >> 32) / (header.flags | 1);
	case 5:
		return (__u32)hash % (header.flags | 1);
	case 6:
		packet->port = bpf_htons(bpf_ntohs(header.port) + 1);
		return (int)hash;
	default:
		return (__s8)header.flags * header.delta;
	}
}

char LICENSE[] SEC("license") = "GPL";
