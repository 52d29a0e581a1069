/**
 * The program types that there are: where they may attach, and how a test run feeds them.
 *
 * To add a type is a row. Types that Linux has and this table lacks are refused with -EINVAL, as by a Linux that
 * was built without them.
 *
 * Source: bpf_prog_load_check_attach(), bpf_prog_load_fixup_attach_type() and bpf_prog_attach_check_attach_type() of
 * kernel/bpf/syscall.c, the bpf_prog_ops of net/core/filter.c of Linux.
 */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../abi/index.ts'
import { SOCKET_ADDRESSES, SOCKET_OPTIONS, SOCKETS, TRAFFIC } from './attach-types.ts'

/** How BPF_PROG_TEST_RUN makes a socket buffer for a type, and what of it the program may touch. */
export interface SocketBufferRun {
  readonly kind: 'skb'
  /** Whether the packet begins with its Ethernet header. */
  readonly isLinkLayer: boolean
  readonly access: 'none' | 'read' | 'write'
  /** Packets of this type are only ever linear. */
  readonly isLightweightTunnel?: boolean
}

export type TestRun =
  | SocketBufferRun
  | { readonly kind: 'struct_ops' }
  | { readonly kind: 'xdp' | 'flow_dissector' | 'sk_lookup' }
  /** Words as arguments. */
  | { readonly kind: 'arguments' }
  /** A context of the caller's own. */
  | { readonly kind: 'context' }

export interface ProgramTypeRow {
  readonly type: number
  readonly name: string
  /** `expected_attach_type` values that BPF_PROG_LOAD takes; undefined: any. */
  readonly expectedAttachTypes?: readonly number[]
  /** What an `expected_attach_type` of 0 stands for. */
  readonly defaultAttachType?: number
  /** `attach_type` values that BPF_LINK_CREATE takes of it. */
  readonly linkAttachTypes: readonly number[] | 'any'
  /** Whether a link takes only the type that the program was loaded for. */
  readonly linksAsLoaded?: boolean
  /** Whether BPF_F_SLEEPABLE must be given, or may; default: it must not. */
  readonly sleeps?: 'may' | 'always'
  readonly testRun?: TestRun
  /** Whether legacy packet loads are allowed. */
  readonly loadsPackets?: boolean
}

const T = BPF_PROG_TYPE
const A = BPF_ATTACH_TYPE

const skb = (access: SocketBufferRun['access'], isLinkLayer = false): SocketBufferRun => ({
  kind: 'skb',
  isLinkLayer,
  access,
})
const tunnel = (access: SocketBufferRun['access']): SocketBufferRun => ({
  ...skb(access),
  isLightweightTunnel: true,
})

const REUSEPORT = [A.BPF_SK_REUSEPORT_SELECT, A.BPF_SK_REUSEPORT_SELECT_OR_MIGRATE]

