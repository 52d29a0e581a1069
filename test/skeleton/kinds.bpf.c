// SPDX-License-Identifier: MIT
// Every shape of key, value, variable and record that a skeleton has a type for.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum colour { RED = 1, GREEN = 2, BLUE = -4 };
enum { FIRST_CONSTANT = 7, SECOND_CONSTANT = 8 };
typedef enum { LOW, HIGH } level_t;

typedef struct {
	int x;
	int y;
} point;

union number {
	__u64 whole;
	__u8 bytes[8];
};

struct everything {
	__u8 small;
	_Bool yes;
	__s64 wide;
	enum colour colour;
	level_t level;
	point corners[2];
	union number number;
	char name[8];
	__u8 raw[4];
	__s8 deltas[2];
	unsigned int low : 3;
	unsigned int high : 5;
	struct {
		__u32 inner;
		union {
			__u32 left;
			__u16 right;
		};
	};
	struct {
		__u32 depth;
	} nested;
	void *pointer;
	const volatile __u32 __attribute__((aligned(8))) aligned;
};

struct sample {
	__u32 number;
	char text[12];
};
const struct sample *unused_sample __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, point);
	__type(value, struct everything);
} things SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64[3]);
} rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 6);
} untyped SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} sample_ring SEC(".maps");

const volatile enum colour favourite = GREEN;
const volatile char greeting[16] = "hello";
__u64 total = 3;
point origin = {1, 2};
level_t level;

SEC("syscall")
int put(void *context)
{
	struct sample *sample = bpf_ringbuf_reserve(&sample_ring, sizeof(*sample), 0);

	if (!sample)
		return 0;
	__builtin_memset(sample, 0, sizeof(*sample));
	sample->number = favourite + total;
	sample->text[0] = greeting[0];
	total++;
	origin.x += level + FIRST_CONSTANT;
	bpf_ringbuf_submit(sample, 0);
	return 1;
}

SEC("?socket")
int look(struct __sk_buff *skb)
{
	point key = {1, 2};
	__u32 zero = 0;

	return bpf_map_lookup_elem(&things, &key) && bpf_map_lookup_elem(&rows, &zero) &&
	       bpf_map_lookup_elem(&untyped, &zero);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
