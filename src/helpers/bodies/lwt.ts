/**
 * Headers that lightweight tunnels put before a packet: an IP header with what the program has behind it, or a route by
 * segments. What they lead to is looked up when the program has ended, which no test run does.
 *
 * Source: bpf_lwt_push_ip_encap() of net/core/lwt_bpf.c, bpf_lwt_in_push_encap() of net/core/filter.c of Linux.
 */
import { EINVAL, ENOMEM, ENOTSUPP } from '../../abi/index.ts'
import type { PacketBuffer } from '../../memory/index.ts'
import { badMemory, failure, u32Of } from '../access.ts'
import { addChecksums, checksumOf, foldChecksum } from '../checksum.ts'
import type { HelperBody, HelperEnvironment } from '../environment.ts'
import { isFault, packetOf } from './packet.ts'
import { pushSegments, type SegmentRoute } from './segment-route.ts'

/** enum bpf_lwt_encap_mode. */
const ENCAP = { segments: 0, segmentsInline: 1, ip: 2 } as const

/** Offsets in struct __sk_buff. */
const PROTOCOL = 16
const HASH = 68
const GSO_SIZE = 176

const IPV4 = 0x0800
const IPV6 = 0x86dd
const IPV4_HEADER = 20
const IPV6_HEADER = 40
const IPV4_PROTOCOL = 9
const IPV4_CHECKSUM = 10
const IPV6_NEXT_HEADER = 6
const UDP = 17
const UDP_HEADER = 8
const MOST_BYTES = 256

export const lwtPushEncap: HelperBody = (env, r1, r2, r3, r4) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const size = u32Of(r4)
  const from = env.arena.check(r3, size, false)
  if (from < 0) return badMemory(3, r3, size, 'read')
  const header = env.arena.bytes.slice(from, from + size)
  const mode = u32Of(r2)
  if (mode === ENCAP.ip) return failure(pushIp(env, packet, header))
  // On the way out programs may write to the packet, and are given IP headers only.
  if (packet.isWritable) return failure(EINVAL)
  const route = routes[mode]
  return failure(route === undefined ? EINVAL : pushSegments(env, packet, header, route))
}

const routes: readonly (SegmentRoute | undefined)[] = ['encapsulated', 'inline']

function pushIp(env: HelperEnvironment, packet: PacketBuffer, header: Uint8Array): number {
  const protocol = protocolOf(header)
  if (protocol === undefined) return EINVAL
  if (!packet.moveHead(-header.length)) return ENOMEM
  packet.networkHeader = 0
  packet.isEncapsulated = true
  packet.bytes().set(header)
  // Summed on the way in, and as if what follows began at an even place.
  if (!packet.isWritable && packet.isSummed && packet.checksum !== undefined) {
    packet.checksum = addChecksums(checksumOf(header), packet.checksum)
  }
  const { view } = env.arena
  const context = env.arena.offsetOf(env.context)
  view.setUint32(context + HASH, 0, true)
  view.setUint16(context + PROTOCOL, protocol, false)
  if (protocol === IPV4) sumHeader(packet.bytes())
  // The segments of a test run's packet are of no protocol that could be told of the header.
  return view.getUint32(context + GSO_SIZE, true) === 0 ? 0 : ENOTSUPP
}

/** What a header is of, with all that is behind it; undefined where it cannot be. */
function protocolOf(header: Uint8Array): number | undefined {
  const size = header.length
  if (size < IPV4_HEADER || size > MOST_BYTES) return undefined
  const first = header[0] as number
  const version = first >> 4
  if (version !== 4 && version !== 6) return undefined
  const headerBytes = version === 4 ? (first & 15) * 4 : IPV6_HEADER
  const isUdp = header[version === 4 ? IPV4_PROTOCOL : IPV6_NEXT_HEADER] === UDP
  if (size < headerBytes + (isUdp ? UDP_HEADER : 0)) return undefined
  return version === 4 ? IPV4 : IPV6
}

/** The checksum of an IPv4 header that has none. */
function sumHeader(bytes: Uint8Array): void {
  if (bytes[IPV4_CHECKSUM] !== 0 || bytes[IPV4_CHECKSUM + 1] !== 0) return
  const headerBytes = ((bytes[0] as number) & 15) * 4
  // Of a header that is too short to be one, x86-64 gives the first two bytes.
  const isWhole = headerBytes >= IPV4_HEADER
  const sum = isWhole ? foldChecksum(checksumOf(bytes.subarray(0, headerBytes))) : firstWord(bytes)
  bytes[IPV4_CHECKSUM] = sum & 0xff
  bytes[IPV4_CHECKSUM + 1] = sum >>> 8
}

const firstWord = (bytes: Uint8Array): number => (bytes[0] as number) | ((bytes[1] as number) << 8)
