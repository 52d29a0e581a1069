// SPDX-License-Identifier: MIT
// For attach-tracing.test.ts: programs of functions that the kernel's types name, and iterators.
#include "../../../bpf/guest.h"
#undef __TARGET_ARCH_riscv
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

__u64 entered, left, cookie;
__s64 argument, result;

SEC("fentry/add_one")
int on_entry(__u64 *context)
{
	entered++;
	argument = context[0];
	cookie = bpf_get_attach_cookie(context);
	return 0;
}

SEC("fexit/add_one")
int on_exit(__u64 *context)
{
	left++;
	result = context[1];
	return 0;
}

/* What a real Linux has: its own function for tests of such programs. */
SEC("?fentry/bpf_fentry_test1")
int on_linux(__u64 *context)
{
	entered++;
	return 0;
}

SEC("?lsm/bpf_map")
int on_hook(__u64 *context)
{
	return 0;
}

SEC("?tp_btf/sys_enter")
int on_system_call(__u64 *context)
{
	return 0;
}

struct seq_file;
struct bpf_map;
struct bpf_iter_meta {
	union { struct seq_file *seq; };
	__u64 session_id;
	__u64 seq_num;
} __attribute__((preserve_access_index));
struct bpf_iter__bpf_map_elem {
	union { struct bpf_iter_meta *meta; };
	union { struct bpf_map *map; };
	union { void *key; };
	union { void *value; };
} __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3000);
	__type(key, __u32);
	__type(value, __u64);
} squares SEC(".maps");

SEC("?iter/bpf_map_elem")
int dump_squares(struct bpf_iter__bpf_map_elem *context)
{
	static const char format[] = "%u\302\262 = %llu\n";
	__u32 *key = context->key;
	__u64 *value = context->value;
	__u64 arguments[2];

	if (!key || !value)
		return 0;
	arguments[0] = *key;
	arguments[1] = *value;
	bpf_seq_printf(context->meta->seq, format, sizeof(format), arguments, sizeof(arguments));
	return 0;
}

/* For freplace: a function that others may replace, and one that does. */
__attribute__((noinline)) int choose(int number)
{
	__asm__ volatile("" : "+r"(number));
	return number + 6;
}

SEC("?socket")
int asks(struct __sk_buff *packet)
{
	return choose(1);
}

SEC("?freplace/choose")
int answers(int number)
{
	return number + 7;
}
