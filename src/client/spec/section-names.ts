/**
 * The convention of `SEC()` names: what the name of a program's section says about its type and attachment.
 *
 * A pattern with `+` matches its word alone (no target: the caller says where to attach) and the word with
 * `/target` behind it. A pattern without `+` matches exactly; a name that has more behind a `/` (`xdp/ingress`,
 * as older loaders and other languages write) still means that row, and the rest is a label. The first match
 * counts, exact ones first, so longer patterns stand before shorter ones.
 *
 * Source: libbpf's documentation, "Program Types and ELF Sections".
 */
import { BPF_ATTACH_TYPE as A, BPF_PROG_TYPE as P } from '../../abi/bpf.ts'
import { type AttachForm, parseAttachTarget } from './attach-target.ts'
import type { SectionDefinition } from './types.ts'

interface SectionRow {
  readonly pattern: string
  readonly type: number
  /** `expected_attach_type`; 0 where the type has none. */
  readonly attach: number
  /** How the text behind the `/` reads. */
  readonly form: AttachForm
  readonly sleepable?: true
  readonly frags?: true
}

const sleepable = true
const frags = true

/** The rows, in order of precedence. */
export const sectionRows = [
  { pattern: 'socket', type: P.BPF_PROG_TYPE_SOCKET_FILTER, attach: 0, form: 'none' },
  {
    pattern: 'sk_reuseport/migrate',
    type: P.BPF_PROG_TYPE_SK_REUSEPORT,
    attach: A.BPF_SK_REUSEPORT_SELECT_OR_MIGRATE,
    form: 'none',
  },
  {
    pattern: 'sk_reuseport',
    type: P.BPF_PROG_TYPE_SK_REUSEPORT,
    attach: A.BPF_SK_REUSEPORT_SELECT,
    form: 'none',
  },
  { pattern: 'kprobe+', type: P.BPF_PROG_TYPE_KPROBE, attach: 0, form: 'kprobe' },
  { pattern: 'uprobe+', type: P.BPF_PROG_TYPE_KPROBE, attach: 0, form: 'uprobe' },
  { pattern: 'uprobe.s+', type: P.BPF_PROG_TYPE_KPROBE, attach: 0, form: 'uprobe', sleepable },
  { pattern: 'kretprobe+', type: P.BPF_PROG_TYPE_KPROBE, attach: 0, form: 'kretprobe' },
  { pattern: 'uretprobe+', type: P.BPF_PROG_TYPE_KPROBE, attach: 0, form: 'uretprobe' },
  { pattern: 'uretprobe.s+', type: P.BPF_PROG_TYPE_KPROBE, attach: 0, form: 'uretprobe', sleepable },
  {
    pattern: 'kprobe.multi+',
    type: P.BPF_PROG_TYPE_KPROBE,
    attach: A.BPF_TRACE_KPROBE_MULTI,
    form: 'kprobe.multi',
  },
  {
    pattern: 'kretprobe.multi+',
    type: P.BPF_PROG_TYPE_KPROBE,
    attach: A.BPF_TRACE_KPROBE_MULTI,
    form: 'kretprobe.multi',
  },
  {
    pattern: 'kprobe.session+',
    type: P.BPF_PROG_TYPE_KPROBE,
    attach: A.BPF_TRACE_KPROBE_SESSION,
    form: 'kprobe.session',
  },
  {
    pattern: 'uprobe.multi+',
    type: P.BPF_PROG_TYPE_KPROBE,
    attach: A.BPF_TRACE_UPROBE_MULTI,
    form: 'uprobe.multi',
  },
  {
    pattern: 'uretprobe.multi+',
    type: P.BPF_PROG_TYPE_KPROBE,
    attach: A.BPF_TRACE_UPROBE_MULTI,
    form: 'uretprobe.multi',
  },
  {
    pattern: 'uprobe.session+',
    type: P.BPF_PROG_TYPE_KPROBE,
    attach: A.BPF_TRACE_UPROBE_SESSION,
    form: 'uprobe.session',
  },
  {
    pattern: 'uprobe.multi.s+',
    type: P.BPF_PROG_TYPE_KPROBE,
    attach: A.BPF_TRACE_UPROBE_MULTI,
    form: 'uprobe.multi',
    sleepable,
  },
  {
    pattern: 'uretprobe.multi.s+',
    type: P.BPF_PROG_TYPE_KPROBE,
    attach: A.BPF_TRACE_UPROBE_MULTI,
    form: 'uretprobe.multi',
    sleepable,
  },
  {
    pattern: 'uprobe.session.s+',
    type: P.BPF_PROG_TYPE_KPROBE,
    attach: A.BPF_TRACE_UPROBE_SESSION,
    form: 'uprobe.session',
    sleepable,
  },
  { pattern: 'ksyscall+', type: P.BPF_PROG_TYPE_KPROBE, attach: 0, form: 'ksyscall' },
  { pattern: 'kretsyscall+', type: P.BPF_PROG_TYPE_KPROBE, attach: 0, form: 'kretsyscall' },
  { pattern: 'usdt+', type: P.BPF_PROG_TYPE_KPROBE, attach: 0, form: 'usdt' },
  { pattern: 'usdt.s+', type: P.BPF_PROG_TYPE_KPROBE, attach: 0, form: 'usdt', sleepable },
  { pattern: 'tc/ingress', type: P.BPF_PROG_TYPE_SCHED_CLS, attach: A.BPF_TCX_INGRESS, form: 'none' },
  { pattern: 'tc/egress', type: P.BPF_PROG_TYPE_SCHED_CLS, attach: A.BPF_TCX_EGRESS, form: 'none' },
  { pattern: 'tcx/ingress', type: P.BPF_PROG_TYPE_SCHED_CLS, attach: A.BPF_TCX_INGRESS, form: 'none' },
  { pattern: 'tcx/egress', type: P.BPF_PROG_TYPE_SCHED_CLS, attach: A.BPF_TCX_EGRESS, form: 'none' },
  { pattern: 'tc', type: P.BPF_PROG_TYPE_SCHED_CLS, attach: 0, form: 'none' },
  { pattern: 'classifier', type: P.BPF_PROG_TYPE_SCHED_CLS, attach: 0, form: 'none' },
  { pattern: 'action', type: P.BPF_PROG_TYPE_SCHED_ACT, attach: 0, form: 'none' },
  { pattern: 'netkit/primary', type: P.BPF_PROG_TYPE_SCHED_CLS, attach: A.BPF_NETKIT_PRIMARY, form: 'none' },
  { pattern: 'netkit/peer', type: P.BPF_PROG_TYPE_SCHED_CLS, attach: A.BPF_NETKIT_PEER, form: 'none' },
  { pattern: 'tracepoint+', type: P.BPF_PROG_TYPE_TRACEPOINT, attach: 0, form: 'tracepoint' },
  { pattern: 'tp+', type: P.BPF_PROG_TYPE_TRACEPOINT, attach: 0, form: 'tracepoint' },
  { pattern: 'tracepoint.s+', type: P.BPF_PROG_TYPE_TRACEPOINT, attach: 0, form: 'tracepoint', sleepable },
  { pattern: 'tp.s+', type: P.BPF_PROG_TYPE_TRACEPOINT, attach: 0, form: 'tracepoint', sleepable },
  { pattern: 'raw_tracepoint+', type: P.BPF_PROG_TYPE_RAW_TRACEPOINT, attach: 0, form: 'rawTracepoint' },
  { pattern: 'raw_tp+', type: P.BPF_PROG_TYPE_RAW_TRACEPOINT, attach: 0, form: 'rawTracepoint' },
  {
    pattern: 'raw_tracepoint.s+',
    type: P.BPF_PROG_TYPE_RAW_TRACEPOINT,
    attach: 0,
    form: 'rawTracepoint',
    sleepable,
  },
  { pattern: 'raw_tp.s+', type: P.BPF_PROG_TYPE_RAW_TRACEPOINT, attach: 0, form: 'rawTracepoint', sleepable },
  {
    pattern: 'raw_tracepoint.w+',
    type: P.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE,
    attach: 0,
    form: 'rawTracepoint',
  },
  { pattern: 'raw_tp.w+', type: P.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE, attach: 0, form: 'rawTracepoint' },
  { pattern: 'tp_btf+', type: P.BPF_PROG_TYPE_TRACING, attach: A.BPF_TRACE_RAW_TP, form: 'btf' },
  { pattern: 'tp_btf.s+', type: P.BPF_PROG_TYPE_TRACING, attach: A.BPF_TRACE_RAW_TP, form: 'btf', sleepable },
  { pattern: 'fentry+', type: P.BPF_PROG_TYPE_TRACING, attach: A.BPF_TRACE_FENTRY, form: 'btf' },
  { pattern: 'fmod_ret+', type: P.BPF_PROG_TYPE_TRACING, attach: A.BPF_MODIFY_RETURN, form: 'btf' },
  { pattern: 'fexit+', type: P.BPF_PROG_TYPE_TRACING, attach: A.BPF_TRACE_FEXIT, form: 'btf' },
  { pattern: 'fentry.s+', type: P.BPF_PROG_TYPE_TRACING, attach: A.BPF_TRACE_FENTRY, form: 'btf', sleepable },
  {
    pattern: 'fmod_ret.s+',
    type: P.BPF_PROG_TYPE_TRACING,
    attach: A.BPF_MODIFY_RETURN,
    form: 'btf',
    sleepable,
  },
  { pattern: 'fexit.s+', type: P.BPF_PROG_TYPE_TRACING, attach: A.BPF_TRACE_FEXIT, form: 'btf', sleepable },
  { pattern: 'freplace+', type: P.BPF_PROG_TYPE_EXT, attach: 0, form: 'btf' },
  { pattern: 'lsm+', type: P.BPF_PROG_TYPE_LSM, attach: A.BPF_LSM_MAC, form: 'btf' },
  { pattern: 'lsm.s+', type: P.BPF_PROG_TYPE_LSM, attach: A.BPF_LSM_MAC, form: 'btf', sleepable },
  { pattern: 'lsm_cgroup+', type: P.BPF_PROG_TYPE_LSM, attach: A.BPF_LSM_CGROUP, form: 'btf' },
  { pattern: 'iter+', type: P.BPF_PROG_TYPE_TRACING, attach: A.BPF_TRACE_ITER, form: 'btf' },
  { pattern: 'iter.s+', type: P.BPF_PROG_TYPE_TRACING, attach: A.BPF_TRACE_ITER, form: 'btf', sleepable },
  { pattern: 'syscall', type: P.BPF_PROG_TYPE_SYSCALL, attach: 0, form: 'none', sleepable },
  { pattern: 'xdp.frags/devmap', type: P.BPF_PROG_TYPE_XDP, attach: A.BPF_XDP_DEVMAP, form: 'none', frags },
  { pattern: 'xdp/devmap', type: P.BPF_PROG_TYPE_XDP, attach: A.BPF_XDP_DEVMAP, form: 'none' },
  { pattern: 'xdp.frags/cpumap', type: P.BPF_PROG_TYPE_XDP, attach: A.BPF_XDP_CPUMAP, form: 'none', frags },
  { pattern: 'xdp/cpumap', type: P.BPF_PROG_TYPE_XDP, attach: A.BPF_XDP_CPUMAP, form: 'none' },
  { pattern: 'xdp.frags', type: P.BPF_PROG_TYPE_XDP, attach: A.BPF_XDP, form: 'none', frags },
  { pattern: 'xdp', type: P.BPF_PROG_TYPE_XDP, attach: A.BPF_XDP, form: 'none' },
  { pattern: 'perf_event', type: P.BPF_PROG_TYPE_PERF_EVENT, attach: 0, form: 'none' },
  { pattern: 'lwt_in', type: P.BPF_PROG_TYPE_LWT_IN, attach: 0, form: 'none' },
  { pattern: 'lwt_out', type: P.BPF_PROG_TYPE_LWT_OUT, attach: 0, form: 'none' },
  { pattern: 'lwt_xmit', type: P.BPF_PROG_TYPE_LWT_XMIT, attach: 0, form: 'none' },
  { pattern: 'lwt_seg6local', type: P.BPF_PROG_TYPE_LWT_SEG6LOCAL, attach: 0, form: 'none' },
  { pattern: 'sockops', type: P.BPF_PROG_TYPE_SOCK_OPS, attach: A.BPF_CGROUP_SOCK_OPS, form: 'none' },
  {
    pattern: 'sk_skb/stream_parser',
    type: P.BPF_PROG_TYPE_SK_SKB,
    attach: A.BPF_SK_SKB_STREAM_PARSER,
    form: 'none',
  },
  {
    pattern: 'sk_skb/stream_verdict',
    type: P.BPF_PROG_TYPE_SK_SKB,
    attach: A.BPF_SK_SKB_STREAM_VERDICT,
    form: 'none',
  },
  { pattern: 'sk_skb/verdict', type: P.BPF_PROG_TYPE_SK_SKB, attach: A.BPF_SK_SKB_VERDICT, form: 'none' },
  { pattern: 'sk_skb', type: P.BPF_PROG_TYPE_SK_SKB, attach: 0, form: 'none' },
  { pattern: 'sk_msg', type: P.BPF_PROG_TYPE_SK_MSG, attach: A.BPF_SK_MSG_VERDICT, form: 'none' },
  { pattern: 'lirc_mode2', type: P.BPF_PROG_TYPE_LIRC_MODE2, attach: A.BPF_LIRC_MODE2, form: 'none' },
  {
    pattern: 'flow_dissector',
    type: P.BPF_PROG_TYPE_FLOW_DISSECTOR,
    attach: A.BPF_FLOW_DISSECTOR,
    form: 'none',
  },
  {
    pattern: 'cgroup_skb/ingress',
    type: P.BPF_PROG_TYPE_CGROUP_SKB,
    attach: A.BPF_CGROUP_INET_INGRESS,
    form: 'none',
  },
  {
    pattern: 'cgroup_skb/egress',
    type: P.BPF_PROG_TYPE_CGROUP_SKB,
    attach: A.BPF_CGROUP_INET_EGRESS,
    form: 'none',
  },
  { pattern: 'cgroup/skb', type: P.BPF_PROG_TYPE_CGROUP_SKB, attach: 0, form: 'none' },
  {
    pattern: 'cgroup/sock_create',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK,
    attach: A.BPF_CGROUP_INET_SOCK_CREATE,
    form: 'none',
  },
  {
    pattern: 'cgroup/sock_release',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK,
    attach: A.BPF_CGROUP_INET_SOCK_RELEASE,
    form: 'none',
  },
  {
    pattern: 'cgroup/sock',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK,
    attach: A.BPF_CGROUP_INET_SOCK_CREATE,
    form: 'none',
  },
  {
    pattern: 'cgroup/post_bind4',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK,
    attach: A.BPF_CGROUP_INET4_POST_BIND,
    form: 'none',
  },
  {
    pattern: 'cgroup/post_bind6',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK,
    attach: A.BPF_CGROUP_INET6_POST_BIND,
    form: 'none',
  },
  {
    pattern: 'cgroup/bind4',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_INET4_BIND,
    form: 'none',
  },
  {
    pattern: 'cgroup/bind6',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_INET6_BIND,
    form: 'none',
  },
  {
    pattern: 'cgroup/connect4',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_INET4_CONNECT,
    form: 'none',
  },
  {
    pattern: 'cgroup/connect6',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_INET6_CONNECT,
    form: 'none',
  },
  {
    pattern: 'cgroup/connect_unix',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_UNIX_CONNECT,
    form: 'none',
  },
  {
    pattern: 'cgroup/sendmsg4',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_UDP4_SENDMSG,
    form: 'none',
  },
  {
    pattern: 'cgroup/sendmsg6',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_UDP6_SENDMSG,
    form: 'none',
  },
  {
    pattern: 'cgroup/sendmsg_unix',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_UNIX_SENDMSG,
    form: 'none',
  },
  {
    pattern: 'cgroup/recvmsg4',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_UDP4_RECVMSG,
    form: 'none',
  },
  {
    pattern: 'cgroup/recvmsg6',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_UDP6_RECVMSG,
    form: 'none',
  },
  {
    pattern: 'cgroup/recvmsg_unix',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_UNIX_RECVMSG,
    form: 'none',
  },
  {
    pattern: 'cgroup/getpeername4',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_INET4_GETPEERNAME,
    form: 'none',
  },
  {
    pattern: 'cgroup/getpeername6',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_INET6_GETPEERNAME,
    form: 'none',
  },
  {
    pattern: 'cgroup/getpeername_unix',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_UNIX_GETPEERNAME,
    form: 'none',
  },
  {
    pattern: 'cgroup/getsockname4',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_INET4_GETSOCKNAME,
    form: 'none',
  },
  {
    pattern: 'cgroup/getsockname6',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_INET6_GETSOCKNAME,
    form: 'none',
  },
  {
    pattern: 'cgroup/getsockname_unix',
    type: P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attach: A.BPF_CGROUP_UNIX_GETSOCKNAME,
    form: 'none',
  },
  {
    pattern: 'cgroup/sysctl',
    type: P.BPF_PROG_TYPE_CGROUP_SYSCTL,
    attach: A.BPF_CGROUP_SYSCTL,
    form: 'none',
  },
  {
    pattern: 'cgroup/getsockopt',
    type: P.BPF_PROG_TYPE_CGROUP_SOCKOPT,
    attach: A.BPF_CGROUP_GETSOCKOPT,
    form: 'none',
  },
  {
    pattern: 'cgroup/setsockopt',
    type: P.BPF_PROG_TYPE_CGROUP_SOCKOPT,
    attach: A.BPF_CGROUP_SETSOCKOPT,
    form: 'none',
  },
  { pattern: 'cgroup/dev', type: P.BPF_PROG_TYPE_CGROUP_DEVICE, attach: A.BPF_CGROUP_DEVICE, form: 'none' },
  { pattern: 'struct_ops+', type: P.BPF_PROG_TYPE_STRUCT_OPS, attach: 0, form: 'structOps' },
  { pattern: 'struct_ops.s+', type: P.BPF_PROG_TYPE_STRUCT_OPS, attach: 0, form: 'structOps', sleepable },
  { pattern: 'sk_lookup', type: P.BPF_PROG_TYPE_SK_LOOKUP, attach: A.BPF_SK_LOOKUP, form: 'none' },
  { pattern: 'netfilter', type: P.BPF_PROG_TYPE_NETFILTER, attach: A.BPF_NETFILTER, form: 'none' },
] as const satisfies readonly SectionRow[]

