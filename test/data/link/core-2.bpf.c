#include "shared.h"

struct mm_struct {
	unsigned long start_code;
} __attribute__((preserve_access_index));

struct task_struct {
	int pid;
	struct mm_struct *mm;
	struct task_struct *group_leader;
} __attribute__((preserve_access_index));

enum pid_type { PIDTYPE_PID, PIDTYPE_TGID };

extern int leader_offset;

__attribute__((noinline)) static unsigned long start_of(struct task_struct *task)
{
	struct mm_struct *mm = 0;
	unsigned long start = 0;

	bpf_probe_read_kernel(&mm, sizeof(mm), &task->mm);
	bpf_probe_read_kernel(&start, sizeof(start), &mm->start_code);
	return start;
}

SEC("raw_tp/sys_enter")
int on_enter_too(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return start_of(task) > 4096 ? leader_offset : (int)__builtin_preserve_type_info(*(struct mm_struct *)0, 1);
}

SEC("raw_tp/sys_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	return (int)start_of((void *)bpf_get_current_task());
}

char LICENSE[] SEC("license") = "GPL";
