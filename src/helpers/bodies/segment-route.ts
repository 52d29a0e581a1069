/**
 * Routes by segments: an IPv6 routing header that lists the places where a packet goes next.
 *
 * Of networks there is the loopback device's, so that a packet for its address is not forwarded and no other place is
 * reached; it is also where the outer header comes from. There are no keys to sign a header with.
 *
 * Source: seg6_validate_srh() of net/ipv6/seg6.c, net/ipv6/seg6_iptunnel.c, seg6_push_hmac() of net/ipv6/seg6_hmac.c,
 * seg6_lookup_nexthop() of net/ipv6/seg6_local.c, bpf_lwt_seg6_action() of net/core/filter.c of Linux.
 */
import { EBADMSG, EINVAL, ENETUNREACH, ENOENT, ENOMEM } from '../../abi/index.ts'
import type { PacketBuffer } from '../../memory/index.ts'
import { badMemory, failure, u32Of } from '../access.ts'
import { addChecksums, checksumOf, subtractChecksum } from '../checksum.ts'
import type { HelperBody, HelperEnvironment } from '../environment.ts'
import { isFault, packetOf } from './packet.ts'

/** With an IPv6 header of its own before the whole packet, or behind the packet's. */
export type SegmentRoute = 'encapsulated' | 'inline'

/** Offsets in struct ipv6_sr_hdr. */
const ROUTE = { nextHeader: 0, length: 1, type: 2, left: 3, first: 4, flags: 5, segments: 8 } as const
const ROUTE_TYPE = 4
const SIGNED = 8
const SIGNATURE = { bytes: 40, type: 5, length: 38 } as const

/** Offsets in struct ipv6hdr. */
const IPV6 = { payload: 4, nextHeader: 6, hops: 7, source: 8, destination: 24 } as const
const IPV6_HEADER = 40
const ADDRESS_BYTES = 16
const NEXT_IPV6 = 41
const NEXT_ROUTE = 43
const HOPS = 64

/** Offset in struct __sk_buff. */
const PROTOCOL = 16
const PROTOCOL_IPV6 = 0x86dd

const LOOPBACK: readonly number[] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]

/** 0, or what is wrong: an errno. */
export function pushSegments(
  env: HelperEnvironment,
  packet: PacketBuffer,
  route: Uint8Array,
  how: SegmentRoute,
): number {
  if (!isRoute(route)) return EINVAL
  const protocol = env.arena.view.getUint16(env.arena.offsetOf(env.context) + PROTOCOL, false)
  if (how === 'inline' && protocol !== PROTOCOL_IPV6) return EBADMSG
  const refusal =
    how === 'inline' ? insertRoute(packet, route) : encapsulate(packet, route, protocol === PROTOCOL_IPV6)
  if (refusal !== 0) return refusal
  const to = packet.bytes().subarray(IPV6.destination, IPV6.destination + ADDRESS_BYTES)
  return LOOPBACK.every((byte, n) => to[n] === byte) ? EINVAL : ENETUNREACH
}

function isRoute(route: Uint8Array): boolean {
  const size = route.length
  if (size < ROUTE.segments) return false
  const byte = (at: number) => route[at] as number
  const [length, first] = [byte(ROUTE.length), byte(ROUTE.first)]
  if (byte(ROUTE.type) !== ROUTE_TYPE || (length + 1) * 8 !== size) return false
  if (byte(ROUTE.left) > first || first > (length >> 1) - 1) return false
  // What follows the segments is of whole records: a type, a length, as many bytes.
  let at = ROUTE.segments + (first + 1) * ADDRESS_BYTES
  while (at < size) {
    if (size - at < 2) return false
    at += 2 + byte(at + 1)
  }
  return at === size
}