/** The first row of each word; of those with `+`, without it. */
const exactRows = new Map<string, SectionRow>()
const targetRows = new Map<string, SectionRow>()
const rank = new Map<SectionRow, number>()
for (const row of sectionRows as readonly SectionRow[]) {
  const rows = row.pattern.endsWith('+') ? targetRows : exactRows
  const word = wordOf(row)
  if (!rows.has(word)) rows.set(word, row)
  rank.set(row, rank.size)
}

function wordOf({ pattern }: SectionRow): string {
  return pattern.endsWith('+') ? pattern.slice(0, -1) : pattern
}

function rowOf(section: string): SectionRow | undefined {
  let found = first(exactRows.get(section), targetRows.get(section))
  let labelled: SectionRow | undefined
  for (let end = section.indexOf('/'); end >= 0; end = section.indexOf('/', end + 1)) {
    const word = section.slice(0, end)
    found = first(found, targetRows.get(word))
    labelled = first(labelled, exactRows.get(word))
  }
  return found ?? labelled
}

/** The one that stands before the other in the table. */
function first(a: SectionRow | undefined, b: SectionRow | undefined): SectionRow | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return (rank.get(a) as number) < (rank.get(b) as number) ? a : b
}

/**
 * What the section name `section` (without a leading `?`) says. Where no row matches, the type is UNSPEC and
 * the pattern empty: such a program can still be loaded by a caller that knows its type.
 */
export function parseSectionName(section: string): SectionDefinition {
  const row = rowOf(section)
  if (row === undefined) {
    return {
      pattern: '',
      programType: P.BPF_PROG_TYPE_UNSPEC,
      expectedAttachType: 0,
      sleepable: false,
      xdpFrags: false,
      attach: { kind: 'none' },
    }
  }
  return {
    pattern: row.pattern,
    programType: row.type,
    expectedAttachType: row.attach,
    sleepable: row.sleepable === true,
    xdpFrags: row.frags === true,
    attach: parseAttachTarget(row.form, section.slice(wordOf(row).length + 1)),
  }
}
