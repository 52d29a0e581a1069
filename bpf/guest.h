/* SPDX-License-Identifier: MIT */
/*
 * What a program for the demo kernel in guest/ (RISC-V 64) needs to know, in the place of a vmlinux.h.
 *
 * Include it before <bpf/bpf_helpers.h>: it names the integer types that libbpf's headers expect, so that a
 * build depends on no header of the machine that it runs on.
 */
#ifndef ANYBPF_GUEST_H
#define ANYBPF_GUEST_H

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;

#define true 1
#define false 0

/* Numbers of Linux's include/uapi/linux/bpf.h, as far as the programs here use them. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_EXIST = 2,
};

/* The context of a kprobe: the registers before the probed instruction, in Linux's order for riscv64. */
struct pt_regs {
	unsigned long epc;
	unsigned long ra, sp, gp, tp;
	unsigned long t0, t1, t2;
	unsigned long s0, s1;
	unsigned long a0, a1, a2, a3, a4, a5, a6, a7;
	unsigned long s2, s3, s4, s5, s6, s7, s8, s9, s10, s11;
	unsigned long t3, t4, t5, t6;
};

/* <bpf/bpf_tracing.h> (PT_REGS_PARM1, BPF_KPROBE) knows the same registers by Linux's user-space name. */
#define __TARGET_ARCH_riscv 1
#define user_regs_struct pt_regs

#define TASK_COMM_LEN 16

#endif
