/**
 * Helpers over socket buffers: their bytes, their size, their checksums.
 *
 * Offsets count from the packet's first byte as the program sees it. A packet is never shared here, so that what
 * Linux has to copy before it writes is written in place; a length that goes beyond the packet is refused all the
 * same.
 *
 * Source: net/core/filter.c of Linux, the function of each helper's name.
 */
import { EACCES, EFAULT, EINVAL, ENOMEM, ENOTSUPP } from '../../abi/index.ts'
import type { PacketBuffer } from '../../memory/index.ts'
import { badMemory, failure, u32Of } from '../access.ts'
import { addChecksums, checksumOf, foldChecksum, halveChecksum, subtractChecksum } from '../checksum.ts'
import type { HelperBody, HelperEnvironment } from '../environment.ts'
import { isFault, packetBytes, packetOf } from './packet.ts'

const INT_MAX = 0x7fff_ffff
const LARGEST_OFFSET = 0xffff
/** SKB_MAX_ALLOC: four pages less struct skb_shared_info. */
const LARGEST_PACKET = 4 * 4096 - 320

const BPF_F_RECOMPUTE_CSUM = 1n
const BPF_F_INVALIDATE_HASH = 2n
const BPF_F_HDR_FIELD_MASK = 0xfn
const BPF_F_PSEUDO_HDR = 0x10n
const BPF_F_MARK_MANGLED_0 = 0x20n
const BPF_F_MARK_ENFORCE = 0x40n
const BPF_F_IPV6 = 0x80n
const MANGLED_ZERO = 0xffff

const BPF_HDR_START_MAC = 0
const BPF_HDR_START_NET = 1
const LAST_PACKET_TYPE = 3

/** Offsets in struct __sk_buff. */
const PKT_TYPE = 4
const HASH = 68

export const skbLoadBytes: HelperBody = (env, r1, r2, r3, r4) => {
  const packet = packetOf(env, r1, 'skb', 'flow')
  if (isFault(packet)) return packet
  const [offset, size] = [u32Of(r2), u32Of(r4)]
  const to = env.arena.check(r3, size, true)
  if (to < 0) return badMemory(3, r3, size, 'write')
  // A flow dissector that is given bytes only has no socket buffer to load from.
  const bytes = packet.kind === 'flow' || offset > INT_MAX ? undefined : packetBytes(packet, offset, size)
  return copyOut(env, bytes, to, size)
}

export const skbLoadBytesRelative: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const [offset, size, start] = [u32Of(r2), u32Of(r4), u32Of(r5)]
  const to = env.arena.check(r3, size, true)
  if (to < 0) return badMemory(3, r3, size, 'write')
  const headers = [packet.macHeader, packet.networkHeader]
  const header = start === BPF_HDR_START_MAC || start === BPF_HDR_START_NET ? headers[start] : undefined
  if (header === undefined || offset > LARGEST_OFFSET) return copyOut(env, undefined, to, size)
  // The link layer's header may lie before what the program sees.
  const from = packet.data + header + offset
  const end = packet.data + packet.linearBytes
  const bytes = from + size <= end ? env.arena.bytes.subarray(from, from + size) : undefined
  return copyOut(env, bytes, to, size)
}

function copyOut(env: HelperEnvironment, bytes: Uint8Array | undefined, to: number, size: number): bigint {
  if (bytes === undefined) {
    env.arena.bytes.fill(0, to, to + size)
    return failure(EFAULT)
  }
  env.arena.bytes.set(bytes, to)
  return 0n
}

export const skbStoreBytes: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const [offset, size] = [u32Of(r2), u32Of(r4)]
  const from = env.arena.check(r3, size, false)
  if (from < 0) return badMemory(3, r3, size, 'read')
  if ((r5 & ~(BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH)) !== 0n) return failure(EINVAL)
  const bytes = offset > INT_MAX ? undefined : writable(packet, offset, size)
  if (bytes === undefined) return failure(EFAULT)
  const before = checksumOf(bytes)
  bytes.set(env.arena.bytes.subarray(from, from + size))
  if ((r5 & BPF_F_RECOMPUTE_CSUM) !== 0n && packet.isSummed && packet.checksum !== undefined) {
    const isOdd = (offset & 1) !== 0
    const change = subtractChecksum(checksumOf(bytes), before)
    packet.checksum = addChecksums(packet.checksum, isOdd ? swapped(change) : change)
  }
  if ((r5 & BPF_F_INVALIDATE_HASH) !== 0n) setField(env, HASH, 0)
  return 0n
}

