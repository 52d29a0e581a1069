/**
 * Helpers that change what a packet is: its VLAN tags, its network protocol, room for headers.
 *
 * Source: net/core/filter.c and skb_vlan_push(), skb_vlan_pop() of net/core/skbuff.c of Linux.
 */
import { EALREADY, EFAULT, EINVAL, ENOMEM, ENOTSUPP, EOPNOTSUPP } from '../../abi/index.ts'
import type { PacketBuffer } from '../../memory/index.ts'
import { failure, u32Of } from '../access.ts'
import { addChecksums, checksumOf, subtractChecksum } from '../checksum.ts'
import type { HelperBody, HelperEnvironment } from '../environment.ts'
import { i32Of, isFault, packetOf } from './packet.ts'

/** Offsets in struct __sk_buff. */
const PROTOCOL = 16
const VLAN_PRESENT = 20
const VLAN_TCI = 24
const VLAN_PROTO = 28
const HASH = 68
const TSTAMP = 152
const TSTAMP_TYPE = 180

const ETHERNET_HEADER = 14
const TAG_AT = 12
const TAG_BYTES = 4
const IPV4 = 0x0800
const IPV6 = 0x86dd
const VLAN = 0x8100
const VLAN_AD = 0x88a8
const FIRST_TYPE = 0x0600
const PROTOCOL_802_3 = 0x0001
const PROTOCOL_802_2 = 0x0004
const IPV4_HEADER = 20
const IPV6_HEADER = 40
const LARGEST_PACKET = 4 * 4096 - 320
const LARGEST_ROOM = 0xfff

/** A field of the packet's context. */
const field = (env: HelperEnvironment, at: number): number => env.arena.offsetOf(env.context) + at
const protocolOf = (env: HelperEnvironment): number => env.arena.view.getUint16(field(env, PROTOCOL), false)
const setProtocol = (env: HelperEnvironment, protocol: number): void =>
  env.arena.view.setUint16(field(env, PROTOCOL), protocol, false)
/** A 16-bit number as it stands in a packet. */
const fromNetwork = (value: number): number => ((value & 0xff) << 8) | ((value >>> 8) & 0xff)
const isVlan = (protocol: number): boolean => protocol === VLAN || protocol === VLAN_AD

/** Opens (or, negative, closes) a gap at `at`, with the headers before it moved. */
function resize(packet: PacketBuffer, at: number, bytes: number): boolean {
  if (bytes < 0 && packet.isSummed && packet.checksum !== undefined) {
    const gone = packet.bytes().subarray(at, at - bytes)
    packet.checksum = subtractChecksum(packet.checksum, checksumOf(gone))
  }
  if (!packet.resizeAt(at, bytes)) return false
  packet.macHeader -= bytes
  packet.networkHeader -= bytes
  return true
}

function putTag(env: HelperEnvironment, protocol: number, tci: number): void {
  const { view } = env.arena
  view.setUint32(field(env, VLAN_PRESENT), 1, true)
  view.setUint32(field(env, VLAN_TCI), tci, true)
  view.setUint32(field(env, VLAN_PROTO), 0, true)
  view.setUint16(field(env, VLAN_PROTO), protocol, false)
}

function clearTag(env: HelperEnvironment): void {
  env.arena.bytes.fill(0, field(env, VLAN_PRESENT), field(env, VLAN_PROTO) + 4)
}

const hasTag = (env: HelperEnvironment): boolean =>
  env.arena.view.getUint32(field(env, VLAN_PRESENT), true) !== 0

/** The tag stays beside the packet; one that was there goes into it. */
export const skbVlanPush: HelperBody = (env, r1, r2, r3) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const wanted = fromNetwork(u32Of(r2))
  if (hasTag(env)) {
    const { view } = env.arena
    const protocol = view.getUint16(field(env, VLAN_PROTO), false)
    const tci = view.getUint32(field(env, VLAN_TCI), true)
    if (!resize(packet, TAG_AT, TAG_BYTES)) return failure(ENOMEM)
    const tag = packet.bytes().subarray(TAG_AT, TAG_AT + TAG_BYTES)
    tag.set([protocol >>> 8, protocol & 0xff, tci >>> 8, tci & 0xff])
    if (packet.isSummed && packet.checksum !== undefined) {
      // As Linux has it: what was put in, though the sum begins two bytes behind.
      packet.checksum = addChecksums(packet.checksum, checksumOf(tag))
    }
    setProtocol(env, protocol)
  }
  putTag(env, isVlan(wanted) ? wanted : VLAN, u32Of(r3) & 0xffff)
  return 0n
}

