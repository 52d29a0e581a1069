/**
 * Dynptrs: pointers that carry the bounds of what they point to, so that accesses are checked when they are made.
 *
 *     u64 address of the data, or of a packet's context, 0: null
 *     u32 size (24 bits) | type (bits 28 to 30) | read-only (bit 31)
 *     u32 offset in the data
 *
 * Source: struct bpf_dynptr_kern of include/linux/bpf.h, kernel/bpf/helpers.c of Linux 6.18.
 */
import { E2BIG, EFAULT, EINVAL } from '../abi/index.ts'
import type { PacketBuffer } from '../memory/index.ts'
import { badMemory } from './access.ts'
import type { HelperEnvironment, HelperFault } from './environment.ts'

export const DYNPTR_BYTES = 16
export const LARGEST_DYNPTR = (1 << 24) - 1

export const DYNPTR = { LOCAL: 1, RINGBUF: 2, SKB: 3, XDP: 4 } as const

const LARGEST = LARGEST_DYNPTR
const TYPE_SHIFT = 28
const TYPE_MASK = 7
const READ_ONLY = 0x8000_0000

export interface Dynptr {
  /** Arena offset of the dynptr itself. */
  readonly at: number
  readonly data: bigint
  readonly size: number
  readonly offset: number
  readonly type: number
  readonly isReadOnly: boolean
}

export interface NewDynptr {
  readonly data: bigint
  readonly size: number
  readonly type: number
  readonly offset?: number
  readonly isReadOnly?: boolean
}

/** Writes a dynptr at arena offset `at`; with no data it is null. */
export function placeDynptr(env: HelperEnvironment, at: number, made: NewDynptr): void {
  const { view } = env.arena
  const isNull = made.data === 0n
  const word = made.size | (made.type << TYPE_SHIFT) | (made.isReadOnly === true ? READ_ONLY : 0)
  view.setBigUint64(at, made.data, true)
  view.setUint32(at + 8, isNull ? 0 : word >>> 0, true)
  view.setUint32(at + 12, isNull ? 0 : (made.offset ?? 0), true)
}

export const NO_DYNPTR: NewDynptr = { data: 0n, size: 0, type: 0 }

/** What an argument points to, or a fault. */
export function takeDynptr(env: HelperEnvironment, argument: number, address: bigint): Dynptr | HelperFault {
  const at = env.arena.check(address, DYNPTR_BYTES, false)
  if (at < 0) return badMemory(argument, address, DYNPTR_BYTES, 'read')
  const { view } = env.arena
  const word = view.getUint32(at + 8, true)
  return {
    at,
    data: view.getBigUint64(at, true),
    size: word & LARGEST,
    offset: view.getUint32(at + 12, true),
    type: (word >>> TYPE_SHIFT) & TYPE_MASK,
    isReadOnly: (word & READ_ONLY) !== 0,
  }
}

export const isFault = (value: Dynptr | HelperFault): value is HelperFault => 'kind' in value

/** Whether `length` bytes from `offset` on are part of it. */
export const isInside = ({ size }: Dynptr, offset: number, length: number): boolean =>
  length <= size && offset <= size - length

const isPacket = ({ type }: Dynptr): boolean => type === DYNPTR.SKB || type === DYNPTR.XDP

/**
 * Arena offset of `length` bytes at `offset`, where they lie in one piece that programs may touch; -1 else. Only for
 * what is inside.
 */
export function pieceOf(env: HelperEnvironment, dynptr: Dynptr, offset: number, length: number): number {
  const from = dynptr.offset + offset
  if (!isPacket(dynptr)) return env.arena.offsetOf(dynptr.data + BigInt(from))
  const packet = env.packetBuffer
  if (packet === undefined || from + length > packet.linearBytes) return -1
  return packet.data + from
}

/** Bytes of the packet, whether programs may touch them or not; undefined where it ends before. */
function packetBytes(packet: PacketBuffer | undefined, from: number, length: number): Uint8Array | undefined {
  const all = packet?.bytes()
  return all === undefined || from + length > all.length ? undefined : all.subarray(from, from + length)
}

/** A copy of the bytes, or -errno. Source: __bpf_dynptr_read(). */
export function readDynptr(
  env: HelperEnvironment,
  dynptr: Dynptr,
  offset: number,
  length: number,
): Uint8Array | number {
  if (dynptr.data === 0n) return -EINVAL
  if (!isInside(dynptr, offset, length)) return -E2BIG
  if (isPacket(dynptr)) {
    return packetBytes(env.packetBuffer, dynptr.offset + offset, length)?.slice() ?? -EFAULT
  }
  const at = env.arena.check(dynptr.data + BigInt(dynptr.offset + offset), length, false)
  return at < 0 ? -EFAULT : env.arena.bytes.slice(at, at + length)
}

/** 0 or -errno; packets are written as they are, without their checksums. Source: __bpf_dynptr_write(). */
export function writeDynptr(
  env: HelperEnvironment,
  dynptr: Dynptr,
  offset: number,
  bytes: Uint8Array,
): number {
  if (dynptr.data === 0n || dynptr.isReadOnly) return -EINVAL
  if (!isInside(dynptr, offset, bytes.length)) return -E2BIG
  if (isPacket(dynptr)) {
    const into = packetBytes(env.packetBuffer, dynptr.offset + offset, bytes.length)
    into?.set(bytes)
    return into === undefined ? -EFAULT : 0
  }
  const at = env.arena.check(dynptr.data + BigInt(dynptr.offset + offset), bytes.length, true)
  if (at < 0) return -EFAULT
  env.arena.bytes.set(bytes, at)
  return 0
}
