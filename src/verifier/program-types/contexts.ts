/**
 * Which fields of its context a program may load and store.
 *
 * A context is described by rows: a range of bytes, and how it may be read and written there. The first row that holds
 * the offset decides; an offset in no row is refused.
 *
 * Source: the *_is_valid_access functions of net/core/filter.c, kernel/bpf/cgroup.c, kernel/trace/bpf_trace.c and
 * net/netfilter/nf_bpf_link.c, and the structs of include/uapi/linux/bpf.h, of Linux 6.18.
 */
import { BPF_ATTACH_TYPE } from '../../abi/index.ts'
import { BASE, FLAG } from '../domain/kinds.ts'
import type { Proof } from '../proof.ts'
import type { ContextRequest, ContextValue } from './kind.ts'

/**
 * How bytes may be touched.
 *
 * `no`: not at all; `whole N`: only N bytes at once; `narrow N`: any aligned part of a field of N bytes; `any`: any
 * part of the row.
 */
type Rule = 'no' | `whole ${1 | 4 | 8}` | `narrow ${2 | 4 | 8}` | 'any'

interface Row {
  /** First byte, and one past the last. */
  readonly from: number
  readonly to: number
  readonly read: Rule
  readonly write?: Rule
  /** What a load gives, if not a number. */
  readonly gives?: number
  /** Smaller loads are refused. */
  readonly leastBytes?: number
  /** A sign-extending load is refused. */
  readonly unsignedOnly?: boolean
  /** Loads of 8 bytes at once are fine, too. */
  readonly wide?: boolean
  /** Only for these attach types. */
  readonly attach?: readonly number[]
  /** The same for stores. */
  readonly writeAttach?: readonly number[]
}

const SCALAR: ContextValue = { kind: BASE.SCALAR }

function ruleAllows(rule: Rule, row: Row, { offset, size }: ContextRequest): boolean {
  if (rule === 'no') return false
  if (rule === 'any') return offset + size <= row.to
  const [how = '', width = ''] = rule.split(' ')
  const bytes = Number(width)
  if (row.wide === true && size === 8 && offset % 8 === 0 && offset + 8 <= row.to) return true
  if (how === 'whole') return size === bytes
  return size <= bytes && (offset & (bytes - 1)) + size <= bytes
}

function contextOf(size: number, rows: readonly Row[]) {
  return (p: Proof, request: ContextRequest): ContextValue | undefined => {
    const { offset } = request
    if (offset < 0 || offset >= size || offset % request.size !== 0) return undefined
    const row = rows.find((r) => offset >= r.from && offset < r.to)
    if (row === undefined) return undefined
    const attach = p.input.expectedAttachType
    if (row.attach !== undefined && !row.attach.includes(attach)) return undefined
    if (request.isWrite) {
      if (row.writeAttach !== undefined && !row.writeAttach.includes(attach)) return undefined
      return ruleAllows(row.write ?? 'no', row, request) ? SCALAR : undefined
    }
    if (row.unsignedOnly === true && request.isSigned) return undefined
    if (row.leastBytes !== undefined && request.size < row.leastBytes) return undefined
    if (!ruleAllows(row.read, row, request)) return undefined
    return row.gives === undefined ? SCALAR : { kind: row.gives }
  }
}

/** Where the fields of `struct __sk_buff` are. */
const SKB = {
  mark: 8,
  queueMapping: 12,
  priority: 32,
  tcIndex: 44,
  cb: 48,
  tcClassid: 72,
  data: 76,
  dataEnd: 80,
  family: 88,
  remoteIp4: 92,
  remoteIp6: 100,
  remotePort: 132,
  dataMeta: 140,
  flowKeys: 144,
  tstamp: 152,
  wireLen: 160,
  sk: 168,
  tstampType: 180,
  hwtstamp: 184,
} as const

interface SkbAccess {
  /** Fields that the type does not have. */
  readonly hidden: readonly (readonly [from: number, to: number])[]
  /** First bytes of 4-byte fields that may be written, `cb` and `tstamp` standing for all of themselves. */
  readonly writable: readonly number[]
  readonly packet?: boolean
  readonly meta?: boolean
  readonly tstampType?: boolean
}

const four = (from: number): [number, number] => [from, from + 4]
const SOCKET_FIELDS: [number, number] = [SKB.family, SKB.dataMeta]

