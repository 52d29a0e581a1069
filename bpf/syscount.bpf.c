// SPDX-License-Identifier: MIT
/*
 * Counts system calls: by call, by process, with the errors and the time that they took.
 *
 * A call is counted when it enters, so that those which never return (exit) count too; its errors and its
 * time are added when it returns. Counters are per CPU, so that no two CPUs write one: the reader adds up.
 */
#include "guest.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define MAX_CALLS 1024
// Numbers past the table are counted together in its last row.
#define OTHER_CALL (MAX_CALLS - 1)

struct totals {
	__u64 count;
	__u64 errors;
	__u64 time_ns;
};

struct process {
	struct totals totals;
	char comm[TASK_COMM_LEN];
};

struct entry {
	__u64 time_ns;
	__u32 call;
};

// 0: all processes.
const volatile __u32 target_pid = 0;
// Count only calls that return a negative number, and count them when they do.
const volatile bool failed_only = false;
const volatile bool by_process = false;

// Calls that belong to no counted process, because `processes` was full.
__u64 lost = 0;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_CALLS);
	__type(key, __u32);
	__type(value, struct totals);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4096);
	// Process id, as user space counts them.
	__type(key, __u32);
	__type(value, struct process);
} processes SEC(".maps");

// Calls under way. Least recently used: what never returns makes room for what does.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct entry);
} entries SEC(".maps");

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline void add(struct totals *totals, __u64 count, __u64 errors, __u64 time_ns)
{
	totals->count += count;
	totals->errors += errors;
	totals->time_ns += time_ns;
}

static __always_inline struct process *current_process(__u32 pid)
{
	struct process *process = bpf_map_lookup_elem(&processes, &pid);

	if (!process) {
		struct process fresh = {};

		bpf_map_update_elem(&processes, &pid, &fresh, BPF_NOEXIST);
		process = bpf_map_lookup_elem(&processes, &pid);
	}
	if (process)
		// Each time: the name changes with execve.
		bpf_get_current_comm(process->comm, sizeof(process->comm));
	else
		__sync_fetch_and_add(&lost, 1);
	return process;
}

static __always_inline void account(__u32 pid, __u32 call, __u64 count, __u64 errors, __u64 time_ns)
{
	struct totals *totals = bpf_map_lookup_elem(&calls, &call);

	if (totals)
		add(totals, count, errors, time_ns);
	if (by_process) {
		struct process *process = current_process(pid);

		if (process)
			add(&process->totals, count, errors, time_ns);
	}
}

SEC("kprobe/syscall_enter")
int BPF_KPROBE(syscall_entry, unsigned long number)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 pid = id >> 32;
	struct entry entry = {};

	if (target_pid && pid != target_pid)
		return 0;
	entry.call = number < OTHER_CALL ? number : OTHER_CALL;
	if (!failed_only)
		account(pid, entry.call, 1, 0, 0);
	entry.time_ns = bpf_ktime_get_ns();
	bpf_map_update_elem(&entries, &id, &entry, BPF_ANY);
	return 0;
}

SEC("kretprobe/syscall_dispatch")
int BPF_KRETPROBE(syscall_return, long result)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct entry *entry = bpf_map_lookup_elem(&entries, &id);
	bool failed = result < 0;

	if (!entry)
		return 0;
	if (failed || !failed_only)
		account(id >> 32, entry->call, failed_only, failed, bpf_ktime_get_ns() - entry->time_ns);
	bpf_map_delete_elem(&entries, &id);
	return 0;
}
