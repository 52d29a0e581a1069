// SPDX-License-Identifier: MIT
// For kernel-functions.test.ts: programs that make system calls, and look names up.
#include "kfuncs.h"

struct map_create {
	__u32 type, key_size, value_size, max_entries, flags;
	__u32 rest[20];
};
struct elem {
	__u32 fd;
	__u32 pad;
	__u64 key, value, flags;
};
struct prog_load {
	__u32 type, insn_cnt;
	__u64 insns, license;
	__u32 log_level, log_size;
	__u64 log_buf;
	__u32 rest[20];
};

struct bpf_map {
	__u32 id;
};

static struct map_create create;
static struct elem element;
static struct prog_load load;
static __u64 insns[2] = { 0x00000000000000b7, 0x0000000000000095 };
static char gpl[] = "GPL";
static __u32 key;
static __u64 value = 0x1234;

SEC("syscall")
int makes_maps(void *ctx)
{
	int map, program;

	create.type = 2;
	create.key_size = 4;
	create.value_size = 8;
	create.max_entries = 2;
	map = bpf_sys_bpf(0, &create, sizeof(create));
	out[0] = map > 0;
	key = 1;
	element.fd = map;
	element.key = (unsigned long)&key;
	element.value = (unsigned long)&value;
	out[1] = bpf_sys_bpf(2, &element, sizeof(element));
	// A command that programs may not use.
	out[2] = bpf_sys_bpf(1, &element, sizeof(element));
	out[3] = bpf_sys_bpf(3, &element, sizeof(element));
	load.type = 1;
	load.insn_cnt = 2;
	load.insns = (unsigned long)insns;
	load.license = (unsigned long)gpl;
	program = bpf_sys_bpf(5, &load, sizeof(load));
	out[4] = program > 0;
	load.insn_cnt = 1;
	out[5] = bpf_sys_bpf(5, &load, sizeof(load));
	out[6] = bpf_sys_close(program);
	out[7] = bpf_sys_close(map);
	out[8] = bpf_sys_close(map);
	out[9] = bpf_sys_bpf(2, &element, sizeof(element));
	return 0;
}

static char known[] = "bpf_iter_num";
static char function[] = "bpf_iter_num_new";
static char unknown[] = "no_such_type_anywhere";
static __u64 address;

SEC("syscall")
int looks_up(void *ctx)
{
	out[0] = bpf_btf_find_by_name_kind(known, sizeof(known), 4, 0) > 0;
	out[1] = bpf_btf_find_by_name_kind(function, sizeof(function), 12, 0) > 0;
	out[2] = bpf_btf_find_by_name_kind(function, sizeof(function), 4, 0);
	out[3] = bpf_btf_find_by_name_kind(unknown, sizeof(unknown), 4, 0);
	out[4] = bpf_btf_find_by_name_kind(known, sizeof(known), 4, 1);
	out[5] = bpf_btf_find_by_name_kind(known, 4, 4, 0);
	out[6] = bpf_btf_find_by_name_kind(known, 1, 4, 0);
	out[7] = bpf_kallsyms_lookup_name(unknown, sizeof(unknown), 0, &address);
	out[8] = address;
	out[9] = bpf_kallsyms_lookup_name(unknown, sizeof(unknown), 1, &address);
	out[10] = bpf_kallsyms_lookup_name(unknown, 4, 0, &address);
	return 0;
}

extern int bpf_stream_vprintk_impl(int stream_id, const char *fmt, const void *args, __u32 len, void *aux) __ksym;
extern __s64 bpf_map_sum_elem_count(const struct bpf_map *map) __ksym;

static const char text[] = "says %d and %s\n";
static const char plain[] = "nothing";

// Linux may have no memory for it at the moment.
static int said(int result)
{
	return result == -12 ? 0 : result;
}

SEC("tc")
int says(void *ctx)
{
	const char *word = plain;
	__u64 args[2];

	asm volatile("" : "+r"(word));
	args[0] = 42;
	args[1] = (unsigned long)word;

	out[0] = said(bpf_stream_vprintk_impl(1, text, args, sizeof(args), 0));
	out[1] = said(bpf_stream_vprintk_impl(2, plain, args, 0, 0));
	out[2] = said(bpf_stream_vprintk_impl(3, plain, args, 0, 0));
	out[3] = said(bpf_stream_vprintk_impl(1, text, args, 8, 0));
	out[4] = said(bpf_stream_vprintk_impl(1, text, args, 12, 0));
	out[5] = said(bpf_stream_vprintk_impl(1, plain, args, 16, 0));
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} counted SEC(".maps");

SEC("tc")
int sums(void *ctx)
{
	__u32 k = 1;
	__u64 v = 2;

	out[0] = bpf_map_sum_elem_count((struct bpf_map *)&counted);
	bpf_map_update_elem(&counted, &k, &v, 0);
	k = 2;
	bpf_map_update_elem(&counted, &k, &v, 0);
	out[1] = bpf_map_sum_elem_count((struct bpf_map *)&counted);
	bpf_map_delete_elem(&counted, &k);
	out[2] = bpf_map_sum_elem_count((struct bpf_map *)&counted);
	return 0;
}
