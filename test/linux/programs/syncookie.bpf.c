// SPDX-License-Identifier: MIT
// For syncookie.test.ts: makes a cookie for the headers of `request`, and looks at answers to it.
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

char LICENSE[] SEC("license") = "GPL";

#define TCP_MOST 60

struct {
	__u8 ip[40];
	__u8 tcp[TCP_MOST];
	__u32 tcp_bytes;
} request;

struct {
	// The size, or -errno; the cookie itself is of a secret.
	__s64 made;
	__s64 right, wrong_number, wrong_address, wrong_port, wrong_minute;
} out;

#define SYNCOOKIE(version, header, address_byte)                                                                   \
	SEC("xdp") int cookie_##version(struct xdp_md *ctx)                                                         \
	{                                                                                                           \
		__u32 bytes = request.tcp_bytes;                                                                    \
		struct header *ip = (struct header *)request.ip;                                                    \
		struct tcphdr *tcp = (struct tcphdr *)request.tcp;                                                  \
		if (bytes > TCP_MOST)                                                                               \
			return 1;                                                                                   \
		__s64 made = bpf_tcp_raw_gen_syncookie_##version(ip, tcp, bytes);                                   \
		if (made < 0) {                                                                                     \
			out.made = made;                                                                            \
			return 2;                                                                                   \
		}                                                                                                   \
		out.made = made >> 32;                                                                              \
		__u32 answer = (__u32)made + 1;                                                                     \
		tcp->seq = bpf_htonl(bpf_ntohl(tcp->seq) + 1);                                                      \
		tcp->ack_seq = bpf_htonl(answer);                                                                   \
		out.right = bpf_tcp_raw_check_syncookie_##version(ip, tcp);                                         \
		tcp->ack_seq = bpf_htonl(answer + 0x100000);                                                        \
		out.wrong_number = bpf_tcp_raw_check_syncookie_##version(ip, tcp);                                  \
		tcp->ack_seq = bpf_htonl(answer - (2 << 24));                                                       \
		out.wrong_minute = bpf_tcp_raw_check_syncookie_##version(ip, tcp);                                  \
		tcp->ack_seq = bpf_htonl(answer);                                                                   \
		request.ip[address_byte] ^= 1;                                                                      \
		out.wrong_address = bpf_tcp_raw_check_syncookie_##version(ip, tcp);                                 \
		request.ip[address_byte] ^= 1;                                                                      \
		tcp->dest ^= 1;                                                                                     \
		out.wrong_port = bpf_tcp_raw_check_syncookie_##version(ip, tcp);                                    \
		return 2;                                                                                           \
	}

SYNCOOKIE(ipv4, iphdr, 15)
SYNCOOKIE(ipv6, ipv6hdr, 30)
