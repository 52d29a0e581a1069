/*
 * What the benchmark programs share. Each compiles twice: for BPF, and natively with NATIVE defined, where maps are
 * the plain ones of native.h; so that both run the same C.
 */
#ifndef BENCH_H
#define BENCH_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifdef NATIVE
#include "native.h"
#else
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#define PROGRAM SEC("xdp") int run(void *context)
char _license[] SEC("license") = "GPL";
#endif

#define R4(x) (u8)(x), (u8)((x) * 7 + 3), (u8)((x) * 13 + 5), (u8)((x) * 29 + 11)
#define R16(x) R4(x), R4((x) + 51), R4((x) + 87), R4((x) + 133)
#define R64(x) R16(x), R16((x) + 17), R16((x) + 39), R16((x) + 71)
#define R256(x) R64(x), R64((x) + 3), R64((x) + 9), R64((x) + 21)
#define R1024(x) R256(x), R256((x) + 101), R256((x) + 57), R256((x) + 199)

static inline u64 rotl64(u64 x, int n) { return x << n | x >> (64 - n); }
static inline u32 rotl32(u32 x, int n) { return x << n | x >> (32 - n); }

#endif
