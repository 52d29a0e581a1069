/**
 * Red-black trees of objects, whose links are members of the objects. Programs see the shape of a tree (its root, a
 * node's children), so it is balanced as Linux balances: the steps of Cormen et al., Introduction to Algorithms, with
 * a node of two children replaced by its successor.
 *
 *     root:  u64 topmost node | u64 leftmost node     addresses, 0: empty
 *     node:  u64 parent, bit 0 set: black | u64 right | u64 left | u64 owner    the root's address while it is in a tree
 *
 * Source: bpf_rb_root of include/uapi/linux/bpf.h, kernel/bpf/helpers.c of Linux.
 */
import type { Arena } from '../../memory/index.ts'

export const TREE_ROOT_BYTES = 16
export const TREE_NODE_BYTES = 32
const LEFTMOST = 8
const RIGHT = 8
const LEFT = 16
const OWNER = 24
const BLACK = 1n

type Side = typeof LEFT | typeof RIGHT
const opposite = (side: Side): Side => (side === LEFT ? RIGHT : LEFT)

/** One tree, for the time of one operation; nodes are arena offsets, 0 for none. */
class Tree {
  readonly #arena: Arena
  readonly #root: number

  constructor(arena: Arena, root: number) {
    this.#arena = arena
    this.#root = root
  }

  get top(): number {
    return this.#at(this.#root)
  }

  set top(node: number) {
    this.#put(this.#root, node)
  }

  get leftmost(): number {
    return this.#at(this.#root + LEFTMOST)
  }

  set leftmost(node: number) {
    this.#put(this.#root + LEFTMOST, node)
  }

  child(node: number, side: Side): number {
    return this.#at(node + side)
  }

  parent(node: number): number {
    const word = this.#arena.view.getBigUint64(node, true) & ~BLACK
    return word === 0n ? 0 : this.#arena.offsetOf(word)
  }

  /** Absent nodes are black. */
  isBlack(node: number): boolean {
    return node === 0 || (this.#arena.view.getBigUint64(node, true) & BLACK) !== 0n
  }

  insert(node: number, parent: number, side: Side): void {
    const { view } = this.#arena
    view.setBigUint64(node, parent === 0 ? 0n : this.#arena.address(parent), true)
    view.setBigUint64(node + RIGHT, 0n, true)
    view.setBigUint64(node + LEFT, 0n, true)
    if (parent === 0) this.top = node
    else this.#put(parent + side, node)
    this.#balanceInsertion(node)
  }

  remove(node: number): void {
    if (this.leftmost === node) this.leftmost = this.next(node)
    const left = this.child(node, LEFT)
    const right = this.child(node, RIGHT)
    let wasBlack = this.isBlack(node)
    let orphan = left === 0 ? right : left
    let above = this.parent(node)
    if (left === 0 || right === 0) this.#replace(node, orphan)
    else {
      const successor = this.#first(right)
      wasBlack = this.isBlack(successor)
      orphan = this.child(successor, RIGHT)
      above = this.parent(successor)
      if (above === node) above = successor
      else {
        this.#replace(successor, orphan)
        this.#attach(successor, right, RIGHT)
      }
      this.#replace(node, successor)
      this.#attach(successor, left, LEFT)
      this.#setBlack(successor, this.isBlack(node))
    }
    if (wasBlack) this.#balanceRemoval(orphan, above)
  }

  /** In order; 0 at the end. */
  next(node: number): number {
    const right = this.child(node, RIGHT)
    if (right !== 0) return this.#first(right)
    let at = node
    let above = this.parent(at)
    while (above !== 0 && this.child(above, RIGHT) === at) {
      at = above
      above = this.parent(at)
    }
    return above
  }

  #first(from: number): number {
    let node = from
    for (let left = this.child(node, LEFT); left !== 0; left = this.child(node, LEFT)) node = left
    return node
  }

  #balanceInsertion(inserted: number): void {
    let node = inserted
    for (;;) {
      let parent = this.parent(node)
      if (parent === 0 || this.isBlack(parent)) break
      const grandparent = this.parent(parent)
      const side = this.child(grandparent, LEFT) === parent ? LEFT : RIGHT
      const uncle = this.child(grandparent, opposite(side))
      if (!this.isBlack(uncle)) {
        this.#setBlack(parent, true)
        this.#setBlack(uncle, true)
        this.#setBlack(grandparent, false)
        node = grandparent
        continue
      }
      if (this.child(parent, opposite(side)) === node) {
        this.#rotate(parent, side)
        parent = node
      }
      this.#setBlack(parent, true)
      this.#setBlack(grandparent, false)
      this.#rotate(grandparent, opposite(side))
      break
    }
    this.#setBlack(this.top, true)
  }

