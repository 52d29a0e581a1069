/* What the programs of this folder share. Each has one fault, on the line marked "rejected here". */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

struct value {
	__u64 count;
	__u32 slots[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct value);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

#ifndef LICENSE
#define LICENSE "GPL"
#endif
char licence[] SEC("license") = LICENSE;
