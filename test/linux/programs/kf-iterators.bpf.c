// SPDX-License-Identifier: MIT
// For kernel-functions.test.ts: open-coded iterators, may_goto, sections.
#include "kfuncs.h"

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;
extern int bpf_iter_bits_new(struct bpf_iter_bits *it, const __u64 *unsafe_ptr__ign, __u32 nr_words) __ksym;
extern int *bpf_iter_bits_next(struct bpf_iter_bits *it) __ksym;
extern void bpf_iter_bits_destroy(struct bpf_iter_bits *it) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern void bpf_preempt_disable(void) __ksym;
extern void bpf_preempt_enable(void) __ksym;
extern void bpf_local_irq_save(unsigned long *flags) __ksym;
extern void bpf_local_irq_restore(unsigned long *flags) __ksym;

static __always_inline void count(int at, int start, int end)
{
	struct bpf_iter_num it;
	int *v;

	out[at] = bpf_iter_num_new(&it, start, end);
	while ((v = bpf_iter_num_next(&it))) {
		out[at + 1]++;
		out[at + 2] += *v;
		if (out[at + 1] > 2000)
			break;
	}
	bpf_iter_num_destroy(&it);
}

SEC("syscall")
int numbers(void *ctx)
{
	count(0, 0, 10);
	count(3, 5, 5);
	count(6, 5, 4);
	count(9, -3, 3);
	count(12, 0, 1 << 23);
	count(15, 0, (1 << 23) + 1);
	count(18, -2147483647 - 1, -2147483640);
	count(21, 2147483640, 2147483647);
	count(24, -2147483647 - 1, 2147483647);
	return 7;
}

SEC("xdp")
int nested(void *ctx)
{
	struct bpf_iter_num a, b;
	int *v, *w;

	bpf_iter_num_new(&a, 0, 20);
	while ((v = bpf_iter_num_next(&a))) {
		int outer = *v;

		bpf_iter_num_new(&b, outer, 30);
		while ((w = bpf_iter_num_next(&b))) {
			out[0] += *w * outer;
			out[1]++;
		}
		bpf_iter_num_destroy(&b);
	}
	bpf_iter_num_destroy(&a);
	return 2;
}

__u64 words[5] = { 0x8000000000000001, 0, 0xf0, 0, 1 };

static __always_inline void bits(int at, const __u64 *from, __u32 count)
{
	struct bpf_iter_bits it;
	int *v;

	out[at] = bpf_iter_bits_new(&it, from, count);
	while ((v = bpf_iter_bits_next(&it))) {
		out[at + 1]++;
		out[at + 2] = out[at + 2] * 31 + *v;
	}
	bpf_iter_bits_destroy(&it);
}

SEC("syscall")
int bit_sets(void *ctx)
{
	__u64 one = 0x10100;

	bits(0, words, 5);
	bits(3, words, 3);
	bits(6, words, 0);
	bits(9, 0, 4);
	bits(12, &one, 1);
	bits(15, words, 512);
	bits(18, (void *)-8, 2);
	bits(21, words + 1, 1);
	return 0;
}

SEC("tc")
int goes_on(void *ctx)
{
	__u64 n = 0;

	while (n < 1000 && can_loop)
		n++;
	out[0] = n;
	// How often it may is each kernel's own.
	while (can_loop)
		out[1] = 1;
	return 0;
}

SEC("syscall")
int protected(void *ctx)
{
	unsigned long flags;

	bpf_rcu_read_lock();
	out[0]++;
	bpf_rcu_read_unlock();
	bpf_preempt_disable();
	bpf_preempt_disable();
	out[0]++;
	bpf_preempt_enable();
	bpf_preempt_enable();
	bpf_local_irq_save(&flags);
	out[0]++;
	bpf_local_irq_restore(&flags);
	return out[0];
}
