// SPDX-License-Identifier: MIT
// Every file that a process of the guest opens, or fails to: one record in a ring buffer per openat(2).
#include "guest.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define NAME_MAX 96

struct event {
	__u64 time_ns;
	__u32 pid;
	// A descriptor, or a negative error number.
	__s32 result;
	char comm[TASK_COMM_LEN];
	char file_name[NAME_MAX];
};

// 0: all processes.
const volatile __u32 target_pid = 0;
const volatile bool failed_only = false;

// Keeps the record's type in the object, so that a reader can decode it.
const struct event *unused_event __attribute__((unused));

// Events that found the ring buffer full.
__u64 dropped = 0;

// User address of the name, from the call's entry to its return.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u64);
} names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SEC("kprobe/sys_openat")
int BPF_KPROBE(open_entry, long directory, unsigned long name)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u64 address = name;

	if (target_pid && id >> 32 != target_pid)
		return 0;
	bpf_map_update_elem(&names, &id, &address, BPF_ANY);
	return 0;
}

SEC("kretprobe/sys_openat")
int BPF_KRETPROBE(open_return, long result)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u64 *address = bpf_map_lookup_elem(&names, &id);
	struct event *event;

	if (!address)
		return 0;
	if (failed_only && result >= 0)
		goto forget;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&dropped, 1);
		goto forget;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->pid = id >> 32;
	event->result = result;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	if (bpf_probe_read_user_str(event->file_name, sizeof(event->file_name), (void *)*address) < 0)
		event->file_name[0] = 0;
	bpf_ringbuf_submit(event, 0);
forget:
	bpf_map_delete_elem(&names, &id);
	return 0;
}
