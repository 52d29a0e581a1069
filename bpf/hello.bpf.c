// SPDX-License-Identifier: MIT
// The smallest tracing program: one line in the trace pipe for each program that the guest starts.
#include "guest.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SEC("kprobe/sys_execve")
int hello(struct pt_regs *ctx)
{
	bpf_printk("hello from process %d", (int)(bpf_get_current_pid_tgid() >> 32));
	return 0;
}
