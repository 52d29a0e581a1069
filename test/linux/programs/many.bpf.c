// SPDX-License-Identifier: MIT
// For attach-many.test.ts: one program at many functions, and at system calls.
#include "../../../bpf/guest.h"
#undef __TARGET_ARCH_riscv
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

__u64 entered, left, cookies;

SEC("kprobe.multi/*_one")
int on_entry(void *context)
{
	entered++;
	cookies += bpf_get_attach_cookie(context);
	return 0;
}

SEC("kretprobe.multi/add_*")
int on_return(void *context)
{
	left++;
	return 0;
}

SEC("?kprobe.session/add_one")
int in_session(void *context)
{
	return 0;
}

SEC("?kprobe.multi/bpf_fentry_test*")
int on_linux(void *context)
{
	entered++;
	return 0;
}

SEC("?ksyscall/getppid")
int on_call(void *context)
{
	entered++;
	return 0;
}

SEC("?kretsyscall/getppid")
int on_call_return(void *context)
{
	left++;
	return 0;
}
