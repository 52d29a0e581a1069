/* CO-RE relocations of two files, with the kernel's types known better in one than in the other. */
#include "shared.h"

struct mm_struct;

struct task_struct {
	int pid;
	struct mm_struct *mm;
	struct task_struct *group_leader;
} __attribute__((preserve_access_index));

enum pid_type { PIDTYPE_PID, PIDTYPE_TGID };

int leader_offset;

SEC("raw_tp/sys_enter")
int on_enter(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *leader = 0;
	int pid = 0;

	bpf_probe_read_kernel(&leader, sizeof(leader), &task->group_leader);
	bpf_probe_read_kernel(&pid, sizeof(pid), &leader->pid);
	leader_offset = (int)(long)&((struct task_struct *)0)->group_leader +
			(int)__builtin_preserve_enum_value(*(typeof(enum pid_type) *)PIDTYPE_TGID, 1);
	return pid;
}

char LICENSE[] SEC("license") = "GPL";
