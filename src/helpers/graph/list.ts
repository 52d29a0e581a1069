/**
 * Doubly linked lists of objects, whose links are members of the objects.
 *
 *     head:  u64 next | u64 previous           both 0: empty and never used, else addresses of links
 *     node:  u64 next | u64 previous | u64 owner    the head's address while it is in a list, else 0
 *
 * The list is a ring through its head. Source: bpf_list_head of include/uapi/linux/bpf.h, kernel/bpf/helpers.c of Linux.
 */
import type { Arena } from '../../memory/index.ts'

export const LIST_HEAD_BYTES = 16
export const LIST_NODE_BYTES = 24
const PREVIOUS = 8
const OWNER = 16

/** Puts the node at offset `node` in front or at the back; false where it is in a list already. */
export function pushNode(arena: Arena, head: number, node: number, atFront: boolean): boolean {
  const { view } = arena
  if (view.getBigUint64(node + OWNER, true) !== 0n) return false
  const own = arena.address(node)
  const home = ringAt(arena, head)
  const before = atFront ? home : view.getBigUint64(head + PREVIOUS, true)
  const after = atFront ? view.getBigUint64(head, true) : home
  view.setBigUint64(node, after, true)
  view.setBigUint64(node + PREVIOUS, before, true)
  view.setBigUint64(arena.offsetOf(before), own, true)
  view.setBigUint64(arena.offsetOf(after) + PREVIOUS, own, true)
  view.setBigUint64(node + OWNER, home, true)
  return true
}

/** Address of the first or last node; 0: the list is empty. */
export function endNode(arena: Arena, head: number, atFront: boolean): bigint {
  const home = ringAt(arena, head)
  const node = arena.view.getBigUint64(atFront ? head : head + PREVIOUS, true)
  return node === home ? 0n : node
}

/** The same, taken out. */
export function popNode(arena: Arena, head: number, atFront: boolean): bigint {
  const address = endNode(arena, head, atFront)
  if (address === 0n) return 0n
  const { view } = arena
  const node = arena.offsetOf(address)
  const [next, previous] = [view.getBigUint64(node, true), view.getBigUint64(node + PREVIOUS, true)]
  view.setBigUint64(arena.offsetOf(previous), next, true)
  view.setBigUint64(arena.offsetOf(next) + PREVIOUS, previous, true)
  view.setBigUint64(node, address, true)
  view.setBigUint64(node + PREVIOUS, address, true)
  view.setBigUint64(node + OWNER, 0n, true)
  return address
}

/** Takes out all nodes; the head is as one that was never used. */
export function drainList(arena: Arena, head: number): bigint[] {
  const nodes: bigint[] = []
  for (let node = popNode(arena, head, true); node !== 0n; node = popNode(arena, head, true)) nodes.push(node)
  arena.bytes.fill(0, head, head + LIST_HEAD_BYTES)
  return nodes
}

/** The head's own address, with the head made a ring where it is new. */
function ringAt(arena: Arena, head: number): bigint {
  const { view } = arena
  const home = arena.address(head)
  if (view.getBigUint64(head, true) === 0n) {
    view.setBigUint64(head, home, true)
    view.setBigUint64(head + PREVIOUS, home, true)
  }
  return home
}
