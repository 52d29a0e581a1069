// SPDX-License-Identifier: MIT
// For client-contract.test.ts: a program that writes what it is given into every kind of map.
#include "../../bpf/guest.h"
#include <bpf/bpf_helpers.h>

enum colour { RED, GREEN = 7, BLUE };

struct sample {
	__u64 number;
	enum colour colour;
	__u32 low : 5, middle : 11;
	bool odd;
	char text[11];
	__s16 grid[2][3];
	union {
		__u32 word;
		__u8 bytes[4];
	};
};

const struct sample *unused_sample __attribute__((unused));

const volatile __u32 step = 1;
struct sample last = { .text = "nothing yet" };
__u64 runs, dropped;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} perf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, struct sample);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} per_cpu SEC(".maps");

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline void fill(struct sample *sample, __u64 number)
{
	__builtin_memset(sample, 0, sizeof(*sample));
	sample->number = number;
	sample->colour = number & 1 ? GREEN : BLUE;
	sample->low = number;
	sample->middle = number * 3;
	sample->odd = number & 1;
	__builtin_memcpy(sample->text, "sample", 7);
	sample->grid[1][2] = -number;
	sample->word = 0x04030201;
}

SEC("raw_tp")
int record(void *context)
{
	struct sample sample;
	__u32 zero = 0;
	__u64 *count;

	runs += step;
	fill(&sample, runs);
	last = sample;
	bpf_map_update_elem(&seen, &runs, &sample, BPF_ANY);
	count = bpf_map_lookup_elem(&per_cpu, &zero);
	if (count)
		*count += 1;
	if (bpf_ringbuf_output(&ring, &sample, sizeof(sample), 0))
		dropped++;
	bpf_perf_event_output(context, &perf, 0xffffffffULL, &sample, sizeof(sample));
	return runs;
}
