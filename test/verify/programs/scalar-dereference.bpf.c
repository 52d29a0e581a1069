#include "fixture.h"

struct task {
	int pid;
};

SEC("kprobe/do_exit")
int read_task(void *ctx)
{
	struct task *task = (struct task *)bpf_get_current_task();

	return task->pid; /* rejected here */
}
