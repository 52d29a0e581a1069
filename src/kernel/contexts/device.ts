/**
 * The device that a packet came in by, as programs that trace others find it from the packet's context: behind what the
 * context is to the program itself, since only what the operating system has could lie elsewhere.
 *
 * ```text
 *   xdp_buff:  struct xdp_md,    three pointers, rxq -> dev, queue_index -> ifindex
 *   sk_buff:   struct __sk_buff, three pointers, dev -> ifindex
 * ```
 */
import type { Arena } from '../../memory/index.ts'

/** Of a pointer and a struct net_device. */
export const DEVICE_BYTES = 16
/** Of a pointer, a struct xdp_rxq_info and a struct net_device. */
export const QUEUE_BYTES = 32

const RXQ = { dev: 0, queue_index: 8, bytes: 16 } as const

/** The loopback device, the only one. */
export const LOOPBACK = 1

/** The pointer at arena offset `at`, and what it points to behind it. */
export function writeDevice(arena: Arena, at: number): void {
  arena.view.setBigUint64(at, arena.address(at + 8), true)
  arena.view.setUint32(at + 8, LOOPBACK, true)
}

/** Queue 0. */
export function writeQueue(arena: Arena, at: number): void {
  const queue = at + 8
  arena.view.setBigUint64(at, arena.address(queue), true)
  arena.view.setBigUint64(queue + RXQ.dev, arena.address(queue + RXQ.bytes), true)
  arena.view.setUint32(queue + RXQ.queue_index, 0, true)
  arena.view.setUint32(queue + RXQ.bytes, LOOPBACK, true)
}