/** The tag beside the packet goes, and the first one in it takes its place. */
export const skbVlanPop: HelperBody = (env, r1) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  if (hasTag(env)) clearTag(env)
  else {
    if (!isVlan(protocolOf(env))) return 0n
    if (popTag(env, packet) === undefined) return failure(ENOMEM)
  }
  const protocol = protocolOf(env)
  if (!isVlan(protocol)) return 0n
  const tci = popTag(env, packet)
  if (tci === undefined) return failure(ENOMEM)
  putTag(env, protocol, tci)
  return 0n
}

/** The TCI of the first tag in the packet, which goes; undefined where the packet ends before. */
function popTag(env: HelperEnvironment, packet: PacketBuffer): number | undefined {
  if (packet.lengthBytes < ETHERNET_HEADER + TAG_BYTES) return undefined
  const bytes = packet.bytes()
  const word = (at: number) => ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
  const [tci, inner] = [word(14), word(16)]
  if (inner >= FIRST_TYPE) setProtocol(env, inner)
  else setProtocol(env, word(18) === 0xffff ? PROTOCOL_802_3 : PROTOCOL_802_2)
  if (!resize(packet, TAG_AT, -TAG_BYTES)) return undefined
  return tci
}

/** From IPv4 to IPv6 or back: the header is as long as it must be, what is in it is the program's to write. */
export const skbChangeProto: HelperBody = (env, r1, r2, r3) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  if (r3 !== 0n) return failure(EINVAL)
  const [from, to] = [protocolOf(env), fromNetwork(u32Of(r2))]
  const grows = from === IPV4 && to === IPV6
  if (!grows && !(from === IPV6 && to === IPV4)) return failure(ENOTSUPP)
  const at = packet.networkHeader - packet.macHeader
  const difference = IPV6_HEADER - IPV4_HEADER
  if (!grows && at + difference > packet.lengthBytes) return failure(ENOMEM)
  if (!resize(packet, at, grows ? difference : -difference)) return failure(ENOMEM)
  setProtocol(env, to)
  env.arena.view.setUint32(field(env, HASH), 0, true)
  return 0n
}

const ROOM = { net: 0, mac: 1 } as const
const FIXED_GSO = 1n
const ENCAP_IPV4 = 2n
const ENCAP_IPV6 = 4n
const ENCAP_GRE = 8n
const ENCAP_UDP = 16n
const NO_CSUM_RESET = 32n
const ENCAP_ETH = 64n
const DECAP_IPV4 = 128n
const DECAP_IPV6 = 256n
const DECAP = DECAP_IPV4 | DECAP_IPV6
const ENCAP_L2 = 0xffn << 56n
const ENCAP = ENCAP_IPV4 | ENCAP_IPV6
const ROOM_FLAGS = FIXED_GSO | ENCAP | ENCAP_GRE | ENCAP_UDP | NO_CSUM_RESET | ENCAP_ETH | DECAP | ENCAP_L2

/** Room behind the link layer's or the network layer's header, or less of it. */
export const skbAdjustRoom: HelperBody = (env, r1, r2, r3, r4) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const by = i32Of(r2)
  const bytes = Math.abs(by)
  if ((r4 & ~ROOM_FLAGS) !== 0n) return failure(EINVAL)
  if (bytes > LARGEST_ROOM) return failure(EFAULT)
  const protocol = protocolOf(env)
  const header = protocol === IPV4 ? IPV4_HEADER : protocol === IPV6 ? IPV6_HEADER : 0
  if (header === 0) return failure(ENOTSUPP)
  const mode = u32Of(r3)
  if (mode !== ROOM.net && mode !== ROOM.mac) return failure(ENOTSUPP)
  const at = packet.networkHeader - packet.macHeader + (mode === ROOM.net ? header : 0)
  let least = header
  if ((r4 & DECAP) !== 0n) {
    if (by >= 0 || (r4 & DECAP) === DECAP) return failure(EINVAL)
    least = (r4 & DECAP_IPV4) !== 0n ? IPV4_HEADER : IPV6_HEADER
  }
  const now = packet.lengthBytes - packet.networkHeader
  if (by < 0 && (bytes >= now || now - bytes < least)) return failure(ENOTSUPP)
  if (by >= 0 && packet.lengthBytes + bytes > LARGEST_PACKET) return failure(ENOTSUPP)
  const refusal = by < 0 ? shrink(env, packet, at, bytes, r4) : grow(env, packet, at, bytes, r4)
  if (refusal === 0 && (r4 & NO_CSUM_RESET) === 0n) packet.checksumLevel = undefined
  return failure(refusal)
}

