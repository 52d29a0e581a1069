/**
 * Which type of program goes where: BPF_PROG_ATTACH and its like say the place only.
 *
 * Source: attach_type_to_prog_type(), is_cgroup_prog_type() of kernel/bpf/syscall.c of Linux.
 */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../abi/index.ts'

const A = BPF_ATTACH_TYPE
const T = BPF_PROG_TYPE

// What programs of control groups attach to, by what they are about.
export const SOCKET_ADDRESSES = [
  A.BPF_CGROUP_INET4_BIND,
  A.BPF_CGROUP_INET6_BIND,
  A.BPF_CGROUP_INET4_CONNECT,
  A.BPF_CGROUP_INET6_CONNECT,
  A.BPF_CGROUP_UNIX_CONNECT,
  A.BPF_CGROUP_INET4_GETPEERNAME,
  A.BPF_CGROUP_INET6_GETPEERNAME,
  A.BPF_CGROUP_UNIX_GETPEERNAME,
  A.BPF_CGROUP_INET4_GETSOCKNAME,
  A.BPF_CGROUP_INET6_GETSOCKNAME,
  A.BPF_CGROUP_UNIX_GETSOCKNAME,
  A.BPF_CGROUP_UDP4_SENDMSG,
  A.BPF_CGROUP_UDP6_SENDMSG,
  A.BPF_CGROUP_UNIX_SENDMSG,
  A.BPF_CGROUP_UDP4_RECVMSG,
  A.BPF_CGROUP_UDP6_RECVMSG,
  A.BPF_CGROUP_UNIX_RECVMSG,
]
export const SOCKETS = [
  A.BPF_CGROUP_INET_SOCK_CREATE,
  A.BPF_CGROUP_INET_SOCK_RELEASE,
  A.BPF_CGROUP_INET4_POST_BIND,
  A.BPF_CGROUP_INET6_POST_BIND,
]
export const SOCKET_OPTIONS = [A.BPF_CGROUP_SETSOCKOPT, A.BPF_CGROUP_GETSOCKOPT]
export const TRAFFIC = [A.BPF_CGROUP_INET_INGRESS, A.BPF_CGROUP_INET_EGRESS]

/** The kind of thing that a program is attached to. */
export type Hook = 'cgroup' | 'sockmap' | 'netns' | 'lirc' | 'tcx' | 'xdp'

interface AttachTypeRow {
  readonly hook: Hook
  readonly programType: number
  readonly attachTypes: readonly number[]
}

const rows: readonly AttachTypeRow[] = [
  {
    hook: 'cgroup',
    programType: T.BPF_PROG_TYPE_CGROUP_SKB,
    attachTypes: TRAFFIC,
  },
  {
    hook: 'cgroup',
    programType: T.BPF_PROG_TYPE_CGROUP_SOCK,
    attachTypes: SOCKETS,
  },
  {
    hook: 'cgroup',
    programType: T.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    attachTypes: SOCKET_ADDRESSES,
  },
  { hook: 'cgroup', programType: T.BPF_PROG_TYPE_SOCK_OPS, attachTypes: [A.BPF_CGROUP_SOCK_OPS] },
  { hook: 'cgroup', programType: T.BPF_PROG_TYPE_CGROUP_DEVICE, attachTypes: [A.BPF_CGROUP_DEVICE] },
  { hook: 'cgroup', programType: T.BPF_PROG_TYPE_CGROUP_SYSCTL, attachTypes: [A.BPF_CGROUP_SYSCTL] },
  {
    hook: 'cgroup',
    programType: T.BPF_PROG_TYPE_CGROUP_SOCKOPT,
    attachTypes: SOCKET_OPTIONS,
  },
  { hook: 'cgroup', programType: T.BPF_PROG_TYPE_LSM, attachTypes: [A.BPF_LSM_CGROUP, A.BPF_LSM_MAC] },
  { hook: 'sockmap', programType: T.BPF_PROG_TYPE_SK_MSG, attachTypes: [A.BPF_SK_MSG_VERDICT] },
  {
    hook: 'sockmap',
    programType: T.BPF_PROG_TYPE_SK_SKB,
    attachTypes: [A.BPF_SK_SKB_STREAM_PARSER, A.BPF_SK_SKB_STREAM_VERDICT, A.BPF_SK_SKB_VERDICT],
  },
  { hook: 'lirc', programType: T.BPF_PROG_TYPE_LIRC_MODE2, attachTypes: [A.BPF_LIRC_MODE2] },
  { hook: 'netns', programType: T.BPF_PROG_TYPE_FLOW_DISSECTOR, attachTypes: [A.BPF_FLOW_DISSECTOR] },
  { hook: 'netns', programType: T.BPF_PROG_TYPE_SK_LOOKUP, attachTypes: [A.BPF_SK_LOOKUP] },
  { hook: 'xdp', programType: T.BPF_PROG_TYPE_XDP, attachTypes: [A.BPF_XDP] },
  {
    hook: 'tcx',
    programType: T.BPF_PROG_TYPE_SCHED_CLS,
    attachTypes: [A.BPF_TCX_INGRESS, A.BPF_TCX_EGRESS],
  },
]

const byAttachType: ReadonlyMap<number, AttachTypeRow> = new Map(
  rows.flatMap((row) => row.attachTypes.map((attachType) => [attachType, row] as const)),
)

/** What is attached by this type; undefined where nothing is attached by BPF_PROG_ATTACH or a link of its own. */
export const attachHook = (attachType: number): AttachTypeRow | undefined => byAttachType.get(attachType)