/** A sum of words that begin at an odd offset. */
const swapped = (checksum: number): number => ((checksum << 8) | (checksum >>> 24)) >>> 0

/** The bytes, made linear; undefined where the packet ends before. */
function writable(packet: PacketBuffer, offset: number, size: number): Uint8Array | undefined {
  if (offset + size > packet.lengthBytes) return undefined
  if (offset + size > packet.linearBytes) packet.pull(offset + size)
  return packetBytes(packet, offset, size)
}

function setField(env: HelperEnvironment, at: number, value: number): void {
  env.arena.view.setUint32(env.arena.offsetOf(env.context) + at, value, true)
}

export const skbPullData: HelperBody = (env, r1, r2) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const wanted = u32Of(r2)
  if (wanted > packet.lengthBytes) return failure(ENOMEM)
  if (wanted > packet.linearBytes) packet.pull(wanted)
  return 0n
}

export const skbChangeTail: HelperBody = (env, r1, r2, r3) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const size = u32Of(r2)
  if (r3 !== 0n || size > LARGEST_PACKET || size < Math.max(packet.networkHeader, 0)) return failure(EINVAL)
  // The sum is not kept up; Linux then takes it for none.
  if (size !== packet.lengthBytes) packet.isSummed = false
  return packet.moveTail(size - packet.lengthBytes) ? 0n : failure(ENOMEM)
}

export const skbChangeHead: HelperBody = (env, r1, r2, r3) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const by = u32Of(r2)
  if (r3 !== 0n || by > INT_MAX || packet.lengthBytes + by > LARGEST_PACKET) return failure(EINVAL)
  if (!packet.moveHead(-by)) return failure(ENOMEM)
  packet.bytes().fill(0, 0, by)
  packet.macHeader = 0
  return 0n
}

export const skbChangeType: HelperBody = (env, r1, r2) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const type = u32Of(r2)
  if (type > LAST_PACKET_TYPE) return failure(EINVAL)
  setField(env, PKT_TYPE, type)
  return 0n
}

export const setHash: HelperBody = (env, r1, r2) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  setField(env, HASH, u32Of(r2))
  return 0n
}

export const setHashInvalid: HelperBody = (env, r1) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  setField(env, HASH, 0)
  return 0n
}

/** There is no task behind a packet here, so no class of one. */
export const getCgroupClassid: HelperBody = () => 0n

/** Packets of a test run have no route. */
export const getRouteRealm: HelperBody = () => 0n

/** A socket is always a full one. */
export const skFullsock: HelperBody = (_env, r1) => r1

export const l3CsumReplace: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  if ((r5 & ~BPF_F_HDR_FIELD_MASK) !== 0n) return failure(EINVAL)
  const field = checksumField(packet, u32Of(r2))
  if (field === undefined) return failure(EFAULT)
  const sum = replaced(readWord(field), r3, r4, Number(r5 & BPF_F_HDR_FIELD_MASK))
  if (sum === undefined) return failure(EINVAL)
  writeWord(field, sum)
  return 0n
}

