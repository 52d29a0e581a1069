// SPDX-License-Identifier: MIT
// What programs with an arena share.
#include "kfuncs.h"

#define __arena __attribute__((address_space(1)))
#define __ulong(name, val) enum { name##_is = val } name
#define BPF_MAP_TYPE_ARENA 33
#define BPF_F_MMAPABLE (1U << 10)
#define NUMA_NO_NODE (-1)
#define PAGE 4096

void __arena *bpf_arena_alloc_pages(void *map, void __arena *at, __u32 count, int node, __u64 flags) __ksym;
void bpf_arena_free_pages(void *map, void __arena *at, __u32 count) __ksym;
int bpf_arena_reserve_pages(void *map, void __arena *at, __u32 count) __ksym;
