// SPDX-License-Identifier: MIT
// For kernel-functions.test.ts: timers, work queues, task work.
#include "kfuncs.h"

#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_BOOTTIME 7

extern int bpf_wq_init(struct bpf_wq *wq, void *p__map, unsigned int flags) __ksym;
extern int bpf_wq_set_callback_impl(struct bpf_wq *wq, int (*callback_fn)(void *map, int *key, void *value),
				    unsigned int flags, void *aux__ign) __ksym;
extern int bpf_wq_start(struct bpf_wq *wq, unsigned int flags) __ksym;

struct timed {
	__u64 before;
	struct bpf_timer timer;
	__u64 behind;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct timed);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct timed);
} hash SEC(".maps");

struct working {
	__u64 before;
	struct bpf_wq wq;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct working);
} works SEC(".maps");

static int in_array(void *map, __u32 *key, struct timed *value)
{
	out[0]++;
	out[1] = *key;
	out[2] = value->before + value->behind;
	value->behind = 99;
	// Its own timer: -EDEADLK.
	out[3] = bpf_timer_cancel(&value->timer);
	if (out[0] < 3)
		bpf_timer_start(&value->timer, 0, 0);
	return 0;
}

SEC("tc")
int array_timer__sets(void *ctx)
{
	struct timed *value;
	__u32 key = 1;

	value = bpf_map_lookup_elem(&array, &key);
	if (!value)
		return 1;
	value->before = 3;
	value->behind = 4;
	out[10] = bpf_timer_start(&value->timer, 0, 0);
	out[11] = bpf_timer_set_callback(&value->timer, in_array);
	out[12] = bpf_timer_cancel(&value->timer);
	out[13] = bpf_timer_init(&value->timer, &array, 3);
	out[14] = bpf_timer_init(&value->timer, &array, CLOCK_MONOTONIC);
	out[15] = bpf_timer_init(&value->timer, &array, CLOCK_MONOTONIC);
	out[16] = bpf_timer_start(&value->timer, 0, 0);
	out[17] = bpf_timer_set_callback(&value->timer, in_array);
	out[18] = bpf_timer_start(&value->timer, 0, 4);
	out[19] = bpf_timer_cancel(&value->timer);
	out[20] = bpf_timer_start(&value->timer, 0, 0);
	out[21] = bpf_timer_set_callback(&value->timer, in_array);
	out[22] = bpf_timer_start(&value->timer, 1ull << 60, 0);
	out[23] = bpf_timer_cancel(&value->timer);
	out[24] = bpf_timer_set_callback(&value->timer, in_array);
	return bpf_timer_start(&value->timer, 0, 0);
}

SEC("tc")
int array_timer__later(void *ctx)
{
	__u32 key = 1;
	struct timed *value = bpf_map_lookup_elem(&array, &key);

	return value ? value->behind : 7;
}

static int in_hash(void *map, __u32 *key, struct timed *value)
{
	out[0] += 1 << *key;
	out[1] += value->before;
	bpf_map_delete_elem(map, key);
	return 0;
}

static int put(__u32 key, __u64 ns, __u64 flags)
{
	struct timed fresh = { .before = key + 100 }, *value;

	bpf_map_update_elem(&hash, &key, &fresh, 0);
	value = bpf_map_lookup_elem(&hash, &key);
	if (!value)
		return 1;
	bpf_timer_init(&value->timer, &hash, flags ? CLOCK_BOOTTIME : CLOCK_MONOTONIC);
	bpf_timer_set_callback(&value->timer, in_hash);
	return bpf_timer_start(&value->timer, ns, flags);
}

SEC("tc")
int hash_timers__set(void *ctx)
{
	__u32 key = 3;
	struct timed fresh = { .before = 5 };

	put(1, 0, 0);
	put(2, 1000, 0);
	put(3, 1000, 0);
	put(4, 1ull << 60, 0);
	put(5, 1000, 1);
	put(6, 1000, 0);
	// A new value has no timer, and the old one's goes.
	bpf_map_update_elem(&hash, &key, &fresh, 0);
	key = 6;
	bpf_map_delete_elem(&hash, &key);
	return 0;
}

SEC("tc")
int hash_timers__later(void *ctx)
{
	for (__u32 key = 0; key < 8; key++) {
		__u32 copy = key;
		struct timed *value = bpf_map_lookup_elem(&hash, &copy);

		if (value)
			out[10] += 1 << key;
	}
	return 0;
}

static int works_on(void *map, int *key, void *value)
{
	struct working *work = value;

	out[0]++;
	out[1] = out[1] * 10 + *key;
	out[2] += work->before;
	return 0;
}

static int enqueue(__u32 key)
{
	struct working fresh = { .before = key + 10 }, *value;

	bpf_map_update_elem(&works, &key, &fresh, 0);
	value = bpf_map_lookup_elem(&works, &key);
	if (!value)
		return 1;
	out[10] = bpf_wq_start(&value->wq, 0);
	out[11] = bpf_wq_init(&value->wq, &works, 1);
	out[12] = bpf_wq_init(&value->wq, &works, 0);
	out[13] = bpf_wq_init(&value->wq, &works, 0);
	out[14] = bpf_wq_start(&value->wq, 0);
	out[15] = bpf_wq_set_callback_impl(&value->wq, works_on, 0, 0);
	out[16] = bpf_wq_start(&value->wq, 1);
	return bpf_wq_start(&value->wq, 0);
}

SEC("syscall")
int work_queues__set(void *ctx)
{
	return enqueue(3);
}

SEC("syscall")
int work_queues__later(void *ctx)
{
	return out[0];
}

__u64 delay = 1000;
__u64 started_at;
__u64 fired_at;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct timed);
} once SEC(".maps");

static int fires(void *map, __u32 *key, struct timed *value)
{
	out[0]++;
	fired_at = bpf_ktime_get_ns();
	return 0;
}

SEC("tc")
int in_a_while__starts(void *ctx)
{
	__u32 key = 0;
	struct timed *value = bpf_map_lookup_elem(&once, &key);

	if (!value)
		return 1;
	bpf_timer_init(&value->timer, &once, CLOCK_MONOTONIC);
	bpf_timer_set_callback(&value->timer, fires);
	started_at = bpf_ktime_get_ns();
	return bpf_timer_start(&value->timer, delay, 0);
}

SEC("tc")
int in_a_while__later(void *ctx)
{
	return out[0];
}
