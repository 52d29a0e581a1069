/* GCC 12 swaps 32 bits with a function of its library, which BPF has not. */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int swap(struct xdp_md *ctx)
{
	return bpf_ntohl(ctx->rx_queue_index + 1);
}

char LICENSE[] SEC("license") = "GPL";
