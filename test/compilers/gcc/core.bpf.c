/* CO-RE: fields of structures of the kernel, one inside of another, read through pointers that the verifier knows. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct list_head {
	struct list_head *next, *prev;
} __attribute__((preserve_access_index));

struct task_struct {
	int tgid;
	int pid;
	struct list_head children;
} __attribute__((preserve_access_index));

long execs;

SEC("tp_btf/sched_process_exec")
int fields(unsigned long long *context)
{
	struct task_struct *task = (void *)context[0];

	execs += task->tgid == task->pid;
	return task->children.prev == task->children.next;
}

char LICENSE[] SEC("license") = "GPL";
