// SPDX-License-Identifier: MIT
// For uprobe-multi.test.ts and attach-place.test.ts: programs whose places the caller names.
#include "../../../bpf/guest.h"
#undef __TARGET_ARCH_riscv
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

__u64 entered, left, cookies;

SEC("?uprobe.multi")
int on_entry(void *context)
{
	__sync_fetch_and_add(&entered, 1);
	__sync_fetch_and_add(&cookies, bpf_get_attach_cookie(context));
	return 0;
}

SEC("?uretprobe.multi")
int on_return(void *context)
{
	__sync_fetch_and_add(&left, 1);
	return 0;
}

SEC("?xdp")
int at_driver(void *context)
{
	return 2;
}

SEC("?tcx/ingress")
int at_ingress(void *context)
{
	return -1;
}

SEC("?netkit/peer")
int at_peer(void *context)
{
	return -1;
}

SEC("?cgroup_skb/egress")
int at_group(void *context)
{
	return 1;
}

SEC("?sk_lookup")
int at_lookup(void *context)
{
	return 1;
}
