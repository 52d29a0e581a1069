// SPDX-License-Identifier: MIT
// Programs for arena.test.ts: what an arena of 100 pages is to them.
#include "arena.h"

// Where the arena lies: what the loader gives as map_extra.
const volatile __u64 start;

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 100);
} arena SEC(".maps");

struct node {
	struct node __arena *next;
	__u64 value;
};

__u64 __arena seven = 7;
__u32 __arena words[4] = {1, 2, 3, 4};
__u64 __arena nothing;

static void __arena *at(__u64 address)
{
	return (void __arena *)address;
}

static __u64 alloc(__u64 address, __u32 count)
{
	return (__u64)bpf_arena_alloc_pages(&arena, at(address), count, NUMA_NO_NODE, 0);
}

// Variables of the object lie at the start.
SEC("syscall") int globals(void *ctx)
{
	out[0] = seven;
	out[1] = words[3];
	seven = 8;
	words[1] += 40;
	out[2] = words[1];
	out[3] = nothing;
	out[4] = (__u64)&seven - start < PAGE;
	return 0;
}

// The pages that allocations get, of one and of several, at an address and anywhere.
SEC("syscall") int allocates(void *ctx)
{
	out[0] = alloc(0, 1);
	out[1] = alloc(0, 5);
	out[2] = alloc(start + 50 * PAGE, 2);
	out[3] = alloc(start + 51 * PAGE, 1);
	out[4] = alloc(start + 50 * PAGE + 8, 1);
	out[5] = alloc(0, 60);
	out[6] = alloc(0, 0);
	out[7] = alloc(0, 101);
	out[8] = alloc(start + 99 * PAGE, 2);
	out[9] = alloc(start + 99 * PAGE, 1);
	bpf_arena_free_pages(&arena, at(out[1] + PAGE), 2);
	out[10] = alloc(0, 1);
	out[11] = alloc(0, 2);
	bpf_arena_free_pages(&arena, at(out[1] + 17), 1);
	out[12] = alloc(0, 1);
	out[13] = (__u64)bpf_arena_alloc_pages(&arena, at(0), 1, NUMA_NO_NODE, 1);
	out[14] = alloc(out[1] & 0xffffffff, 1);
	bpf_arena_free_pages(&arena, at(start + 98 * PAGE), 100);
	out[15] = alloc(0, 2);
	return 0;
}

SEC("syscall") int reserves(void *ctx)
{
	out[0] = bpf_arena_reserve_pages(&arena, at(start + 60 * PAGE), 3);
	out[1] = alloc(start + 61 * PAGE, 1);
	out[2] = bpf_arena_reserve_pages(&arena, at(start + 62 * PAGE), 3);
	out[3] = bpf_arena_reserve_pages(&arena, at(start + 98 * PAGE), 3);
	out[4] = bpf_arena_reserve_pages(&arena, at(start + 98 * PAGE + 1), 3);
	out[5] = bpf_arena_reserve_pages(&arena, at(start + 98 * PAGE), 0);
	bpf_arena_free_pages(&arena, at(start + 60 * PAGE), 2);
	out[6] = alloc(start + 61 * PAGE, 1);
	out[7] = alloc(0, 38);
	return 0;
}

// What is not there reads as zero, of every width, and takes no store.
SEC("syscall") int missing(void *ctx)
{
	volatile __u64 __arena *far = at(start + 70 * PAGE);

	out[0] = far[0];
	out[1] = *(volatile __u8 __arena *)far;
	out[2] = *(volatile __s16 __arena *)far;
	far[0] = 5;
	far[1] = 6;
	out[3] = alloc((__u64)far, 1);
	out[4] = far[0] + far[1];
	far[0] = 0x8182838485868788;
	out[5] = far[0];
	out[6] = *(volatile __u8 __arena *)far;
	out[7] = *(volatile __s16 __arena *)far;
	out[8] = *(volatile __s32 __arena *)far;
	out[9] = *(volatile __u16 __arena *)far;
	bpf_arena_free_pages(&arena, (void __arena *)far, 1);
	out[10] = far[0];
	// Comes back clean.
	out[11] = alloc((__u64)far, 1) == (__u64)far ? far[0] : 1;
	// Out of the arena, and out of any.
	out[12] = *(volatile __u64 __arena *)at(start + 100 * PAGE);
	out[13] = *(volatile __u64 __arena *)at(start + 0xfffffff0);
	out[14] = *(volatile __u64 __arena *)at(8);
	return 0;
}

// Accesses across the end of a page: both there, one of both.
SEC("syscall") int across(void *ctx)
{
	__u64 pages = alloc(start + 30 * PAGE, 2);
	volatile __u64 __arena *middle = at(pages + PAGE - 3);
	volatile __u64 __arena *end = at(pages + 2 * PAGE - 3);
	volatile __u64 __arena *last = at(pages + 2 * PAGE - 8);

	*middle = 0x1122334455667788;
	out[0] = *middle;
	out[1] = *(volatile __u64 __arena *)at(pages + PAGE);
	*last = 0x0102030405060708;
	*end = ~0ull;
	out[2] = *end;
	out[3] = *last;
	__sync_fetch_and_add((__u64 __arena *)middle, 0x1000000000000001);
	out[4] = *middle;
	return 0;
}

