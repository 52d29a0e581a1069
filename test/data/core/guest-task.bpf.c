/*
 * Walks the guest kernel's struct task with a declaration that is right about names only: what CO-RE is for. Kept:
 * what the helpers say of the same task, and what the struct says, to be compared.
 */
#include "../../../bpf/guest.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define PORTABLE __attribute__((preserve_access_index))

char LICENSE[] SEC("license") = "GPL";

enum task_state { TASK_RUNNING = 40, TASK_NO_SUCH_STATE = 41 };

/* Backwards, with members that the guest has not, and without most that it has. */
struct task {
	__u64 no_such_member;
	__u64 syscalls;
	struct task *parent;
	enum task_state state;
	char comm[16];
	int tgid;
	int pid;
} PORTABLE;

struct task___other_kernel {
	int thread_id;
} PORTABLE;

struct seen {
	__u64 calls;
	__u64 helper_pid_tgid;
	__u64 state;
	__u64 running;
	__u64 bytes;
	__u32 pid;
	__u32 tgid;
	__u32 parent_pid;
	__u32 has_no_such_member;
	__u32 has_no_such_state;
	__u32 has_other_kernel;
	char comm[16];
	char helper_comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct seen);
} tasks SEC(".maps");

SEC("kprobe/sys_openat") int look(void *context)
{
	struct task *task = (void *)bpf_get_current_task();
	struct task___other_kernel *other = (void *)task;
	struct seen seen = {};
	__u32 key;

	seen.calls = BPF_CORE_READ(task, syscalls);
	seen.helper_pid_tgid = bpf_get_current_pid_tgid();
	seen.state = BPF_CORE_READ(task, state);
	seen.running = bpf_core_enum_value(enum task_state, TASK_RUNNING);
	seen.bytes = bpf_core_type_size(struct task);
	seen.pid = BPF_CORE_READ(task, pid);
	seen.tgid = BPF_CORE_READ(task, tgid);
	seen.parent_pid = BPF_CORE_READ(task, parent, pid);
	seen.has_no_such_member = bpf_core_field_exists(task->no_such_member);
	seen.has_no_such_state = bpf_core_enum_value_exists(enum task_state, TASK_NO_SUCH_STATE);
	/* Guarded: for this kernel the read becomes an instruction that must never be reached. */
	if (bpf_core_field_exists(other->thread_id)) {
		seen.has_other_kernel = 1;
		seen.pid = BPF_CORE_READ(other, thread_id);
	}
	BPF_CORE_READ_STR_INTO(&seen.comm, task, comm);
	bpf_get_current_comm(seen.helper_comm, sizeof(seen.helper_comm));
	key = seen.pid;
	bpf_map_update_elem(&tasks, &key, &seen, BPF_ANY);
	return 0;
}
