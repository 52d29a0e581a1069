// SPDX-License-Identifier: MIT
// For uprobe.test.ts: counts and reports the calls of a function of another process.
#include "../../../bpf/guest.h"
#undef __TARGET_ARCH_riscv
#include <bpf/bpf_helpers.h>

/* The registers of the machine that runs the tests, as far as they carry an argument and a result. */
#if defined(ARCH_x64)
struct registers {
	__u64 before[10], result, between[3], argument;
};
#elif defined(ARCH_arm64)
struct registers {
	union { __u64 argument, result; };
};
#else
struct registers {
	__u64 before[10];
	union { __u64 argument, result; };
};
#endif

struct event {
	__u32 pid;
	__u32 is_return;
	__s64 number;
	__u64 cookie;
};

/* For its type. */
const struct event *unused_event __attribute__((unused));

__u64 entered, left;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} events SEC(".maps");

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline int report(void *context, bool is_return, __s64 number)
{
	struct event event = {
		.pid = bpf_get_current_pid_tgid() >> 32,
		.is_return = is_return,
		.number = number,
		.cookie = bpf_get_attach_cookie(context),
	};

	bpf_ringbuf_output(&events, &event, sizeof(event), 0);
	return 0;
}

SEC("uprobe")
int on_entry(struct registers *registers)
{
	__sync_fetch_and_add(&entered, 1);
	return report(registers, false, (int)registers->argument);
}

SEC("uretprobe")
int on_return(struct registers *registers)
{
	__sync_fetch_and_add(&left, 1);
	return report(registers, true, (int)registers->result);
}

/* Of all processes, the program looks at one. */
const volatile __u32 only_pid;
__u64 calls, others;

SEC("raw_tp/sys_enter")
int on_system_call(__u64 *arguments)
{
	if (bpf_get_current_pid_tgid() >> 32 != only_pid)
		return 0;
	/* getppid on x86-64, arm64 and riscv64 */
	if (arguments[1] == 110 || arguments[1] == 173)
		__sync_fetch_and_add(&calls, 1);
	else
		__sync_fetch_and_add(&others, 1);
	return 0;
}

SEC("tracepoint/raw_syscalls/sys_enter")
int on_tracepoint(struct { __u64 common; __s64 number; } *context)
{
	if (bpf_get_current_pid_tgid() >> 32 == only_pid && (context->number == 110 || context->number == 173))
		__sync_fetch_and_add(&calls, 1);
	return 0;
}
