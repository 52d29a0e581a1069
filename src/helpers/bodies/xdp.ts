/**
 * Helpers over XDP frames.
 *
 * A frame that is larger than a page has the rest of it in fragments of a page each, which shrink and grow at the
 * end of the last one.
 *
 * Source: bpf_xdp_adjust_head(), _tail(), _meta(), bpf_xdp_frags_increase_tail(), bpf_xdp_frags_shrink_tail(),
 * bpf_xdp_load_bytes(), bpf_xdp_store_bytes() of net/core/filter.c of Linux.
 */
import { EACCES, EFAULT, EINVAL, ENOMEM } from '../../abi/index.ts'
import { badMemory, failure, u32Of } from '../access.ts'
import type { HelperBody } from '../environment.ts'
import { i32Of, isFault, packetBytes, packetOf } from './packet.ts'

const ETHERNET_HEADER = 14
const FRAGMENT_BYTES = 4096
/** struct xdp_frame, for which the beginning of the headroom is kept. */
const FRAME_BYTES = 40
/** What struct skb_shared_info takes at the end of the frame. */
const SHARED_INFO_BYTES = 320
const LARGEST_META = 255
const LARGEST_OFFSET = 0xffff

export const xdpAdjustHead: HelperBody = (env, r1, r2) => {
  const packet = packetOf(env, r1, 'xdp')
  if (isFault(packet)) return packet
  const by = i32Of(r2)
  if (by < FRAME_BYTES - packet.headroomBytes || by > packet.linearBytes - ETHERNET_HEADER) {
    return failure(EINVAL)
  }
  return packet.moveHead(by) ? 0n : failure(ENOMEM)
}

export const xdpAdjustTail: HelperBody = (env, r1, r2) => {
  const packet = packetOf(env, r1, 'xdp')
  if (isFault(packet)) return packet
  const by = i32Of(r2)
  const fragmentBytes = packet.lengthBytes - packet.linearBytes
  if (fragmentBytes > 0) {
    const last = fragmentBytes % FRAGMENT_BYTES || FRAGMENT_BYTES
    if (by > 0 && by > FRAGMENT_BYTES - last) return failure(EINVAL)
    if (by < 0 && -by > packet.lengthBytes - ETHERNET_HEADER) return failure(EINVAL)
  } else {
    const used = packet.headroomBytes + packet.metaBytes + packet.lengthBytes
    if (used + by > packet.frameBytes - SHARED_INFO_BYTES) return failure(EINVAL)
    if (packet.lengthBytes + by < ETHERNET_HEADER) return failure(EINVAL)
  }
  return packet.moveTail(by) ? 0n : failure(ENOMEM)
}

export const xdpAdjustMeta: HelperBody = (env, r1, r2) => {
  const packet = packetOf(env, r1, 'xdp')
  if (isFault(packet)) return packet
  const by = i32Of(r2)
  const bytes = packet.metaBytes - by
  if (bytes < 0 || -by > packet.headroomBytes - FRAME_BYTES) return failure(EINVAL)
  if ((bytes & 3) !== 0 || bytes > LARGEST_META) return failure(EACCES)
  packet.resizeMeta(bytes)
  return 0n
}

export const xdpGetBuffLen: HelperBody = (env, r1) => {
  const packet = packetOf(env, r1, 'xdp')
  return isFault(packet) ? packet : BigInt(packet.lengthBytes)
}

export const xdpLoadBytes: HelperBody = (env, r1, r2, r3, r4) => {
  const packet = packetOf(env, r1, 'xdp')
  if (isFault(packet)) return packet
  const [offset, size] = [u32Of(r2), u32Of(r4)]
  const to = env.arena.check(r3, size, true)
  if (to < 0) return badMemory(3, r3, size, 'write')
  if (offset > LARGEST_OFFSET || size > LARGEST_OFFSET) return failure(EFAULT)
  const bytes = packetBytes(packet, offset, size)
  if (bytes === undefined) return failure(EINVAL)
  env.arena.bytes.set(bytes, to)
  return 0n
}

export const xdpStoreBytes: HelperBody = (env, r1, r2, r3, r4) => {
  const packet = packetOf(env, r1, 'xdp')
  if (isFault(packet)) return packet
  const [offset, size] = [u32Of(r2), u32Of(r4)]
  const from = env.arena.check(r3, size, false)
  if (from < 0) return badMemory(3, r3, size, 'read')
  if (offset > LARGEST_OFFSET || size > LARGEST_OFFSET) return failure(EFAULT)
  const bytes = packetBytes(packet, offset, size)
  if (bytes === undefined) return failure(EINVAL)
  bytes.set(env.arena.bytes.subarray(from, from + size))
  return 0n
}
