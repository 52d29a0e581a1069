// SPDX-License-Identifier: MIT
// Programs and maps for a tool to look at: every form that its output has.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum colour { RED = 1, GREEN = 2, BLUE = -4 };

struct key {
	int x;
	char letter;
};

struct value {
	__u8 small;
	_Bool yes;
	__s64 wide;
	enum colour colour;
	char name[8];
	char unprintable[4];
	__u8 raw[4];
	unsigned int low : 3;
	unsigned int high : 5;
	union {
		__u32 left;
		__u16 right;
	};
	void *pointer;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, struct key);
	__type(value, struct value);
} things SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 6);
} untyped SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 40);
} untyped_wide SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 20);
} untyped_rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 4);
} jumps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
	__uint(map_flags, BPF_F_NO_COMMON_LRU);
} recent SEC(".maps");

const volatile enum colour favourite = GREEN;
__u64 total = 3;

static __attribute__((noinline)) __u64 add(__u64 more)
{
	total += more * favourite;
	return total;
}

SEC("syscall")
int a_name_longer_than_fifteen(void *context)
{
	struct key key = {1, 'a'};
	__u32 zero = 0;
	struct value *value = bpf_map_lookup_elem(&things, &key);

	bpf_map_lookup_elem(&rows, &zero);
	bpf_map_lookup_elem(&untyped, &zero);
	bpf_map_update_elem(&recent, &zero, &zero, BPF_ANY);
	return value ? value->small : add(bpf_ktime_get_ns() & 1);
}

SEC("raw_tp/task_newtask")
int watch(void *context)
{
	bpf_tail_call(context, &jumps, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
