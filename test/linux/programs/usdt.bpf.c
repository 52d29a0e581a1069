// SPDX-License-Identifier: MIT
// For usdt.test.ts: what comes with the marked places of another process.
#if defined(ARCH_x64)
#define __TARGET_ARCH_x86
#elif defined(ARCH_arm64)
#define __TARGET_ARCH_arm64
#else
#define __TARGET_ARCH_riscv
#endif
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

__u64 steps, asked, behinds, last_asked, count_of_step, cookie, missing;
long sums[4], behind[2];

SEC("?usdt")
int on_step(struct pt_regs *context)
{
	long value;

	steps++;
	cookie = bpf_usdt_cookie(context);
	count_of_step = bpf_usdt_arg_cnt(context);
#pragma unroll
	for (int i = 0; i < 4; i++)
		if (!bpf_usdt_arg(context, i, &value))
			sums[i] += value;
	if (bpf_usdt_arg(context, 4, &value))
		missing++;
	return 0;
}

SEC("?usdt")
int on_behind(struct pt_regs *context)
{
	behinds++;
	bpf_usdt_arg(context, 0, &behind[0]);
	bpf_usdt_arg(context, 1, &behind[1]);
	return 0;
}

SEC("?usdt")
int BPF_USDT(on_asked, int number)
{
	asked++;
	last_asked = number;
	return 0;
}