function skbContext({ hidden, writable, packet, meta, tstampType }: SkbAccess) {
  const may = (field: number): boolean => writable.includes(field)
  const write = (field: number): { write?: Rule } => (may(field) ? { write: 'whole 4' } : {})
  const plain: Row[] = []
  for (let at = 0; at < 192; at += 4) plain.push({ from: at, to: at + 4, read: 'narrow 4', ...write(at) })
  return contextOf(192, [
    ...hidden.map(([from, to]): Row => ({ from, to, read: 'no' })),
    { from: SKB.cb, to: SKB.cb + 20, read: 'any', ...(may(SKB.cb) ? { write: 'any' as const } : {}) },
    {
      from: SKB.data,
      to: SKB.data + 4,
      read: 'whole 4',
      unsignedOnly: true,
      ...(packet ? { gives: BASE.PACKET } : {}),
    },
    {
      from: SKB.dataEnd,
      to: SKB.dataEnd + 4,
      read: 'whole 4',
      unsignedOnly: true,
      ...(packet ? { gives: BASE.PACKET_END } : {}),
    },
    {
      from: SKB.dataMeta,
      to: SKB.dataMeta + 4,
      read: 'whole 4',
      unsignedOnly: true,
      ...(meta ? { gives: BASE.PACKET_META } : {}),
    },
    { from: SKB.remoteIp4, to: SKB.remotePort, read: 'whole 4' },
    { from: SKB.flowKeys, to: SKB.flowKeys + 8, read: 'no' },
    {
      from: SKB.tstamp,
      to: SKB.tstamp + 8,
      read: 'whole 8',
      ...(may(SKB.tstamp) ? { write: 'whole 8' as const } : {}),
    },
    { from: SKB.sk, to: SKB.sk + 8, read: 'whole 8', gives: BASE.SOCK_COMMON | FLAG.MAYBE_NULL },
    { from: SKB.tstampType, to: SKB.tstampType + 1, read: tstampType ? 'whole 1' : 'no' },
    { from: SKB.tstampType + 1, to: SKB.hwtstamp, read: 'no' },
    { from: SKB.hwtstamp, to: SKB.hwtstamp + 8, read: 'whole 8' },
    ...plain,
  ])
}

const TSTAMP: [number, number] = [SKB.tstamp, SKB.tstamp + 8]
const HWTSTAMP: [number, number] = [SKB.hwtstamp, SKB.hwtstamp + 8]

export const socketFilterContext = skbContext({
  hidden: [
    four(SKB.tcClassid),
    [SKB.data, SKB.dataEnd + 4],
    SOCKET_FIELDS,
    four(SKB.dataMeta),
    TSTAMP,
    four(SKB.wireLen),
    HWTSTAMP,
  ],
  writable: [SKB.cb],
})

export const cgroupSkbContext = skbContext({
  hidden: [four(SKB.tcClassid), four(SKB.dataMeta), four(SKB.wireLen)],
  writable: [SKB.mark, SKB.priority, SKB.cb, SKB.tstamp],
  packet: true,
})

export const lwtContext = skbContext({
  hidden: [four(SKB.tcClassid), SOCKET_FIELDS, four(SKB.dataMeta), TSTAMP, four(SKB.wireLen), HWTSTAMP],
  writable: [SKB.mark, SKB.priority, SKB.cb],
  packet: true,
})

export const schedContext = skbContext({
  hidden: [SOCKET_FIELDS],
  writable: [SKB.mark, SKB.tcIndex, SKB.priority, SKB.tcClassid, SKB.cb, SKB.tstamp, SKB.queueMapping],
  packet: true,
  meta: true,
  tstampType: true,
})

export const skSkbContext = skbContext({
  hidden: [four(SKB.tcClassid), four(SKB.dataMeta), TSTAMP, four(SKB.wireLen), HWTSTAMP, four(SKB.mark)],
  writable: [SKB.tcIndex, SKB.priority],
  packet: true,
})

export const flowDissectorContext = contextOf(192, [
  { from: SKB.data, to: SKB.data + 4, read: 'whole 4', unsignedOnly: true, gives: BASE.PACKET },
  { from: SKB.dataEnd, to: SKB.dataEnd + 4, read: 'whole 4', unsignedOnly: true, gives: BASE.PACKET_END },
  { from: SKB.flowKeys, to: SKB.flowKeys + 8, read: 'whole 8', gives: BASE.FLOW_KEYS },
])

export const xdpContext = contextOf(24, [
  { from: 0, to: 4, read: 'whole 4', unsignedOnly: true, gives: BASE.PACKET },
  { from: 4, to: 8, read: 'whole 4', unsignedOnly: true, gives: BASE.PACKET_END },
  { from: 8, to: 12, read: 'whole 4', unsignedOnly: true, gives: BASE.PACKET_META },
  { from: 12, to: 20, read: 'whole 4' },
  { from: 20, to: 24, read: 'whole 4', attach: [BPF_ATTACH_TYPE.BPF_XDP_DEVMAP] },
])

