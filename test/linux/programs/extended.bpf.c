// SPDX-License-Identifier: MIT
// For program-on-program.test.ts: programs with functions that others replace and trace, and those others. Each is
// loaded by its name.
#include "../../../bpf/guest.h"
#undef __TARGET_ARCH_riscv
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

#define XDP_DROP 1
#define XDP_PASS 2

/* How long a packet may be: small, so that it is inlined where nothing is attached. */
__attribute__((noinline)) int limit(int port)
{
	__asm__ volatile("" : "+r"(port));
	return port + 40;
}

/* A function of its own to the compiler that is not global. */
static __attribute__((noinline)) int both(int first, int second)
{
	__asm__ volatile("" : "+r"(first), "+r"(second));
	return first * 100 + second;
}

/* A function that gets the context. */
__attribute__((noinline)) int length_of(struct xdp_md *context)
{
	return context->data_end - context->data;
}

SEC("?xdp")
int filter(struct xdp_md *context)
{
	int length = length_of(context);

	if (both(length, context->ingress_ifindex) < 0)
		return 0;
	return length > limit(10) ? XDP_DROP : XDP_PASS;
}

/* Of the same kind, with the same functions. */
SEC("?xdp")
int second_filter(struct xdp_md *context)
{
	return length_of(context) > limit(1) ? XDP_DROP : XDP_PASS;
}

static long count_one(__u32 index, void *sum)
{
	*(long *)sum += index;
	return 0;
}

/* A helper calls its function back. */
SEC("?xdp")
int loops(struct xdp_md *context)
{
	long sum = 0;

	bpf_loop(5, count_one, &sum, 0);
	return sum;
}

__u64 replaced;

SEC("?freplace/limit")
int wide_limit(int port)
{
	replaced++;
	return port * 1000;
}

SEC("?freplace/length_of")
int no_length(struct xdp_md *context)
{
	return context->rx_queue_index;
}

SEC("?freplace/limit")
int other_arguments(int port, int more)
{
	return port + more;
}

SEC("?freplace/both")
int of_static(int first, int second)
{
	return first + second;
}

__u64 arguments[3], result, calls, cookie;
__s64 words, asked;

SEC("?fentry/both")
int before_both(__u64 *context)
{
	arguments[0] = (int)context[0];
	arguments[1] = (int)context[1];
	cookie = bpf_get_attach_cookie(context);
	words = bpf_get_func_arg_cnt(context);
	calls++;
	return 0;
}

SEC("?fexit/both")
int after_both(__u64 *context)
{
	__u64 value = 0;

	result = (int)context[2];
	asked = bpf_get_func_ret(context, &value);
	if ((int)value != (int)result)
		asked = -1;
	calls++;
	return 0;
}

struct xdp_buff {
	void *data;
	void *data_end;
} __attribute__((preserve_access_index));

__u64 packet_bytes;
__u8 first_byte;

SEC("?fexit/filter")
int after_filter(__u64 *context)
{
	struct xdp_buff *buffer = (struct xdp_buff *)context[0];

	packet_bytes = buffer->data_end - buffer->data;
	bpf_probe_read_kernel(&first_byte, 1, buffer->data);
	result = (int)context[1];
	calls++;
	return 0;
}

SEC("?fentry/count_one")
int before_count(__u64 *context)
{
	calls++;
	arguments[0] += (__u32)context[0];
	return 0;
}

/* Of a tracing program, and of an extension. */
SEC("?fentry/before_both")
int before_tracer(__u64 *context)
{
	calls += 100;
	return 0;
}

SEC("?fexit/wide_limit")
int after_extension(__u64 *context)
{
	arguments[2] = (int)context[0];
	result = (int)context[1];
	return 0;
}

/* Exceptions leave the program that throws them. */
extern void bpf_throw(__u64 cookie) __attribute__((section(".ksyms"))) __attribute__((weak));

__attribute__((noinline)) int checked(int length)
{
	__asm__ volatile("" : "+r"(length));
	if (length == 64)
		bpf_throw(33);
	return length;
}

SEC("?xdp")
int throws(struct xdp_md *context)
{
	return checked(length_of(context)) + 1;
}

SEC("?fentry/checked")
int before_checked(__u64 *context)
{
	calls++;
	return 0;
}

SEC("?fexit/checked")
int after_checked(__u64 *context)
{
	calls++;
	return 0;
}

SEC("?freplace/checked")
int throws_too(int length)
{
	if (length == 64)
		bpf_throw(44);
	return length;
}

SEC("?fmod_ret/limit")
int changes(__u64 *context)
{
	return 1;
}