export const l4CsumReplace: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const known =
    BPF_F_HDR_FIELD_MASK | BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0 | BPF_F_MARK_ENFORCE | BPF_F_IPV6
  if ((r5 & ~known) !== 0n) return failure(EINVAL)
  const field = checksumField(packet, u32Of(r2))
  if (field === undefined) return failure(EFAULT)
  const keepsZero = (r5 & BPF_F_MARK_MANGLED_0) !== 0n
  if (keepsZero && (r5 & BPF_F_MARK_ENFORCE) === 0n && readWord(field) === 0) return 0n
  const width = Number(r5 & BPF_F_HDR_FIELD_MASK)
  // Two bytes are taken for the low half of four.
  const mask = width === 2 ? 0xffffn : 0xffff_ffffn
  const [from, to] = [r3 & mask, r4 & mask]
  const sum = replaced(readWord(field), width === 0 ? r3 : from, to, width === 2 ? 4 : width)
  if (sum === undefined) return failure(EINVAL)
  // The pseudo header is not part of the packet, so the packet's own sum changes with the field alone.
  if (
    packet.isSummed &&
    packet.checksum !== undefined &&
    (r5 & BPF_F_PSEUDO_HDR) !== 0n &&
    (width !== 0 || (r5 & BPF_F_IPV6) === 0n)
  ) {
    const change = width === 0 ? u32Of(to) : subtractChecksum(u32Of(to), u32Of(from))
    packet.checksum = ~addChecksums(change, ~packet.checksum) >>> 0
  }
  writeWord(field, keepsZero && sum === 0 ? MANGLED_ZERO : sum)
  return 0n
}

/** The two bytes of a checksum; undefined where they are not there. */
function checksumField(packet: PacketBuffer, offset: number): Uint8Array | undefined {
  if (offset > LARGEST_OFFSET || (offset & 1) !== 0) return undefined
  return writable(packet, offset, 2)
}

const readWord = (field: Uint8Array): number => (field[0] as number) | ((field[1] as number) << 8)

function writeWord(field: Uint8Array, value: number): void {
  field[0] = value & 0xff
  field[1] = value >>> 8
}

/** The checksum after `from` became `to` in what it sums: 2 or 4 bytes, or, for 0, a difference in `to`. */
function replaced(checksum: number, from: bigint, to: bigint, width: number): number | undefined {
  const sum = ~checksum & 0xffff
  switch (width) {
    case 0:
      return from === 0n ? foldChecksum(addChecksums(u32Of(to), ~checksum)) : undefined
    case 2: {
      const [old, next] = [u32Of(from) & 0xffff, u32Of(to) & 0xffff]
      return ~add16(add16(sum, ~old & 0xffff), next) & 0xffff
    }
    case 4:
      return foldChecksum(addChecksums(subtractChecksum(~checksum, u32Of(from)), u32Of(to)))
    default:
      return undefined
  }
}

function add16(a: number, b: number): number {
  const sum = a + b
  return (sum & 0xffff) + (sum >>> 16)
}

export const csumDiff: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const [fromSize, toSize] = [u32Of(r2), u32Of(r4)]
  const from = fromSize === 0 ? 0 : env.arena.check(r1, fromSize, false)
  if (from < 0) return badMemory(1, r1, fromSize, 'read')
  const to = toSize === 0 ? 0 : env.arena.check(r3, toSize, false)
  if (to < 0) return badMemory(3, r3, toSize, 'read')
  const { bytes } = env.arena
  let sum = checksumOf(bytes.subarray(to, to + toSize), u32Of(r5))
  if (fromSize > 0) sum = subtractChecksum(sum, checksumOf(bytes.subarray(from, from + fromSize)))
  return BigInt(halveChecksum(sum))
}

export const csumUpdate: HelperBody = (env, r1, r2) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  if (!packet.isSummed || packet.checksum === undefined) return failure(ENOTSUPP)
  packet.checksum = addChecksums(packet.checksum, u32Of(r2))
  return BigInt(packet.checksum)
}

const LEVEL = { query: 0, increment: 1, decrement: 2, reset: 3 } as const
const MOST_LEVELS = 3

export const csumLevel: HelperBody = (env, r1, r2) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const level = packet.checksumLevel
  switch (r2) {
    case BigInt(LEVEL.increment):
      if (level !== undefined) packet.checksumLevel = Math.min(level + 1, MOST_LEVELS)
      else if (!packet.isSummed) packet.checksumLevel = 0
      return 0n
    case BigInt(LEVEL.decrement):
      if (level !== undefined) packet.checksumLevel = level === 0 ? undefined : level - 1
      return 0n
    case BigInt(LEVEL.reset):
      packet.checksumLevel = undefined
      return 0n
    case BigInt(LEVEL.query):
      return level === undefined ? failure(EACCES) : BigInt(level)
    default:
      return failure(EINVAL)
  }
}
