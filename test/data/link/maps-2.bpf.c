#include "shared.h"

struct key {
	int a;
	short b, c;
};

struct value {
	long sum;
	int parts[4];
};

extern struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct key);
	__type(value, struct value);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, int);
	__type(value, long);
} counts SEC(".maps");

int drain(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(int));
	__array(values, int (struct __sk_buff *));
} jumps SEC(".maps") = { .values = { [1] = &drain } };

SEC("tc")
int drain(struct __sk_buff *skb)
{
	struct key key = { 1, 2, 3 };
	struct value *found = bpf_map_lookup_elem(&table, &key);
	int zero = 0;
	long *count = bpf_map_lookup_elem(&counts, &zero);

	return (found ? (int)found->sum : 0) + (count ? (int)*count : 0);
}

SEC("tc")
int jump(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &jumps, 1);
	return 3;
}

char LICENSE[] SEC("license") = "GPL";