const A = BPF_ATTACH_TYPE
const IP4 = [
  A.BPF_CGROUP_INET4_BIND,
  A.BPF_CGROUP_INET4_CONNECT,
  A.BPF_CGROUP_INET4_GETPEERNAME,
  A.BPF_CGROUP_INET4_GETSOCKNAME,
  A.BPF_CGROUP_UDP4_SENDMSG,
  A.BPF_CGROUP_UDP4_RECVMSG,
]
const IP6 = [
  A.BPF_CGROUP_INET6_BIND,
  A.BPF_CGROUP_INET6_CONNECT,
  A.BPF_CGROUP_INET6_GETPEERNAME,
  A.BPF_CGROUP_INET6_GETSOCKNAME,
  A.BPF_CGROUP_UDP6_SENDMSG,
  A.BPF_CGROUP_UDP6_RECVMSG,
]

export const sockAddrContext = contextOf(72, [
  { from: 0, to: 4, read: 'whole 4' },
  { from: 4, to: 8, read: 'narrow 4', write: 'whole 4', attach: IP4 },
  { from: 8, to: 24, read: 'narrow 4', write: 'whole 4', wide: true, attach: IP6 },
  { from: 24, to: 28, read: 'narrow 4', write: 'whole 4' },
  { from: 28, to: 40, read: 'whole 4' },
  { from: 40, to: 44, read: 'narrow 4', write: 'whole 4', attach: [A.BPF_CGROUP_UDP4_SENDMSG] },
  { from: 44, to: 60, read: 'narrow 4', write: 'whole 4', wide: true, attach: [A.BPF_CGROUP_UDP6_SENDMSG] },
  { from: 64, to: 72, read: 'whole 8', gives: BASE.SOCKET },
])

const SOCKET_LIFE = [A.BPF_CGROUP_INET_SOCK_CREATE, A.BPF_CGROUP_INET_SOCK_RELEASE]
const BIND4 = [A.BPF_CGROUP_INET4_POST_BIND]
const BIND6 = [A.BPF_CGROUP_INET6_POST_BIND]

export const cgroupSockContext = contextOf(80, [
  { from: 0, to: 4, read: 'whole 4', write: 'whole 4', attach: SOCKET_LIFE },
  ...fromTheirStart(4, 16),
  { from: 16, to: 24, read: 'whole 4', write: 'whole 4', attach: SOCKET_LIFE },
  { from: 24, to: 28, read: 'narrow 4', attach: BIND4 },
  { from: 28, to: 44, read: 'narrow 4', attach: BIND6 },
  ...fromTheirStart(44, 48, [...BIND4, ...BIND6]),
  ...destinationRows(),
])

/** Fields of four bytes of which a part may be read if it begins where the field does. */
function fromTheirStart(first: number, end: number, attach?: readonly number[]): Row[] {
  const rows: Row[] = []
  for (let at = first; at < end; at += 4) {
    rows.push({ from: at, to: at + 1, read: 'narrow 4', ...(attach && { attach }) })
    rows.push({ from: at + 1, to: at + 4, read: 'no' })
  }
  return rows
}

/** The end of `struct bpf_sock`: destination, state, queue. */
function destinationRows(): Row[] {
  return [
    // The port has two bytes; older programs read four.
    { from: 48, to: 49, read: 'narrow 4' },
    { from: 49, to: 50, read: 'narrow 2' },
    { from: 50, to: 52, read: 'no' },
    { from: 52, to: 72, read: 'narrow 4' },
    ...fromTheirStart(72, 80),
  ]
}

const sockRows: readonly Row[] = [
  { from: 0, to: 4, read: 'whole 4' },
  ...fromTheirStart(4, 16),
  { from: 16, to: 24, read: 'whole 4' },
  { from: 24, to: 44, read: 'narrow 4' },
  ...fromTheirStart(44, 48),
  ...destinationRows(),
]

/** `struct bpf_sock` behind a socket pointer. */
export const socketFields = contextOf(80, sockRows)
export const sockCommonFields = contextOf(80, [{ from: 8, to: 24, read: 'no' }, ...sockRows])
export const tcpSockFields = contextOf(112, [
  { from: 80, to: 96, read: 'whole 8' },
  { from: 0, to: 112, read: 'whole 4' },
])
export const xdpSockFields = contextOf(4, [{ from: 0, to: 4, read: 'whole 4' }])

export const sockOpsContext = contextOf(224, [
  { from: 4, to: 8, read: 'whole 4', write: 'whole 4' },
  { from: 164, to: 168, read: 'whole 4', write: 'whole 4' },
  { from: 168, to: 184, read: 'whole 8' },
  { from: 184, to: 192, read: 'whole 8', gives: BASE.SOCKET | FLAG.MAYBE_NULL },
  { from: 192, to: 200, read: 'whole 8', gives: BASE.PACKET },
  { from: 200, to: 208, read: 'whole 8', gives: BASE.PACKET_END },
  { from: 212, to: 213, read: 'narrow 4' },
  { from: 216, to: 224, read: 'whole 8' },
  { from: 0, to: 224, read: 'whole 4' },
])

