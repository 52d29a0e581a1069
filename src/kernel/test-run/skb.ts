/**
 * Test runs on a socket buffer: an Ethernet frame that came in by the loopback device, of which programs of the
 * link layer see the header and others what follows it.
 *
 * Source: bpf_prog_test_run_skb(), convert___skb_to_skb(), convert_skb_to___skb() of net/bpf/test_run.c,
 * eth_type_trans() of net/ethernet/eth.c of Linux.
 */
import { EBADMSG, EINVAL, ENODEV, ENOMEM } from '../../abi/index.ts'
import { checksumOf, foldChecksum } from '../../helpers/checksum.ts'
import { type Arena, PacketBuffer } from '../../memory/index.ts'
import { DEVICE_BYTES, LOOPBACK, writeDevice } from '../contexts/device.ts'
import { PACKET_POINTERS_BYTES, SK_BUFF, SK_BUFF_BYTES } from '../contexts/layout.ts'
import type { SocketBufferRun } from '../program-types.ts'
import {
  isZeroBetween,
  readContext,
  readData,
  runProgram,
  type TestRequest,
  writeContext,
  writeResult,
} from './request.ts'

const BPF_F_TEST_SKB_CHECKSUM_COMPLETE = 4
const ETHERNET_HEADER = 14
const PAGE = 4096
const HEADROOM = 64
/** struct skb_shared_info. */
const TAILROOM = 320
const AF_INET = 2
const AF_INET6 = 10
const MOST_WIRE_BYTES = 65536
const MOST_SEGMENTS = 65535

const IPV4 = 0x0800
const IPV6 = 0x86dd
/** Below it, the type field of a frame is a length: 802.2, or 802.3 where the payload begins with ones. */
const FIRST_TYPE = 0x0600
const PROTOCOL_802_3 = 0x0001
const PROTOCOL_802_2 = 0x0004
const PACKET_TO = { host: 0, multicast: 2, other: 3 } as const

/** Fields of struct __sk_buff that a caller may give. */
const SETTABLE: readonly (readonly [number, number])[] = [
  [SK_BUFF.mark, 4],
  [SK_BUFF.priority, 4],
  [SK_BUFF.ingress_ifindex, 4],
  [SK_BUFF.ifindex, 4],
  [SK_BUFF.cb, 20],
  [SK_BUFF.tstamp, 8],
  [SK_BUFF.wire_len, 4],
  [SK_BUFF.gso_segs, 4],
  [SK_BUFF.gso_size, 4],
  [SK_BUFF.hwtstamp, 8],
]
/** Of these, what the caller is told after the run. */
const TOLD: readonly (readonly [number, number])[] = SETTABLE.filter(([at]) => at !== SK_BUFF.gso_size)

/** Offsets in struct bpf_sock, in which the packet's socket is shown. */
const SOCKET = {
  family: 4,
  src_ip4: 24,
  src_ip6: 28,
  dst_ip4: 52,
  dst_ip6: 56,
  state: 72,
  rx_queue_mapping: 76,
} as const
const SOCKET_BYTES = 80
const TCP_CLOSE = 7

export function runWithSocketBuffer(request: TestRequest, how: SocketBufferRun): number {
  const { attr, call } = request
  const { core } = call
  if ((attr.flags & ~BPF_F_TEST_SKB_CHECKSUM_COMPLETE) !== 0 || attr.cpu !== 0) return -EINVAL
  if (attr.batch_size !== 0 || attr.data_size_in < ETHERNET_HEADER) return -EINVAL
  const given = readContext(request, SK_BUFF_BYTES)
  if (typeof given === 'number') return given
  const frame = readData(request, { linearBytes: attr.data_size_in, roomBytes: PAGE - HEADROOM - TAILROOM })
  if (typeof frame === 'number') return frame
  const headerBytes = how.isLinkLayer ? 0 : ETHERNET_HEADER
  if (frame.length - ETHERNET_HEADER < headerBytesOf(protocolOf(frame))) return -EINVAL
  const described = given === undefined ? undefined : new DataView(given.buffer)
  const refusal =
    given === undefined || described === undefined
      ? 0
      : checkContext(given, described, frame.length - headerBytes)
  if (refusal !== 0) return refusal

  const { arena } = core
  const deviceAt = SK_BUFF_BYTES + PACKET_POINTERS_BYTES
  const context = arena.allocate(deviceAt + DEVICE_BYTES)
  if (context === undefined) return -ENOMEM
  const socket = arena.allocate(SOCKET_BYTES, { access: 'read' })
  const packet =
    socket === undefined
      ? undefined
      : PacketBuffer.create(arena, {
          kind: 'skb',
          bytes: frame.subarray(headerBytes),
          headroomBytes: HEADROOM + headerBytes,
          tailroomBytes: TAILROOM,
          access: how.access,
          pointersAt: context + SK_BUFF_BYTES,
          lengthAt: context + SK_BUFF.len,
        })
  if (socket === undefined || packet === undefined) {
    if (socket !== undefined) arena.free(socket)
    arena.free(context)
    return -ENOMEM
  }
  // The header that was taken off is still there, before the packet.
  arena.bytes.set(frame.subarray(0, headerBytes), packet.data - headerBytes)
  packet.macHeader = -headerBytes
  packet.networkHeader = ETHERNET_HEADER - headerBytes
  describePacket(arena, context, socket, frame)
  writeDevice(arena, context + deviceAt)
  if (given !== undefined && described !== undefined) {
    takeContext(arena, context, given, described, packet.lengthBytes)
  }
  if ((attr.flags & BPF_F_TEST_SKB_CHECKSUM_COMPLETE) !== 0) {
    packet.checksum = checksumOf(packet.bytes().subarray(packet.networkHeader))
    packet.isSummed = true
  }

  const result = runProgram(request, { cpu: 0, context: arena.address(context), packet })
  if (headerBytes > 0) {
    packet.moveHead(-headerBytes)
    arena.bytes.fill(0, packet.data, packet.data + headerBytes)
  }
  const after = packet.bytes().slice()
  const { checksum } = packet
  const isRight =
    checksum === undefined ||
    foldChecksum(checksum) === foldChecksum(checksumOf(after.subarray(Math.max(packet.networkHeader, 0))))
  if (given !== undefined) {
    for (const [at, size] of TOLD) {
      given.set(arena.bytes.subarray(context + at, context + at + size), at)
    }
  }
  packet.free()
  arena.free(socket)
  arena.free(context)
  if (typeof result === 'number') return result
  if (!isRight) return -EBADMSG
  const written = writeResult(request, after, result)
  return written === 0 ? writeContext(request, given) : written
}

