// SPDX-License-Identifier: MIT
// For scenes/stacked.ts: programs that call functions, and programs that replace and trace these.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define MOST 512

// What programs of all loads noted, in the order in which they did.
struct notes {
	__u64 count;
	__u64 values[MOST];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct notes);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} stacked_notes SEC(".maps");

static __always_inline void note(__u64 value)
{
	__u32 zero = 0;
	struct notes *notes = bpf_map_lookup_elem(&stacked_notes, &zero);

	if (notes)
		notes->values[notes->count++ & (MOST - 1)] = value;
}

/* Functions. */

__noinline int twice(int number)
{
	volatile int result = number * 2;

	note(1000 + number);
	return result;
}

__noinline __u64 five(struct xdp_md *ctx, signed char a, unsigned short b, int c, __u64 d)
{
	volatile __u64 sum = d;

	// Else nobody would hand it over.
	asm volatile("" : : "r"(ctx));
	return sum + a + b + c;
}

static __noinline long hidden(int number)
{
	volatile long result = -number;

	return result;
}

static __noinline void nothing(int number)
{
	note(2000 + number);
}

static __noinline int outer(int number)
{
	int inner = twice(number);

	note(3000 + number);
	return inner + twice(number + 1);
}

static long on_element(void *map, __u32 *key, __u64 *value, __u64 *sum)
{
	*sum += *value + *key;
	return 0;
}

static long on_loop(__u32 index, void *sum)
{
	*(__u64 *)sum += index;
	return index == 3;
}

struct pair {
	__u64 first;
	int second;
};

__noinline int add(struct pair *pair)
{
	if (!pair)
		return -1;
	pair->first += 100;
	return pair->first + pair->second;
}

/* Programs that call them. */

__u64 big = 0xfedcba9876543210;
int small = 20;

SEC("?xdp")
int calls(struct xdp_md *ctx)
{
	return twice(small) + 1;
}

SEC("?xdp")
int calls_all(struct xdp_md *ctx)
{
	__u64 sum = five(ctx, -small, 40000 + small, -3 * small, big);

	nothing(small);
	return sum + hidden(small) + outer(small);
}

SEC("?xdp")
int calls_back(struct xdp_md *ctx)
{
	__u64 sum = 0;

	return bpf_loop(10, on_loop, &sum, 0) * 100 + sum;
}

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} elements SEC(".maps");

SEC("?xdp")
int calls_back_for_elements(struct xdp_md *ctx)
{
	__u64 sum = 5;
	long count = bpf_for_each_map_elem(&elements, on_element, &sum, 0);

	return count * 100 + sum;
}

SEC("?xdp")
int calls_with_memory(struct xdp_md *ctx)
{
	struct pair pair = { .first = 7, .second = small };
	int result = add(&pair);

	return result * 1000 + pair.first;
}

/* Tail calls. */

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} stacked_jumps SEC(".maps");

__u64 rounds;

SEC("?xdp")
int leaves(struct xdp_md *ctx)
{
	note(4000);
	bpf_tail_call(ctx, &stacked_jumps, 0);
	return 5;
}

SEC("?xdp")
int arrives(struct xdp_md *ctx)
{
	note(4001);
	return 6;
}

__noinline int step(struct xdp_md *ctx)
{
	volatile int result = 7;

	note(4002);
	bpf_tail_call(ctx, &stacked_jumps, 0);
	return result;
}

SEC("?xdp")
int leaves_inside(struct xdp_md *ctx)
{
	return step(ctx) * 10;
}

SEC("?tc")
int arrives_tc(struct __sk_buff *ctx)
{
	note(4003);
	return 6;
}

__noinline int step_tc(struct __sk_buff *ctx)
{
	volatile int result = 7;

	note(4004);
	bpf_tail_call(ctx, &stacked_jumps, 0);
	return result;
}

SEC("?tc")
int leaves_inside_tc(struct __sk_buff *ctx)
{
	return step_tc(ctx) * 10;
}

__noinline int turn(struct xdp_md *ctx)
{
	volatile int result = 8;

	bpf_tail_call(ctx, &stacked_jumps, 1);
	return result;
}

// Comes to itself through a function, until it may not any more.
SEC("?xdp")
int circles(struct xdp_md *ctx)
{
	rounds++;
	return turn(ctx) + 1;
}

/* The same functions' tracers: of the n-th of a function, one note that says which. */

