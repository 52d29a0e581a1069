/* Maps that several files use, and initial elements of maps. */
#include "shared.h"

struct key {
	int a;
	short b, c;
};

struct value {
	long sum;
	int parts[4];
};

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct key);
	__type(value, struct value);
} table SEC(".maps");

struct inner leaf SEC(".maps"), other_leaf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, int);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { &leaf, &other_leaf } };

extern struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, int);
	__type(value, long);
} counts SEC(".maps");

SEC("tc")
int fill(struct __sk_buff *skb)
{
	struct key key = { 1, 2, 3 };
	struct value value = { 11, { 1, 2, 3, 4 } }, *found;
	long *count;
	int zero = 0;

	bpf_map_update_elem(&table, &key, &value, BPF_ANY);
	count = bpf_map_lookup_elem(&counts, &zero);
	if (count)
		*count += 5;
	found = bpf_map_lookup_elem(&table, &key);
	return found ? (int)found->sum + found->parts[3] : -1;
}

char LICENSE[] SEC("license") = "GPL";