function grow(
  env: HelperEnvironment,
  packet: PacketBuffer,
  at: number,
  bytes: number,
  flags: bigint,
): number {
  const encapsulates = (flags & ENCAP) !== 0n
  if (encapsulates) {
    const inner = Number(flags >> 56n)
    if ((flags & ENCAP) === ENCAP) return EINVAL
    if ((flags & ENCAP_GRE) !== 0n && (flags & ENCAP_UDP) !== 0n) return EINVAL
    if ((flags & ENCAP_ETH) !== 0n && inner < ETHERNET_HEADER) return EINVAL
    if (packet.isEncapsulated) return EALREADY
    if (inner > bytes) return EINVAL
  }
  if (bytes > 0 && !resize(packet, at, bytes)) return ENOMEM
  if (encapsulates) {
    packet.isEncapsulated = true
    setProtocol(env, (flags & ENCAP_IPV6) !== 0n ? IPV6 : IPV4)
  }
  return 0
}

function shrink(
  env: HelperEnvironment,
  packet: PacketBuffer,
  at: number,
  bytes: number,
  flags: bigint,
): number {
  if ((flags & ~(FIXED_GSO | DECAP | NO_CSUM_RESET)) !== 0n) return EINVAL
  if (at + bytes > packet.lengthBytes || !resize(packet, at, -bytes)) return ENOMEM
  if ((flags & DECAP) !== 0n) setProtocol(env, (flags & DECAP_IPV6) !== 0n ? IPV6 : IPV4)
  return 0
}

/** What was set, or a hash of addresses and ports; which one is the kernel's own affair. */
export const getHashRecalc: HelperBody = (env, r1) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const { view } = env.arena
  const known = view.getUint32(field(env, HASH), true)
  if (known !== 0) return BigInt(known)
  const start = packet.networkHeader + (protocolOf(env) === IPV6 ? 8 : 12)
  let hash = 0x811c_9dc5
  for (const byte of packet.bytes().subarray(start, start + 36)) hash = Math.imul(hash ^ byte, 0x0100_0193)
  const made = hash >>> 0 || 1
  view.setUint32(field(env, HASH), made, true)
  return BigInt(made)
}

const CONGESTION = 3
/** Marks a packet of a transport that understands it as one that met congestion: 1 where it now says so. */
export const skbEcnSetCe: HelperBody = (env, r1) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const protocol = protocolOf(env)
  const at = packet.networkHeader
  const bytes = packet.bytes()
  if (protocol === IPV4 && at >= 0 && at + IPV4_HEADER <= bytes.length) {
    const tos = bytes[at + 1] as number
    if ((tos & CONGESTION) === 0) return 0n
    if ((tos & CONGESTION) === CONGESTION) return 1n
    bytes[at + 1] = tos | CONGESTION
    const sum = ((bytes[at + 10] as number) << 8) | (bytes[at + 11] as number)
    const added = sum + 0xfffb + ((tos + 1) & CONGESTION)
    const folded = (added & 0xffff) + (added >>> 16)
    bytes[at + 10] = (folded >>> 8) & 0xff
    bytes[at + 11] = folded & 0xff
    return 1n
  }
  if (protocol === IPV6 && at >= 0 && at + IPV6_HEADER <= bytes.length) {
    if (((bytes[at + 1] as number) & 0x30) === 0) return 0n
    bytes[at + 1] = (bytes[at + 1] as number) | 0x30
    return 1n
  }
  return 0n
}

const CLOCK = { realtime: 0n, monotonic: 1n, tai: 2n } as const

export const skbSetTstamp: HelperBody = (env, r1, r2, r3) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const protocol = protocolOf(env)
  if (protocol !== IPV4 && protocol !== IPV6) return failure(EOPNOTSUPP)
  const type = BigInt(u32Of(r3))
  if (type !== CLOCK.realtime && (r2 === 0n || type > CLOCK.tai)) return failure(EINVAL)
  env.arena.view.setBigUint64(field(env, TSTAMP), r2, true)
  env.arena.view.setUint8(field(env, TSTAMP_TYPE), Number(type))
  return 0n
}