export const programTypes: readonly ProgramTypeRow[] = [
  {
    type: T.BPF_PROG_TYPE_SOCKET_FILTER,
    name: 'socket_filter',
    linkAttachTypes: [],
    testRun: skb('none'),
    loadsPackets: true,
  },
  {
    type: T.BPF_PROG_TYPE_KPROBE,
    name: 'kprobe',
    linkAttachTypes: [
      A.BPF_PERF_EVENT,
      A.BPF_TRACE_KPROBE_MULTI,
      A.BPF_TRACE_KPROBE_SESSION,
      A.BPF_TRACE_UPROBE_MULTI,
      A.BPF_TRACE_UPROBE_SESSION,
    ],
    sleeps: 'may',
  },
  {
    type: T.BPF_PROG_TYPE_SCHED_CLS,
    name: 'sched_cls',
    linkAttachTypes: [A.BPF_TCX_INGRESS, A.BPF_TCX_EGRESS, A.BPF_NETKIT_PRIMARY, A.BPF_NETKIT_PEER],
    testRun: skb('write', true),
    loadsPackets: true,
  },
  {
    type: T.BPF_PROG_TYPE_SCHED_ACT,
    name: 'sched_act',
    linkAttachTypes: [],
    testRun: skb('write', true),
    loadsPackets: true,
  },
  { type: T.BPF_PROG_TYPE_TRACEPOINT, name: 'tracepoint', linkAttachTypes: [A.BPF_PERF_EVENT] },
  { type: T.BPF_PROG_TYPE_XDP, name: 'xdp', linkAttachTypes: [A.BPF_XDP], testRun: { kind: 'xdp' } },
  { type: T.BPF_PROG_TYPE_PERF_EVENT, name: 'perf_event', linkAttachTypes: [A.BPF_PERF_EVENT] },
  {
    type: T.BPF_PROG_TYPE_CGROUP_SKB,
    name: 'cgroup_skb',
    expectedAttachTypes: TRAFFIC,
    linkAttachTypes: TRAFFIC,
    testRun: skb('read'),
  },
  {
    type: T.BPF_PROG_TYPE_CGROUP_SOCK,
    name: 'cgroup_sock',
    expectedAttachTypes: SOCKETS,
    defaultAttachType: A.BPF_CGROUP_INET_SOCK_CREATE,
    linkAttachTypes: SOCKETS,
    linksAsLoaded: true,
  },
  { type: T.BPF_PROG_TYPE_LWT_IN, name: 'lwt_in', linkAttachTypes: [], testRun: tunnel('read') },
  { type: T.BPF_PROG_TYPE_LWT_OUT, name: 'lwt_out', linkAttachTypes: [], testRun: tunnel('read') },
  { type: T.BPF_PROG_TYPE_LWT_XMIT, name: 'lwt_xmit', linkAttachTypes: [], testRun: tunnel('write') },
  {
    type: T.BPF_PROG_TYPE_SOCK_OPS,
    name: 'sock_ops',
    linkAttachTypes: [A.BPF_CGROUP_SOCK_OPS],
  },
  {
    type: T.BPF_PROG_TYPE_SK_SKB,
    name: 'sk_skb',
    linkAttachTypes: [A.BPF_SK_SKB_STREAM_PARSER, A.BPF_SK_SKB_STREAM_VERDICT, A.BPF_SK_SKB_VERDICT],
  },
  {
    type: T.BPF_PROG_TYPE_CGROUP_DEVICE,
    name: 'cgroup_device',
    linkAttachTypes: [A.BPF_CGROUP_DEVICE],
  },
  { type: T.BPF_PROG_TYPE_SK_MSG, name: 'sk_msg', linkAttachTypes: [A.BPF_SK_MSG_VERDICT] },
  {
    type: T.BPF_PROG_TYPE_RAW_TRACEPOINT,
    name: 'raw_tracepoint',
    linkAttachTypes: [],
    testRun: { kind: 'arguments' },
  },
  {
    type: T.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    name: 'cgroup_sock_addr',
    expectedAttachTypes: SOCKET_ADDRESSES,
    linkAttachTypes: SOCKET_ADDRESSES,
    linksAsLoaded: true,
  },
  { type: T.BPF_PROG_TYPE_LWT_SEG6LOCAL, name: 'lwt_seg6local', linkAttachTypes: [] },
  {
    type: T.BPF_PROG_TYPE_SK_REUSEPORT,
    name: 'sk_reuseport',
    expectedAttachTypes: REUSEPORT,
    defaultAttachType: A.BPF_SK_REUSEPORT_SELECT,
    linkAttachTypes: [],
  },
  {
    type: T.BPF_PROG_TYPE_FLOW_DISSECTOR,
    name: 'flow_dissector',
    linkAttachTypes: [A.BPF_FLOW_DISSECTOR],
    testRun: { kind: 'flow_dissector' },
  },
  {
    type: T.BPF_PROG_TYPE_CGROUP_SYSCTL,
    name: 'cgroup_sysctl',
    linkAttachTypes: [A.BPF_CGROUP_SYSCTL],
  },
  {
    type: T.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE,
    name: 'raw_tracepoint_writable',
    linkAttachTypes: [],
    testRun: { kind: 'arguments' },
  },
  {
    type: T.BPF_PROG_TYPE_CGROUP_SOCKOPT,
    name: 'cgroup_sockopt',
    expectedAttachTypes: SOCKET_OPTIONS,
    linkAttachTypes: SOCKET_OPTIONS,
    linksAsLoaded: true,
  },
  {
    type: T.BPF_PROG_TYPE_TRACING,
    name: 'tracing',
    linkAttachTypes: [A.BPF_TRACE_FENTRY, A.BPF_TRACE_FEXIT, A.BPF_MODIFY_RETURN, A.BPF_TRACE_ITER],
    linksAsLoaded: true,
    sleeps: 'may',
  },
  {
    type: T.BPF_PROG_TYPE_STRUCT_OPS,
    name: 'struct_ops',
    linkAttachTypes: [],
    sleeps: 'may',
    testRun: { kind: 'struct_ops' },
  },
  { type: T.BPF_PROG_TYPE_EXT, name: 'ext', expectedAttachTypes: [0], linkAttachTypes: 'any' },
  {
    type: T.BPF_PROG_TYPE_SK_LOOKUP,
    name: 'sk_lookup',
    expectedAttachTypes: [A.BPF_SK_LOOKUP],
    linkAttachTypes: [A.BPF_SK_LOOKUP],
    linksAsLoaded: true,
    testRun: { kind: 'sk_lookup' },
  },
  {
    type: T.BPF_PROG_TYPE_SYSCALL,
    name: 'syscall',
    expectedAttachTypes: [0],
    linkAttachTypes: [],
    sleeps: 'always',
    testRun: { kind: 'context' },
  },
]

export function programType(type: number): ProgramTypeRow | undefined {
  return programTypes.find((row) => row.type === type)
}
