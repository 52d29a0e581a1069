// SPDX-License-Identifier: MIT
// One program for each place that the client attaches to: each counts its runs in a variable of its name.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
} __attribute__((preserve_access_index));

#define PROGRAM(section, name, result)                                         \
	__u64 runs_##name;                                                     \
	SEC("?" section)                                                       \
	int name(void *ctx)                                                    \
	{                                                                      \
		__sync_fetch_and_add(&runs_##name, 1);                         \
		return result;                                                 \
	}

#define LIBC "/lib/x86_64-linux-gnu/libc.so.6:getppid"

PROGRAM("kprobe/__x64_sys_getppid", kprobe, 0)
PROGRAM("kretprobe/__x64_sys_getppid", kretprobe, 0)
PROGRAM("kprobe.multi/security_file_op?n", kprobe_multi, 0)
PROGRAM("kretprobe.multi/security_file_op?n", kretprobe_multi, 0)
PROGRAM("kprobe.session/security_file_op?n", kprobe_session, 0)
PROGRAM("ksyscall/getppid", ksyscall, 0)
PROGRAM("kretsyscall/getppid", kretsyscall, 0)
PROGRAM("tracepoint/syscalls/sys_enter_getppid", tracepoint, 0)
PROGRAM("raw_tp/sys_enter", raw_tp, 0)
PROGRAM("tp_btf/sys_enter", tp_btf, 0)
PROGRAM("fentry/security_file_open", fentry, 0)
PROGRAM("fexit/security_file_open", fexit, 0)
PROGRAM("fmod_ret/security_file_open", fmod_ret, 0)
PROGRAM("lsm/file_open", lsm, 0)
PROGRAM("lsm.s/file_open", lsm_s, 0)
PROGRAM("lsm_cgroup/socket_bind", lsm_cgroup, 1)

PROGRAM("uprobe/" LIBC, uprobe, 0)
PROGRAM("uretprobe/" LIBC, uretprobe, 0)
PROGRAM("uprobe.multi/" LIBC, uprobe_multi, 0)
PROGRAM("uretprobe.multi/" LIBC, uretprobe_multi, 0)
PROGRAM("uprobe.session/" LIBC, uprobe_session, 0)

PROGRAM("xdp", xdp, XDP_PASS)
PROGRAM("tcx/ingress", tcx_ingress, -1)
PROGRAM("tcx/egress", tcx_egress, -1)
PROGRAM("netkit/primary", netkit_primary, -1)
PROGRAM("netkit/peer", netkit_peer, -1)
PROGRAM("netfilter", netfilter, 1)
PROGRAM("sk_lookup", sk_lookup, 1)
PROGRAM("flow_dissector", flow_dissector, BPF_OK)
PROGRAM("cgroup_skb/ingress", cgroup_skb_ingress, 1)
PROGRAM("cgroup_skb/egress", cgroup_skb_egress, 1)
PROGRAM("cgroup/sock_create", cgroup_sock_create, 1)
PROGRAM("cgroup/sock_release", cgroup_sock_release, 1)
PROGRAM("cgroup/post_bind4", cgroup_post_bind4, 1)
PROGRAM("cgroup/bind4", cgroup_bind4, 1)
PROGRAM("cgroup/connect4", cgroup_connect4, 1)
PROGRAM("cgroup/sendmsg4", cgroup_sendmsg4, 1)
PROGRAM("cgroup/recvmsg4", cgroup_recvmsg4, 1)
PROGRAM("cgroup/setsockopt", cgroup_setsockopt, 1)
PROGRAM("cgroup/sysctl", cgroup_sysctl, 1)
PROGRAM("cgroup/dev", cgroup_dev, 1)
PROGRAM("sockops", sockops, 1)
PROGRAM("perf_event", perf_event, 0)

static const char line[] = "one\n";

#define ITERATOR(section, name)                                                \
	SEC("?" section)                                                       \
	int name(struct bpf_iter__task *ctx)                                   \
	{                                                                      \
		bpf_seq_write(ctx->meta->seq, line, sizeof(line) - 1);         \
		return 0;                                                      \
	}

ITERATOR("iter/task", iter_task)
ITERATOR("iter/task_file", iter_task_file)
ITERATOR("iter/bpf_map", iter_bpf_map)
ITERATOR("iter/bpf_prog", iter_bpf_prog)
ITERATOR("iter/bpf_link", iter_bpf_link)
ITERATOR("iter/cgroup", iter_cgroup)
ITERATOR("iter/ksym", iter_ksym)

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

SEC("?sk_msg")
int sk_msg(struct sk_msg_md *msg)
{
	return SK_PASS;
}

SEC("?sk_skb/stream_verdict")
int sk_skb(struct __sk_buff *skb)
{
	return SK_PASS;
}

/* Programs that other programs are attached to. */

__u64 runs_freplace, runs_fentry_program, runs_fexit_program, seen_argument, seen_result;

__noinline int answer(struct xdp_md *ctx, int number)
{
	volatile int result = number + 1;

	return result;
}

SEC("?xdp")
int target(struct xdp_md *ctx)
{
	return answer(ctx, 40);
}

SEC("?freplace/answer")
int freplace(struct xdp_md *ctx, int number)
{
	__sync_fetch_and_add(&runs_freplace, 1);
	return number + 100;
}

SEC("?fentry/answer")
int fentry_program(unsigned long long *ctx)
{
	__sync_fetch_and_add(&runs_fentry_program, 1);
	seen_argument = (__u32)ctx[1];
	return 0;
}

SEC("?fexit/answer")
int fexit_program(unsigned long long *ctx)
{
	__sync_fetch_and_add(&runs_fexit_program, 1);
	seen_result = (__u32)ctx[2];
	return 0;
}
