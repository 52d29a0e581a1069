/**
 * How contexts lie in the arena, per program type.
 *
 * A context has the layout that user space's headers give it, so that most accesses of a program are right as they
 * stand. Only fields that are pointers to the kernel and 32-bit numbers to the headers (`data`, `data_end`,
 * `data_meta`) have no room for what they hold: the pointers follow the struct, 64 bits each, and PROG_LOAD
 * rewrites the loads of these fields. Linux rewrites nearly every access in the same place, since its own structs
 * look different.
 *
 * To add a program type that Linux converts is a row.
 *
 * Source: the *_convert_ctx_access functions of net/core/filter.c of Linux.
 */
import { BPF_PROG_TYPE } from '../../abi/index.ts'

export interface ContextLayout {
  /** Of the struct, as user space knows it. */
  readonly sizeBytes: number
  /** 32-bit fields whose value is a pointer, in the order of the pointers that follow the struct. */
  readonly pointers: readonly number[]
  /** 32-bit fields that the kernel keeps in 16 bits: what a store cuts off is gone. */
  readonly halves: readonly number[]
}

/** Offsets in struct __sk_buff. */
export const SK_BUFF = {
  len: 0,
  pkt_type: 4,
  mark: 8,
  queue_mapping: 12,
  protocol: 16,
  vlan_present: 20,
  vlan_tci: 24,
  vlan_proto: 28,
  priority: 32,
  ingress_ifindex: 36,
  ifindex: 40,
  tc_index: 44,
  cb: 48,
  hash: 68,
  tc_classid: 72,
  data: 76,
  data_end: 80,
  napi_id: 84,
  family: 88,
  remote_ip4: 92,
  local_ip4: 96,
  remote_ip6: 100,
  local_ip6: 116,
  remote_port: 132,
  local_port: 136,
  data_meta: 140,
  flow_keys: 144,
  tstamp: 152,
  wire_len: 160,
  gso_segs: 164,
  sk: 168,
  gso_size: 176,
  tstamp_type: 180,
  hwtstamp: 184,
} as const
export const SK_BUFF_BYTES = 192

/** Offsets in struct xdp_md. */
export const XDP_MD = {
  data: 0,
  data_end: 4,
  data_meta: 8,
  ingress_ifindex: 12,
  rx_queue_index: 16,
  egress_ifindex: 20,
} as const
export const XDP_MD_BYTES = 24

const POINTER_BYTES = 8
/** Data, end and metadata of a packet, behind the struct. */
export const PACKET_POINTERS_BYTES = 3 * POINTER_BYTES

/**
 * The same to programs that look at what the kernel has in the place of these structs (tracing programs, and those that
 * call bpf_cast_to_kern_ctx): with the names that Linux has for the fields. Declared where the operating system has no
 * such structs; where it has, its fields lie elsewhere.
 */
export const kernelContextStructs: readonly string[] = [
  'struct xdp_buff { __u32 __md[3]; __u32 ingress_ifindex; __u32 rx_queue_index; __u32 egress_ifindex; void *data; void *data_end; void *data_meta; struct xdp_rxq_info *rxq; }',
  'struct sk_buff { __u32 len; __u32 pkt_type; __u32 mark; __u32 queue_mapping; __u32 protocol; __u32 vlan_present; __u32 vlan_tci; __u32 vlan_proto; __u32 priority; __u32 skb_iif; __u32 ifindex; __u32 tc_index; __u32 cb[5]; __u32 hash; __u32 __rest[3]; __u32 napi_id; __u32 __more[16]; __u64 tstamp; __u32 __last[8]; void *data; void *data_end; void *data_meta; struct net_device *dev; }',
  'struct xdp_rxq_info { struct net_device *dev; __u32 queue_index; }',
  'struct net_device { int ifindex; }',
]

const skBuff: ContextLayout = {
  sizeBytes: SK_BUFF_BYTES,
  pointers: [SK_BUFF.data, SK_BUFF.data_end, SK_BUFF.data_meta],
  halves: [SK_BUFF.tc_index, SK_BUFF.queue_mapping, SK_BUFF.tc_classid],
}

const xdpMd: ContextLayout = {
  sizeBytes: XDP_MD_BYTES,
  pointers: [XDP_MD.data, XDP_MD.data_end, XDP_MD.data_meta],
  halves: [],
}

const T = BPF_PROG_TYPE

const layouts: ReadonlyMap<number, ContextLayout> = new Map<number, ContextLayout>([
  [T.BPF_PROG_TYPE_SOCKET_FILTER, skBuff],
  [T.BPF_PROG_TYPE_SCHED_CLS, skBuff],
  [T.BPF_PROG_TYPE_SCHED_ACT, skBuff],
  [T.BPF_PROG_TYPE_CGROUP_SKB, skBuff],
  [T.BPF_PROG_TYPE_LWT_IN, skBuff],
  [T.BPF_PROG_TYPE_LWT_OUT, skBuff],
  [T.BPF_PROG_TYPE_LWT_XMIT, skBuff],
  [T.BPF_PROG_TYPE_LWT_SEG6LOCAL, skBuff],
  [T.BPF_PROG_TYPE_SK_SKB, skBuff],
  [T.BPF_PROG_TYPE_FLOW_DISSECTOR, skBuff],
  [T.BPF_PROG_TYPE_XDP, xdpMd],
])

/** Undefined where programs of the type are given their context as it is. */
export const contextLayout = (programType: number): ContextLayout | undefined => layouts.get(programType)

/** Where the pointers are, from the start of the context. */
export const pointersOffset = (layout: ContextLayout): number => layout.sizeBytes

/** Of the struct with the pointers. */
export const contextBytes = (layout: ContextLayout): number =>
  layout.sizeBytes + POINTER_BYTES * layout.pointers.length

/** Where the 64-bit pointer of the 32-bit field at `offset` is; undefined for any other field. */
export function pointerOffset(layout: ContextLayout, offset: number): number | undefined {
  const index = layout.pointers.indexOf(offset)
  return index < 0 ? undefined : layout.sizeBytes + POINTER_BYTES * index
}