function checkContext(given: Uint8Array, view: DataView, lengthBytes: number): number {
  if (view.getUint32(SK_BUFF.ifindex, true) > LOOPBACK) return -ENODEV
  let end = 0
  for (const [at, size] of SETTABLE) {
    if (!isZeroBetween(given, end, at)) return -EINVAL
    end = at + size
  }
  const wireBytes = view.getUint32(SK_BUFF.wire_len, true)
  if (wireBytes !== 0 && (wireBytes < lengthBytes || wireBytes > MOST_WIRE_BYTES)) return -EINVAL
  return view.getUint32(SK_BUFF.gso_segs, true) > MOST_SEGMENTS ? -EINVAL : 0
}

/** What the frame itself says. */
function describePacket(arena: Arena, context: number, socket: number, frame: Uint8Array): void {
  const { view, bytes } = arena
  const protocol = protocolOf(frame)
  view.setUint32(context + SK_BUFF.pkt_type, addresseeOf(frame), true)
  view.setUint16(context + SK_BUFF.protocol, protocol, false)
  view.setUint32(context + SK_BUFF.ifindex, LOOPBACK, true)
  view.setBigUint64(context + SK_BUFF.sk, arena.address(socket), true)
  view.setUint32(socket + SOCKET.state, TCP_CLOSE, true)
  view.setInt32(socket + SOCKET.rx_queue_mapping, -1, true)
  const copy = (to: number, from: number, size: number) =>
    bytes.set(frame.subarray(ETHERNET_HEADER + from, ETHERNET_HEADER + from + size), to)
  const payload = frame.length - ETHERNET_HEADER
  const family = protocol === IPV4 ? AF_INET : protocol === IPV6 ? AF_INET6 : 0
  view.setUint32(context + SK_BUFF.family, family, true)
  view.setUint32(socket + SOCKET.family, family, true)
  if (family === AF_INET && payload >= 20) {
    for (const to of [context + SK_BUFF.local_ip4, socket + SOCKET.src_ip4]) copy(to, 12, 4)
    for (const to of [context + SK_BUFF.remote_ip4, socket + SOCKET.dst_ip4]) copy(to, 16, 4)
  } else if (family === AF_INET6 && payload >= 40) {
    for (const to of [context + SK_BUFF.local_ip6, socket + SOCKET.src_ip6]) copy(to, 8, 16)
    for (const to of [context + SK_BUFF.remote_ip6, socket + SOCKET.dst_ip6]) copy(to, 24, 16)
  }
}

/** What the caller says of the packet. */
function takeContext(
  arena: Arena,
  context: number,
  given: Uint8Array,
  view: DataView,
  lengthBytes: number,
): void {
  for (const [at, size] of SETTABLE) {
    if (at !== SK_BUFF.ifindex) arena.bytes.set(given.subarray(at, at + size), context + at)
  }
  if (view.getUint32(SK_BUFF.wire_len, true) === 0) {
    arena.view.setUint32(context + SK_BUFF.wire_len, lengthBytes, true)
  }
}

function protocolOf(frame: Uint8Array): number {
  const type = ((frame[12] as number) << 8) | (frame[13] as number)
  if (type >= FIRST_TYPE) return type
  return frame[14] === 0xff && frame[15] === 0xff ? PROTOCOL_802_3 : PROTOCOL_802_2
}

/** What an IP packet has at least. */
const headerBytesOf = (protocol: number): number => (protocol === IPV4 ? 20 : protocol === IPV6 ? 40 : 0)

/** The loopback device's own address is zero, as is the one that it takes for everybody's. */
function addresseeOf(frame: Uint8Array): number {
  const to = frame.subarray(0, 6)
  if (to.every((byte) => byte === 0)) return PACKET_TO.host
  return ((to[0] as number) & 1) !== 0 ? PACKET_TO.multicast : PACKET_TO.other
}
