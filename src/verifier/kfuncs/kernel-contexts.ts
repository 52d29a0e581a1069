/**
 * What the kernel itself has as the context of a program type.
 *
 * Source: include/linux/bpf_types.h of Linux 6.18.
 */
import { BPF_PROG_TYPE } from '../../abi/index.ts'

const T = BPF_PROG_TYPE

export const KERNEL_CONTEXTS: Readonly<Record<number, string>> = {
  [T.BPF_PROG_TYPE_SOCKET_FILTER]: 'sk_buff',
  [T.BPF_PROG_TYPE_SCHED_CLS]: 'sk_buff',
  [T.BPF_PROG_TYPE_SCHED_ACT]: 'sk_buff',
  [T.BPF_PROG_TYPE_CGROUP_SKB]: 'sk_buff',
  [T.BPF_PROG_TYPE_LWT_IN]: 'sk_buff',
  [T.BPF_PROG_TYPE_LWT_OUT]: 'sk_buff',
  [T.BPF_PROG_TYPE_LWT_XMIT]: 'sk_buff',
  [T.BPF_PROG_TYPE_LWT_SEG6LOCAL]: 'sk_buff',
  [T.BPF_PROG_TYPE_SK_SKB]: 'sk_buff',
  [T.BPF_PROG_TYPE_XDP]: 'xdp_buff',
  [T.BPF_PROG_TYPE_CGROUP_SOCK]: 'sock',
  [T.BPF_PROG_TYPE_CGROUP_SOCK_ADDR]: 'bpf_sock_addr_kern',
  [T.BPF_PROG_TYPE_SOCK_OPS]: 'bpf_sock_ops_kern',
  [T.BPF_PROG_TYPE_SK_MSG]: 'sk_msg',
  [T.BPF_PROG_TYPE_FLOW_DISSECTOR]: 'bpf_flow_dissector',
  [T.BPF_PROG_TYPE_KPROBE]: 'pt_regs',
  [T.BPF_PROG_TYPE_PERF_EVENT]: 'bpf_perf_event_data_kern',
  [T.BPF_PROG_TYPE_CGROUP_DEVICE]: 'bpf_cgroup_dev_ctx',
  [T.BPF_PROG_TYPE_CGROUP_SYSCTL]: 'bpf_sysctl_kern',
  [T.BPF_PROG_TYPE_CGROUP_SOCKOPT]: 'bpf_sockopt_kern',
  [T.BPF_PROG_TYPE_SK_REUSEPORT]: 'sk_reuseport_kern',
  [T.BPF_PROG_TYPE_SK_LOOKUP]: 'bpf_sk_lookup_kern',
  [T.BPF_PROG_TYPE_NETFILTER]: 'bpf_nf_ctx',
}