export const skMsgContext = contextOf(80, [
  { from: 0, to: 8, read: 'whole 8', gives: BASE.PACKET },
  { from: 8, to: 16, read: 'whole 8', gives: BASE.PACKET_END },
  { from: 16, to: 72, read: 'whole 4' },
  { from: 72, to: 80, read: 'whole 8', gives: BASE.SOCKET },
])

export const skReuseportContext = contextOf(56, [
  { from: 0, to: 1, read: 'whole 8', gives: BASE.PACKET },
  { from: 8, to: 9, read: 'whole 8', gives: BASE.PACKET_END },
  { from: 16, to: 20, read: 'narrow 4' },
  // The protocol has two bytes in four.
  { from: 20, to: 21, read: 'narrow 4', leastBytes: 2 },
  { from: 22, to: 23, read: 'narrow 4', leastBytes: 2 },
  { from: 24, to: 32, read: 'narrow 4' },
  { from: 32, to: 33, read: 'whole 4' },
  { from: 40, to: 41, read: 'whole 8', gives: BASE.SOCKET },
  { from: 48, to: 49, read: 'whole 8', gives: BASE.SOCK_COMMON | FLAG.MAYBE_NULL },
])

export const skLookupContext = contextOf(72, [
  { from: 0, to: 8, read: 'whole 8', gives: BASE.SOCKET | FLAG.MAYBE_NULL },
  { from: 8, to: 36, read: 'narrow 4' },
  // The port has two bytes; older programs read four.
  { from: 36, to: 40, read: 'narrow 4' },
  { from: 40, to: 68, read: 'narrow 4' },
])

export const cgroupDeviceContext = contextOf(12, [
  { from: 0, to: 4, read: 'narrow 4' },
  { from: 4, to: 12, read: 'whole 4' },
])

export const sysctlContext = contextOf(8, [
  { from: 0, to: 4, read: 'narrow 4' },
  { from: 4, to: 8, read: 'narrow 4', write: 'whole 4' },
])

const GETSOCKOPT = [A.BPF_CGROUP_GETSOCKOPT]
const SETSOCKOPT = [A.BPF_CGROUP_SETSOCKOPT]

export const sockoptContext = contextOf(40, [
  { from: 0, to: 8, read: 'whole 8', gives: BASE.SOCKET },
  { from: 8, to: 16, read: 'whole 8', gives: BASE.PACKET },
  { from: 16, to: 24, read: 'whole 8', gives: BASE.PACKET_END },
  { from: 24, to: 32, read: 'whole 4', write: 'whole 4', writeAttach: SETSOCKOPT },
  { from: 32, to: 36, read: 'whole 4', write: 'whole 4' },
  { from: 36, to: 40, read: 'whole 4', write: 'whole 4', attach: GETSOCKOPT },
])

/** Bytes of `struct pt_regs` on x86-64. */
const PT_REGS_BYTES = 168

export const kprobeContext = ({ input }: Proof, r: ContextRequest): ContextValue | undefined => {
  const registersBytes = input.registersBytes ?? PT_REGS_BYTES
  const isInside = r.offset >= 0 && r.offset + r.size <= registersBytes
  return !r.isWrite && isInside && r.offset % r.size === 0 ? SCALAR : undefined
}

export const tracepointContext = (_p: Proof, r: ContextRequest): ContextValue | undefined =>
  !r.isWrite && r.offset >= 8 && r.offset < 8192 && r.offset % r.size === 0 ? SCALAR : undefined

/** The registers, then the period and the address of the sample. */
export const perfEventContext = (p: Proof, request: ContextRequest): ContextValue | undefined => {
  const registersBytes = p.input.registersBytes ?? PT_REGS_BYTES
  const size = registersBytes + 16
  return contextOf(size, [
    { from: 0, to: registersBytes, read: 'whole 8' },
    { from: registersBytes, to: size, read: 'narrow 8' },
  ])(p, request)
}

/** Arguments of a traced function or tracepoint, 8 bytes each. */
export const isArgumentAccess = (r: ContextRequest): boolean =>
  !r.isWrite && r.offset >= 0 && r.offset < 96 && r.offset % r.size === 0

export const rawTracepointContext = (_p: Proof, r: ContextRequest): ContextValue | undefined =>
  isArgumentAccess(r) ? SCALAR : undefined

export const writableTracepointContext = (_p: Proof, r: ContextRequest): ContextValue | undefined => {
  if (!isArgumentAccess(r)) return undefined
  if (r.offset !== 0) return SCALAR
  return r.size === 8 ? { kind: BASE.TP_BUFFER } : undefined
}

export const syscallContext = (_p: Proof, r: ContextRequest): ContextValue | undefined =>
  r.offset >= 0 && r.offset < 0xffff && r.offset % r.size === 0 ? SCALAR : undefined
