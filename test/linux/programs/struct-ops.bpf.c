// SPDX-License-Identifier: MIT
// Programs for struct-ops-client.test.ts: structs of functions, one that exists to be test-run and one of many members.
#include "kfuncs.h"

struct bpf_dummy_ops_state {
	int val;
} __attribute__((preserve_access_index));

struct bpf_dummy_ops {
	int (*test_1)(struct bpf_dummy_ops_state *state);
	int (*test_2)(struct bpf_dummy_ops_state *state, int a, unsigned short b, char c, unsigned long d);
	// Not in the kernel, and nothing here.
	int (*test_3)(void);
};

SEC("struct_ops/test_1") int test_1(unsigned long long *ctx)
{
	struct bpf_dummy_ops_state *state = (void *)ctx[0];

	if (!state)
		return 7;
	int old = state->val;
	state->val = 90;
	return old;
}

SEC("struct_ops/test_2") int test_2(unsigned long long *ctx)
{
	struct bpf_dummy_ops_state *state = (void *)ctx[0];

	state->val = ctx[1] + ctx[2] + ctx[3] + ctx[4];
	return state->val;
}

SEC(".struct_ops") struct bpf_dummy_ops dummy = {
	.test_1 = (void *)test_1,
	.test_2 = (void *)test_2,
};

// The kernel's has more members, in another order.
struct tcp_congestion_ops___mine {
	char name[16];
	unsigned int (*ssthresh)(void *sk);
	void (*cong_avoid)(void *sk, unsigned int ack, unsigned int acked);
	unsigned int (*undo_cwnd)(void *sk);
	unsigned int flags;
};

SEC("struct_ops/ssthresh") unsigned int ssthresh(unsigned long long *ctx)
{
	return 21;
}

SEC("struct_ops/undo_cwnd") unsigned int undo_cwnd(unsigned long long *ctx)
{
	return 22;
}

SEC("struct_ops/undo_cwnd") unsigned int undo_otherwise(unsigned long long *ctx)
{
	return 23;
}

SEC("?.struct_ops.link") struct tcp_congestion_ops___mine linked = {
	.name = "mine",
	.ssthresh = (void *)ssthresh,
	.undo_cwnd = (void *)undo_cwnd,
	.flags = 3,
};