#define ENTRY(name, function, ...)                                             \
	SEC("?fentry/" #function)                                              \
	int name(__u64 *ctx)                                                   \
	{                                                                      \
		__VA_ARGS__;                                                   \
		return 0;                                                      \
	}
#define EXIT(name, function, ...)                                              \
	SEC("?fexit/" #function)                                               \
	int name(__u64 *ctx)                                                   \
	{                                                                      \
		__VA_ARGS__;                                                   \
		return 0;                                                      \
	}

ENTRY(entry1, twice, note(11); note(ctx[0]))
ENTRY(entry2, twice, note(12); note(ctx[0]))
ENTRY(entry3, twice, note(13))
ENTRY(entry4, twice, note(14))
EXIT(exit1, twice, note(21); note(ctx[0]); note(ctx[1]))
EXIT(exit2, twice, note(22); note(ctx[0]); note(ctx[1]))
EXIT(exit3, twice, note(23))

ENTRY(entry_five, five, note(31); note(ctx[1]); note(ctx[2]); note(ctx[3]); note(ctx[4]))
EXIT(exit_five, five, note(32); note(ctx[1]); note(ctx[2]); note(ctx[3]); note(ctx[4]); note(ctx[5]))
ENTRY(entry_hidden, hidden, note(33); note(ctx[0]))
EXIT(exit_hidden, hidden, note(34); note(ctx[0]); note(ctx[1]))
ENTRY(entry_nothing, nothing, note(35); note(ctx[0]))
EXIT(exit_nothing, nothing, note(36); note(ctx[0]))
ENTRY(entry_outer, outer, note(37); note(ctx[0]))
EXIT(exit_outer, outer, note(38); note(ctx[0]); note(ctx[1]))
// Nobody calls it as its type says, so that there are five words before the result.
ENTRY(entry_back, on_loop, note(39); note((__u32)ctx[0]))
EXIT(exit_back, on_loop, note(40); note((__u32)ctx[0]); note(ctx[5]))

ENTRY(entry_element, on_element, note(54))
EXIT(exit_element, on_element, note(55); note(ctx[5]))

EXIT(exit_calls, calls, note(41); note(ctx[1]))
EXIT(exit_calls_all, calls_all, note(42); note(ctx[1]))
EXIT(exit_leaves, leaves, note(43); note(ctx[1]))
ENTRY(entry_arrives, arrives, note(44))
EXIT(exit_arrives, arrives, note(45); note(ctx[1]))
ENTRY(entry_step, step, note(46))
EXIT(exit_step, step, note(47); note(ctx[1]))
ENTRY(entry_turn, turn, note(48))
EXIT(exit_turn, turn, note(49); note(ctx[1]))
EXIT(exit_circles, circles, note(50); note(ctx[1]))
ENTRY(entry_circles, circles, note(51))

// Pointers by what the helper reads there.
static __always_inline void note_pair(__u64 *ctx)
{
	struct pair pair = {};
	__u64 pointer = 0;

	note(bpf_get_func_arg(ctx, 0, &pointer));
	note(bpf_probe_read_kernel(&pair, sizeof(pair), (void *)pointer));
	note(pair.first);
	note(pair.second);
}

ENTRY(entry_add, add, note(52); note_pair(ctx))
EXIT(exit_add, add, note(53); note_pair(ctx); note(ctx[1]))

static __always_inline void note_arguments(__u64 *ctx)
{
	note(bpf_get_func_arg_cnt(ctx));
	// The context is an address.
	for (int i = 1; i < 7; i++) {
		__u64 value = 99;

		note(bpf_get_func_arg(ctx, i, &value));
		note(value);
	}
	note(bpf_get_attach_cookie(ctx));
}

static __always_inline void note_result(__u64 *ctx)
{
	__u64 value = 99;

	note(bpf_get_func_ret(ctx, &value));
	note(value);
}

ENTRY(entry_asks, five, note_arguments(ctx))
EXIT(exit_asks, five, note_arguments(ctx); note_result(ctx))

// A tracing program, and one that traces it: the context of the former is the argument of the latter.
ENTRY(traces_entry1, entry1, note(61))
EXIT(traces_entry1_exit, entry1, note(62); note(ctx[5]))
EXIT(traces_traces, traces_entry1, note(63))

/* Replacements. */

__noinline int three_times(int number)
{
	volatile int result = number * 3;

	return result;
}

SEC("?freplace/twice")
int thrice(int number)
{
	note(70);
	return three_times(number);
}

SEC("?freplace/twice")
int ten_times(int number)
{
	note(71);
	return number * 10;
}

SEC("?freplace/five")
__u64 replaces_five(struct xdp_md *ctx, signed char a, unsigned short b, int c, __u64 d)
{
	note(72);
	note(a);
	note(b);
	note(c);
	note(d);
	return (ctx->data_end - ctx->data) + d;
}

SEC("?freplace/calls")
int replaces_calls(struct xdp_md *ctx)
{
	note(73);
	return ctx->data_end - ctx->data;
}

SEC("?freplace/step")
int replaces_step(struct xdp_md *ctx)
{
	volatile int result = 9;

	note(74);
	bpf_tail_call(ctx, &stacked_jumps, 0);
	return result;
}

SEC("?freplace/step_tc")
int replaces_step_tc(struct __sk_buff *ctx)
{
	volatile int result = 9;

	note(78);
	bpf_tail_call(ctx, &stacked_jumps, 0);
	return result;
}

EXIT(exit_arrives_tc, arrives_tc, note(79); note(ctx[1]))

EXIT(exit_thrice, thrice, note(75); note(ctx[0]); note(ctx[1]))
ENTRY(entry_thrice, thrice, note(76); note(ctx[0]))
EXIT(exit_three_times, three_times, note(77); note(ctx[0]); note(ctx[1]))

SEC("?freplace/thrice")
int replaces_thrice(int number)
{
	return number;
}

SEC("?fentry.s/twice")
int entry_sleeps(__u64 *ctx)
{
	return 0;
}

SEC("?fmod_ret/twice")
int changes(__u64 *ctx)
{
	return 1;
}
