/**
 * Helpers that ask for the network: there is a loopback device, number 1, that forwards nothing, and no sockets but the
 * one that a test run lends a packet.
 *
 * Source: bpf_fib_lookup(), bpf_skb_check_mtu(), bpf_xdp_check_mtu(), bpf_skb_get_tunnel_key() and their like of
 * net/core/filter.c of Linux.
 */
import { E2BIG, EAFNOSUPPORT, EAGAIN, EINVAL, ENODEV, ENOENT } from '../../abi/index.ts'
import { ReferenceArray } from '../../maps/index.ts'
import { badMap, badMemory, failure, u32Of } from '../access.ts'
import type { HelperBody } from '../environment.ts'
import { i32Of, isFault, packetOf } from './packet.ts'

const LOOPBACK = 1
const LOOPBACK_MTU = 65536
const ETHERNET_HEADER = 14

const FIB = { family: 0, ifindex: 8, bytes: 64 } as const
const FIB_FLAGS = 0x3fn
const AF_INET = 2
const AF_INET6 = 10
/** BPF_FIB_LKUP_RET_FWD_DISABLED. */
const FORWARDING_DISABLED = 5n

export const fibLookup: HelperBody = (env, r1, r2, r3, r4) => {
  const packet = packetOf(env, r1, 'skb', 'xdp')
  if (isFault(packet)) return packet
  const size = i32Of(r3)
  const at = env.arena.check(r2, Math.max(size, 0), true)
  if (at < 0) return badMemory(2, r2, size, 'write')
  if (size < FIB.bytes || (r4 & ~FIB_FLAGS) !== 0n) return failure(EINVAL)
  const { view } = env.arena
  const family = view.getUint8(at + FIB.family)
  if (family !== AF_INET && family !== AF_INET6) return failure(EAFNOSUPPORT)
  return view.getUint32(at + FIB.ifindex, true) === LOOPBACK ? FORWARDING_DISABLED : failure(ENODEV)
}

const SEGMENTS = 1n
const TOO_LONG = 1n

/** Whether a packet with `r4` bytes more fits the device `r2`; 0: the one that it came in by. */
export const checkMtu: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const packet = packetOf(env, r1, 'skb', 'xdp')
  if (isFault(packet)) return packet
  const at = env.arena.check(r3, 4, true)
  if (at < 0) return badMemory(3, r3, 4, 'write')
  const { view } = env.arena
  const given = view.getUint32(at, true)
  const difference = i32Of(r4)
  if ((r5 & ~(packet.kind === 'xdp' ? 0n : SEGMENTS)) !== 0n) return failure(EINVAL)
  if ((r5 & SEGMENTS) !== 0n && (difference !== 0 || given !== 0)) return failure(EINVAL)
  const device = u32Of(r2)
  if (device > LOOPBACK) return failure(ENODEV)
  const length = (given !== 0 ? given + ETHERNET_HEADER : packet.lengthBytes) + difference
  view.setUint32(at, LOOPBACK_MTU, true)
  return length <= LOOPBACK_MTU + ETHERNET_HEADER ? 0n : TOO_LONG
}

const TUNNEL_KEY_BYTES = 44
/** Sizes of struct bpf_tunnel_key in the course of time. */
const TUNNEL_KEY_SIZES: readonly number[] = [44, 28, 27, 24, 8, 29]
const TUNNEL_FLAGS = 0x1fn

/** No packet comes through a tunnel here; what was asked for is zeroed. */
export const getTunnelKey: HelperBody = (env, r1, r2, r3) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const size = u32Of(r3)
  const at = env.arena.check(r2, size, true)
  if (at < 0) return badMemory(2, r2, size, 'write')
  env.arena.bytes.fill(0, at, at + size)
  return failure(EINVAL)
}

/** Taken, and forgotten with the packet. */
export const setTunnelKey: HelperBody = (env, r1, _r2, r3, r4) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const size = u32Of(r3)
  const isKnown = size === TUNNEL_KEY_BYTES || TUNNEL_KEY_SIZES.includes(size)
  return failure((r4 & ~TUNNEL_FLAGS) !== 0n || !isKnown ? EINVAL : 0)
}

export const getTunnelOpt: HelperBody = (env, r1, r2, r3) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const size = u32Of(r3)
  const at = env.arena.check(r2, size, true)
  if (at < 0) return badMemory(2, r2, size, 'write')
  env.arena.bytes.fill(0, at, at + size)
  return failure(ENOENT)
}

/** No entry can be a control group. */
export const skbUnderCgroup: HelperBody = (env, r1, r2, r3) => {
  const packet = packetOf(env, r1, 'skb')
  if (isFault(packet)) return packet
  const map = env.mapAt(r2)
  if (!(map instanceof ReferenceArray)) return badMap(2, r2, 'which is no cgroup array')
  return failure(u32Of(r3) >= map.definition.maxEntries ? E2BIG : EAGAIN)
}

/** No packet has been through IPsec. */
export const getXfrmState: HelperBody = (env, _context, _index, r3, r4) => {
  const size = u32Of(r4)
  const at = env.arena.check(r3, size, true)
  if (at < 0) return badMemory(3, r3, size, 'write')
  env.arena.bytes.fill(0, at, at + size)
  return failure(EINVAL)
}
