/**
 * What a register or a stack byte can hold.
 *
 * A kind is a base (what is pointed to) and flags (what is known of the pointer). They are numbers, so that states
 * compare and copy fast; their names are Linux's, since logs print them.
 *
 * Source: enum bpf_reg_type, enum bpf_type_flag, enum bpf_stack_slot_type of Linux 6.18.
 */
export const BASE = {
  NOT_INIT: 0,
  SCALAR: 1,
  CTX: 2,
  CONST_MAP: 3,
  MAP_VALUE: 4,
  MAP_KEY: 5,
  STACK: 6,
  PACKET_META: 7,
  PACKET: 8,
  PACKET_END: 9,
  FLOW_KEYS: 10,
  SOCKET: 11,
  SOCK_COMMON: 12,
  TCP_SOCK: 13,
  TP_BUFFER: 14,
  XDP_SOCK: 15,
  BTF_ID: 16,
  MEM: 17,
  ARENA: 18,
  BUF: 19,
  FUNC: 20,
  DYNPTR: 21,
} as const

export const FLAG = {
  MAYBE_NULL: 1 << 8,
  RDONLY: 1 << 9,
  RINGBUF: 1 << 10,
  USER: 1 << 11,
  PERCPU: 1 << 12,
  RELEASE: 1 << 13,
  UNTRUSTED: 1 << 14,
  UNINIT: 1 << 15,
  DYNPTR_LOCAL: 1 << 16,
  DYNPTR_RINGBUF: 1 << 17,
  FIXED_SIZE: 1 << 18,
  ALLOC: 1 << 19,
  TRUSTED: 1 << 20,
  RCU: 1 << 21,
  NON_OWNING: 1 << 22,
  DYNPTR_SKB: 1 << 23,
  DYNPTR_XDP: 1 << 24,
  ALIGNED: 1 << 25,
  WRITE: 1 << 26,
  DYNPTR_SKB_META: 1 << 27,
} as const

export const DYNPTR_FLAGS =
  FLAG.DYNPTR_LOCAL | FLAG.DYNPTR_RINGBUF | FLAG.DYNPTR_SKB | FLAG.DYNPTR_XDP | FLAG.DYNPTR_SKB_META

export const baseOf = (kind: number): number => kind & 0xff
export const flagsOf = (kind: number): number => kind & ~0xff

const baseNames = [
  '?',
  'scalar',
  'ctx',
  'map_ptr',
  'map_value',
  'map_key',
  'fp',
  'pkt_meta',
  'pkt',
  'pkt_end',
  'flow_keys',
  'sock',
  'sock_common',
  'tcp_sock',
  'tp_buffer',
  'xdp_sock',
  'ptr_',
  'mem',
  'arena',
  'buf',
  'func',
  'dynptr_ptr',
] as const

/** `rcu_ptr_or_null_`: prefix flags, base, and for pointers that may be null a suffix. */
export function kindName(kind: number): string {
  const base = baseOf(kind)
  let suffix = ''
  if (kind & FLAG.MAYBE_NULL) suffix = base === BASE.BTF_ID ? 'or_null_' : '_or_null'
  const prefix =
    (kind & FLAG.RDONLY ? 'rdonly_' : '') +
    (kind & FLAG.RINGBUF ? 'ringbuf_' : '') +
    (kind & FLAG.USER ? 'user_' : '') +
    (kind & FLAG.PERCPU ? 'percpu_' : '') +
    (kind & FLAG.UNTRUSTED ? 'untrusted_' : '') +
    (kind & FLAG.TRUSTED ? 'trusted_' : '') +
    (kind & FLAG.RCU ? 'rcu_' : '')
  return `${prefix}${baseNames[base] ?? '?'}${suffix}`
}

/** A byte of stack. Four bits each; a slot's eight bytes are one 32-bit number, byte 0 lowest. */
export const BYTE = {
  INVALID: 0,
  SPILL: 1,
  MISC: 2,
  ZERO: 3,
  DYNPTR: 4,
  ITER: 5,
  IRQ_FLAG: 6,
} as const

export const BYTE_LETTERS = '?rm0dif'

/** All eight bytes of a slot alike. */
export const allBytes = (byte: number): number => (byte * 0x1111_1111) | 0
export const byteAt = (bytes: number, index: number): number => (bytes >>> (index * 4)) & 0xf
export const withByte = (bytes: number, index: number, byte: number): number =>
  (bytes & ~(0xf << (index * 4))) | (byte << (index * 4))