function insertRoute(packet: PacketBuffer, route: Uint8Array): number {
  const before = checksumOf(packet.bytes().subarray(0, IPV6_HEADER))
  if (!packet.resizeAt(IPV6_HEADER, route.length)) return ENOMEM
  begin(packet)
  const all = packet.bytes()
  const header = all.subarray(0, IPV6_HEADER)
  const inner = all.subarray(IPV6_HEADER, IPV6_HEADER + route.length)
  if (packet.isSummed && packet.checksum !== undefined) {
    packet.checksum = subtractChecksum(packet.checksum, before)
  }
  inner.set(route)
  inner[ROUTE.nextHeader] = header[IPV6.nextHeader] as number
  header[IPV6.nextHeader] = NEXT_ROUTE
  inner.set(header.subarray(IPV6.destination), ROUTE.segments)
  header.set(firstSegment(inner), IPV6.destination)
  return finish(packet, inner)
}

function encapsulate(packet: PacketBuffer, route: Uint8Array, isIpv6: boolean): number {
  const inside = packet.bytes().slice(0, IPV6_HEADER)
  if (!packet.moveHead(-(IPV6_HEADER + route.length))) return ENOMEM
  begin(packet)
  packet.isEncapsulated = true
  const all = packet.bytes()
  const header = all.subarray(0, IPV6_HEADER)
  const inner = all.subarray(IPV6_HEADER, IPV6_HEADER + route.length)
  // Class, flow and hops are those of the packet inside.
  header.fill(0)
  if (isIpv6) header.set(inside.subarray(0, IPV6.payload))
  header[0] = 0x60 | ((header[0] as number) & 15)
  header[IPV6.hops] = isIpv6 ? (inside[IPV6.hops] as number) : HOPS
  header[IPV6.nextHeader] = NEXT_ROUTE
  inner.set(route)
  inner[ROUTE.nextHeader] = NEXT_IPV6
  header.set(firstSegment(inner), IPV6.destination)
  header.set(LOOPBACK, IPV6.source)
  return finish(packet, inner)
}

function begin(packet: PacketBuffer): void {
  packet.macHeader = 0
  packet.networkHeader = 0
}

const firstSegment = (route: Uint8Array): Uint8Array => {
  const at = ROUTE.segments + (route[ROUTE.first] as number) * ADDRESS_BYTES
  return route.subarray(at, at + ADDRESS_BYTES)
}

/** Signature, length and sum. */
function finish(packet: PacketBuffer, route: Uint8Array): number {
  if (((route[ROUTE.flags] as number) & SIGNED) !== 0) return hasSignature(route) ? ENOENT : EINVAL
  const all = packet.bytes()
  const length = all.length - IPV6_HEADER
  all[IPV6.payload] = (length >> 8) & 0xff
  all[IPV6.payload + 1] = length & 0xff
  if (packet.isSummed && packet.checksum !== undefined) {
    const pushed = checksumOf(all.subarray(0, IPV6_HEADER + route.length))
    packet.checksum = addChecksums(packet.checksum, pushed)
  }
  return 0
}

/** The room for one is the last record. */
function hasSignature(route: Uint8Array): boolean {
  const [length, first] = [route[ROUTE.length] as number, route[ROUTE.first] as number]
  const at = route.length - SIGNATURE.bytes
  if (length < (first + 1) * 2 + 5) return false
  return route[at] === SIGNATURE.type && route[at + 1] === SIGNATURE.length
}

const ACTION = { nextHop: 2, table: 3, decapsulate: 7, insert: 9, encapsulate: 10 } as const

/** No packet has come by a route of segments: there is none to follow, only one to begin. */
export const seg6Action: HelperBody = (env, r1, r2, r3, r4) => {
  const size = u32Of(r4)
  const from = env.arena.check(r3, size, false)
  if (from < 0) return badMemory(3, r3, size, 'read')
  switch (u32Of(r2)) {
    case ACTION.nextHop:
    case ACTION.table:
    case ACTION.decapsulate:
      return failure(EBADMSG)
    case ACTION.insert:
    case ACTION.encapsulate: {
      const packet = packetOf(env, r1, 'skb')
      if (isFault(packet)) return packet
      const route = env.arena.bytes.slice(from, from + size)
      const how = u32Of(r2) === ACTION.insert ? 'inline' : 'encapsulated'
      return failure(pushSegments(env, packet, route, how))
    }
    default:
      return failure(EINVAL)
  }
}