SEC("syscall") int atomics(void *ctx)
{
	__u64 page = alloc(0, 1);
	__u64 __arena *p = at(page);
	__u32 __arena *w = at(page + 64);

	*p = 10;
	*w = 0xfffffffe;
	out[0] = __sync_fetch_and_add(p, 5);
	out[1] = *p;
	out[2] = __sync_lock_test_and_set(p, 77);
	out[3] = __sync_val_compare_and_swap(p, 77, 99);
	out[4] = __sync_val_compare_and_swap(p, 77, 100);
	out[5] = *p;
	__sync_fetch_and_or(p, 0xf00);
	__sync_fetch_and_and(p, ~1ull);
	__sync_fetch_and_xor(p, 0xff);
	out[6] = *p;
	out[7] = __sync_fetch_and_add(w, 3);
	out[8] = *w;
	out[9] = __sync_val_compare_and_swap(w, 1, 0xabcdef01);
	out[10] = *w;
	return 0;
}

// On a page that is not there: registers stay as they are.
SEC("syscall") int atomics_missing(void *ctx)
{
	__u64 __arena *p = at(start + 80 * PAGE);

	out[0] = __sync_fetch_and_add(p, 5);
	out[1] = __sync_lock_test_and_set(p, 77);
	out[2] = __sync_val_compare_and_swap(p, 33, 99);
	__sync_fetch_and_or(p, 0xf00);
	out[3] = alloc(start + 80 * PAGE, 1);
	out[4] = *p;
	return 0;
}

static __attribute__((noinline)) int link(struct node __arena *one, struct node __arena *next, __u64 value)
{
	one->next = next;
	one->value = value;
	return 0;
}

// Pointers in memory are user space's addresses, and arithmetic on them is of 32 bits.
SEC("syscall") int list(void *ctx)
{
	struct node __arena *nodes = (void __arena *)bpf_arena_alloc_pages(&arena, 0, 1, NUMA_NO_NODE, 0);
	struct node __arena *head = 0;

	if (!nodes)
		return 1;
	for (int i = 0; i < 10; i++) {
		link(nodes + i, head, i * i);
		head = nodes + i;
	}
	__u64 sum = 0;
	struct node __arena *one = head;
	for (int i = 0; i < 20 && one; i++) {
		sum = sum * 3 + one->value;
		one = one->next;
	}
	out[0] = (__u64)head;
	out[1] = sum;
	out[2] = (__u64)nodes[9].next;
	out[3] = (__u64)nodes[0].next;
	out[4] = head[-4].value;
	return 0;
}

// Null casts to null, and anything else gets the upper 32 bits of user space's addresses.
SEC("syscall") int casts(void *ctx)
{
	__u64 values[] = {0, 1, 0x100000000, start + 5, 0xffffffff, 0x80000000};

	out[8] = seven;

	for (int i = 0; i < 6; i++) {
		__u64 value = values[i], user;

		asm volatile("%0 = addr_space_cast(%1, 1, 0)" : "=r"(user) : "r"(value));
		out[i] = user;
	}
	return 0;
}

static __attribute__((noinline)) __u64 sum_of(__u32 __arena *from, int count)
{
	__u64 sum = 0;

	for (int i = 0; i < 8 && i < count; i++)
		sum += from[i];
	return sum;
}

// Through a subprogram, with a bound that is not known.
SEC("syscall") int subprograms(void *ctx)
{
	__u32 __arena *p = (__u32 __arena *)bpf_arena_alloc_pages(&arena, 0, 1, NUMA_NO_NODE, 0);

	if (!p)
		return 1;
	for (int i = 0; i < 8; i++)
		p[i] = i + 1;
	out[0] = sum_of(p, 4) + (sum_of(p + 2, 6) << 32);
	return sum_of(words, 4);
}

struct command {
	__u64 operation;
	__u64 address;
	__u64 count;
	__u64 result;
};

#define COMMANDS 120
struct command script[COMMANDS];

// Allocates, frees and reserves as the script says.
SEC("syscall") int scripted(void *ctx)
{
	for (int i = 0; i < COMMANDS; i++) {
		struct command *c = &script[i];

		if (c->operation == 1) {
			c->result = alloc(c->address, c->count);
		} else if (c->operation == 2) {
			bpf_arena_free_pages(&arena, at(c->address), c->count);
		} else if (c->operation == 3) {
			c->result = bpf_arena_reserve_pages(&arena, at(c->address), c->count);
		}
	}
	return 0;
}

// Of what an atomic instruction leaves in a register, only the low half is asked for; on both kinds of pages.
SEC("syscall") int atomics_narrow(void *ctx)
{
	__u64 present = alloc(start + 20 * PAGE, 1);

	for (int i = 0; i < 4; i++) {
		__u64 __arena *p = at(i & 1 ? present : start + 21 * PAGE);
		__u64 big = seven * 0x100000003 + i;
		__u32 low = big;

		out[i] = (__u32)__sync_fetch_and_add(p, big) + 1;
		out[8 + i] = (__u32)__sync_val_compare_and_swap(p, big, 5) * 3;
		out[16 + i] = (__u32)__sync_lock_test_and_set((__u32 __arena *)p, low) + 2;
	}
	out[24] = *(__u64 __arena *)at(present);
	return 0;
}
