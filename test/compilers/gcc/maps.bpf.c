/* Maps of several kinds in .maps: more than one to the section, with keys and values of types, and with contents. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct flow {
	__u32 bucket;
	__u16 kind;
	__u16 more;
};

struct count {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct flow);
	__type(value, struct count);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} recent SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
};

/* GCC writes the last one first, and libbpf wants inner maps before those that they are in. */
extern struct inner first_inner, second_inner;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { &first_inner, &second_inner } };

struct inner first_inner SEC(".maps"), second_inner SEC(".maps");

SEC("xdp")
int count(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct count one = { 1, 0 }, *known;
	__u32 zero = 0, slot;
	struct flow key = {};
	__u64 *total;
	__u32 *value;
	void *inner;

	if (data + 4 > end)
		return XDP_DROP;
	key.bucket = data[0];
	key.kind = data[1];
	one.bytes = end - data;
	known = bpf_map_lookup_elem(&flows, &key);
	if (known) {
		known->packets++;
		known->bytes += one.bytes;
	} else {
		bpf_map_update_elem(&flows, &key, &one, BPF_ANY);
	}
	slot = data[2] & 3;
	total = bpf_map_lookup_elem(&totals, &slot);
	if (total)
		*total += one.bytes;
	bpf_map_update_elem(&recent, &slot, &zero, BPF_ANY);
	slot &= 1;
	inner = bpf_map_lookup_elem(&outer, &slot);
	if (!inner)
		return XDP_DROP;
	value = bpf_map_lookup_elem(inner, &zero);
	if (!value)
		return XDP_DROP;
	*value += data[3];
	return *value;
}

char LICENSE[] SEC("license") = "GPL";