  #balanceRemoval(from: number, fromParent: number): void {
    let node = from
    let parent = fromParent
    while (parent !== 0 && this.isBlack(node)) {
      const side = this.child(parent, LEFT) === node ? LEFT : RIGHT
      const other = opposite(side)
      let sibling = this.child(parent, other)
      if (!this.isBlack(sibling)) {
        this.#setBlack(sibling, true)
        this.#setBlack(parent, false)
        this.#rotate(parent, side)
        sibling = this.child(parent, other)
      }
      if (this.isBlack(this.child(sibling, LEFT)) && this.isBlack(this.child(sibling, RIGHT))) {
        this.#setBlack(sibling, false)
        node = parent
        parent = this.parent(node)
        continue
      }
      if (this.isBlack(this.child(sibling, other))) {
        this.#setBlack(this.child(sibling, side), true)
        this.#setBlack(sibling, false)
        this.#rotate(sibling, other)
        sibling = this.child(parent, other)
      }
      this.#setBlack(sibling, this.isBlack(parent))
      this.#setBlack(parent, true)
      this.#setBlack(this.child(sibling, other), true)
      this.#rotate(parent, side)
      return
    }
    if (node !== 0) this.#setBlack(node, true)
  }

  /** `node` goes down to `side`, its child of the other side up into its place. */
  #rotate(node: number, side: Side): void {
    const other = opposite(side)
    const up = this.child(node, other)
    const middle = this.child(up, side)
    this.#put(node + other, middle)
    if (middle !== 0) this.#setParent(middle, node)
    this.#replace(node, up)
    this.#attach(up, node, side)
  }

  /** What is above `node` has `other` in its place. */
  #replace(node: number, other: number): void {
    const parent = this.parent(node)
    if (parent === 0) this.top = other
    else this.#put(parent + (this.child(parent, LEFT) === node ? LEFT : RIGHT), other)
    if (other !== 0) this.#setParent(other, parent)
  }

  #attach(parent: number, child: number, side: Side): void {
    this.#put(parent + side, child)
    this.#setParent(child, parent)
  }

  #setParent(node: number, parent: number): void {
    const { view } = this.#arena
    const colour = view.getBigUint64(node, true) & BLACK
    view.setBigUint64(node, (parent === 0 ? 0n : this.#arena.address(parent)) | colour, true)
  }

  #setBlack(node: number, isBlack: boolean): void {
    const { view } = this.#arena
    const parent = view.getBigUint64(node, true) & ~BLACK
    view.setBigUint64(node, parent | (isBlack ? BLACK : 0n), true)
  }

  #at(place: number): number {
    const address = this.#arena.view.getBigUint64(place, true)
    return address === 0n ? 0 : this.#arena.offsetOf(address)
  }

  #put(place: number, node: number): void {
    this.#arena.view.setBigUint64(place, node === 0 ? 0n : this.#arena.address(node), true)
  }
}

const addressOf = (arena: Arena, node: number): bigint => (node === 0 ? 0n : arena.address(node))
const ownerOf = (arena: Arena, node: number): bigint => arena.view.getBigUint64(node + OWNER, true)

/**
 * Puts a node in: in front of those that `less` says so of. False where it is in a tree already, undefined where `less`
 * could not run to its end.
 */
export function addNode(
  arena: Arena,
  root: number,
  node: number,
  less: (node: bigint, than: bigint) => bigint | undefined,
): boolean | undefined {
  if (ownerOf(arena, node) !== 0n) return false
  const tree = new Tree(arena, root)
  let parent = 0
  let side: Side = LEFT
  let isLeftmost = true
  for (let at = tree.top; at !== 0; at = tree.child(at, side)) {
    const answer = less(arena.address(node), arena.address(at))
    if (answer === undefined) return undefined
    parent = at
    side = (answer & 0xffn) !== 0n ? LEFT : RIGHT
    if (side === RIGHT) isLeftmost = false
  }
  tree.insert(node, parent, side)
  if (isLeftmost) tree.leftmost = node
  arena.view.setBigUint64(node + OWNER, arena.address(root), true)
  return true
}

/** Takes a node out; false where it is not in this tree. */
export function removeNode(arena: Arena, root: number, node: number): boolean {
  if (ownerOf(arena, node) !== arena.address(root)) return false
  new Tree(arena, root).remove(node)
  arena.bytes.fill(0, node, node + TREE_NODE_BYTES)
  return true
}

/** Address of the leftmost or topmost node; 0: there is none. */
export function treeEnd(arena: Arena, root: number, which: 'first' | 'top'): bigint {
  const tree = new Tree(arena, root)
  return addressOf(arena, which === 'first' ? tree.leftmost : tree.top)
}

/** Address of a node's child; 0 where there is none, or the node is not in this tree. */
export function childNode(arena: Arena, root: number, node: number, side: 'left' | 'right'): bigint {
  if (ownerOf(arena, node) !== arena.address(root)) return 0n
  return addressOf(arena, new Tree(arena, root).child(node, side === 'left' ? LEFT : RIGHT))
}

/** Takes out all nodes, children before their parents; the root is as one that was never used. */
export function drainTree(arena: Arena, root: number): bigint[] {
  const tree = new Tree(arena, root)
  const found: number[] = []
  const pending = [tree.top]
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (node === 0) continue
    found.push(node)
    pending.push(tree.child(node, LEFT), tree.child(node, RIGHT))
  }
  for (const node of found) arena.bytes.fill(0, node, node + TREE_NODE_BYTES)
  arena.bytes.fill(0, root, root + TREE_ROOT_BYTES)
  return found.reverse().map((node) => arena.address(node))
}
