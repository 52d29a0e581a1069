/**
 * BPF_MAP_TYPE_LPM_TRIE: the value of the longest prefix that a key begins with.
 *
 * A key is a u32 of prefix bits, then data whose bits count from the highest of the first byte on. The trie is
 * binary and path-compressed: a node stands at the length of its own prefix, its children begin with that prefix
 * and go on with 0 (left) or 1 (right). Where two prefixes part and none is stored, an *intermediate* node joins
 * them; it has no value.
 *
 * Rules
 * - Nodes are elements of the pool, so what a program may still look at is not handed out again.
 * - A deleted prefix with two children leaves an intermediate node in its place.
 * - Keys are listed in post-order, the left side first, so that more specific prefixes come before those that
 *   contain them. What lies in a key behind its prefix is stored and listed as it was given.
 *
 * Source: the behaviour of kernel/bpf/lpm_trie.c of Linux 6.18.
 */
import { BPF_EXIST, BPF_NOEXIST, EEXIST, EINVAL, ENOENT, ENOMEM, ENOSPC } from '../abi/index.ts'
import { ElementPool } from './element-pool.ts'
import { KEY_OFFSET, mapHeader, trieNode } from './layout.ts'
import type { MapDefinition, MapHost } from './map.ts'
import { MapBase, OutOfArena } from './map-base.ts'

const PREFIX_BITS = trieNode.offsets.prefixBits
const INTERMEDIATE = trieNode.offsets.isIntermediate
const COUNT = mapHeader.offsets.count
/** Bytes of a key before its data. */
const DATA = 4

export class LpmTrie extends MapBase {
  readonly #pool: ElementPool
  /** Offset of the word that leads to the topmost node: a link, as the children of a node are. */
  readonly #root: number
  readonly #mostBits: number

  constructor(host: MapHost, definition: MapDefinition) {
    super(host, definition, false)
    const { keySize, valueSize, flags } = definition
    this.#mostBits = (keySize - DATA) * 8
    this.#root = this.own(4)
    const shape = { keySize, valueSize, cpuCount: 1, valueAccess: MapBase.valueAccess(flags) }
    const pool = ElementPool.create(host.arena, host.grace, shape, 0)
    if (pool === undefined) {
      super[Symbol.dispose]()
      throw new OutOfArena(`${definition.name}: no arena memory`)
    }
    this.#pool = pool
    this.writeHeader({ cpuCount: 1, elementSize: pool.elementSize, data: this.#root, mask: 0, seed: 0 })
  }

  /** Prefixes with a value. */
  get count(): number {
    return this.host.arena.view.getUint32(this.header + COUNT, true)
  }

  get memoryBytes(): number {
    return this.ownedBytes + this.#pool.memoryBytes
  }

  lookup(key: number, _cpu: number): number {
    const view = this.host.arena.view
    const bits = view.getUint32(key, true)
    if (bits > this.#mostBits) return 0
    let found = 0
    let node = view.getUint32(this.#root, true)
    while (node !== 0) {
      const own = view.getUint32(node + PREFIX_BITS, true)
      if (own > bits || this.#commonBits(node, key, own) < own) break
      if (view.getUint32(node + INTERMEDIATE, true) === 0) found = node
      if (own === this.#mostBits) break
      node = view.getUint32(this.#childLink(node, key), true)
    }
    return found === 0 ? 0 : found + this.#pool.valueOffset
  }

  update(key: number, value: number, flags: bigint, _cpu: number): number {
    const mode = MapBase.updateMode(flags)
    const view = this.host.arena.view
    const bits = view.getUint32(key, true)
    if (mode < 0 || bits > this.#mostBits) return -EINVAL
    const { link, node, common } = this.#descend(key, bits)
    const isSamePlace = node !== 0 && common === bits && view.getUint32(node + PREFIX_BITS, true) === bits
    const isReplacement = isSamePlace && view.getUint32(node + INTERMEDIATE, true) === 0
    if (isReplacement) {
      if (mode === BPF_NOEXIST) return -EEXIST
    } else {
      if (mode === BPF_EXIST) return -ENOENT
      if (this.count === this.definition.maxEntries) return -ENOSPC
    }
    const added = this.#pool.take()
    if (added === 0) return -ENOMEM
    const joint = node === 0 || isSamePlace || common === bits ? 0 : this.#pool.take()
    if (node !== 0 && !isSamePlace && common !== bits && joint === 0) {
      this.#pool.untake(added)
      return -ENOMEM
    }
    this.#fill(added, bits, key, false)
    this.host.arena.copy(added + this.#pool.valueOffset, value, this.definition.valueSize)
    this.#place(link, node, added, joint, common, isSamePlace)
    if (!isReplacement) this.#addToCount(1)
    return 0
  }

  delete(key: number): number {
    // the arena's view is replaced when the pool grows
    const view = () => this.host.arena.view
    const bits = view().getUint32(key, true)
    if (bits > this.#mostBits) return -EINVAL
    const { link, node, common, parent, parentLink } = this.#descend(key, bits)
    if (node === 0 || common !== bits || view().getUint32(node + PREFIX_BITS, true) !== bits) return -ENOENT
    if (view().getUint32(node + INTERMEDIATE, true) !== 0) return -ENOENT
    const left = view().getUint32(node, true)
    const right = view().getUint32(node + 4, true)
    if (left !== 0 && right !== 0) {
      const joint = this.#pool.take()
      if (joint === 0) return -ENOMEM
      this.#fill(joint, bits, node + KEY_OFFSET, true)
      view().setUint32(joint, left, true)
      view().setUint32(joint + 4, right, true)
      view().setUint32(link, joint, true)
    } else if (parent !== 0 && left === 0 && right === 0 && this.#isIntermediate(parent)) {
      const sibling = link === parent ? parent + 4 : parent
      view().setUint32(parentLink, view().getUint32(sibling, true), true)
      this.#pool.retire(parent)
    } else {
      view().setUint32(link, left === 0 ? right : left, true)
    }
    this.#pool.retire(node)
    this.#addToCount(-1)
    return 0
  }

  /** Linux has no walk for programs over a trie. */
  forEach(_cpu: number, _visit: (key: number, value: number) => boolean): number {
    return -EINVAL
  }

  nextKey(key: Uint8Array | undefined): Uint8Array | number {
    const view = this.host.arena.view
    const next = key === undefined ? this.#firstBelow(view.getUint32(this.#root, true)) : this.#after(key)
    return next === 0 ? -ENOENT : this.#keyOf(next)
  }

  override [Symbol.dispose](): void {
    this.#pool[Symbol.dispose]()
    super[Symbol.dispose]()
  }

  protected peek(key: number): number {
    return this.lookup(key, 0)
  }

  protected updateFromUser(key: number, value: number, flags: bigint): number {
    return this.update(key, value, flags, 0)
  }

  /**
   * The place where the prefix at `key` belongs: the link that leads there, the node that stands there (0: none)
   * with the number of bits that it shares with the key, and what the link is part of.
   */
  #descend(key: number, bits: number) {
    const view = this.host.arena.view
    let link = this.#root
    let parent = 0
    let parentLink = link
    for (;;) {
      const node = view.getUint32(link, true)
      if (node === 0) return { link, node, common: 0, parent, parentLink }
      const own = view.getUint32(node + PREFIX_BITS, true)
      const common = this.#commonBits(node, key, Math.min(own, bits))
      if (common !== own || own === bits) return { link, node, common, parent, parentLink }
      parent = node
      parentLink = link
      link = this.#childLink(node, key)
    }
  }

  /** Puts `added` where `node` stands: in its place, above it, or beside it under `joint`. */
  #place(
    link: number,
    node: number,
    added: number,
    joint: number,
    common: number,
    isSamePlace: boolean,
  ): void {
    const view = this.host.arena.view
    if (node !== 0 && isSamePlace) {
      view.setUint32(added, view.getUint32(node, true), true)
      view.setUint32(added + 4, view.getUint32(node + 4, true), true)
      this.#pool.retire(node)
    } else if (joint !== 0) {
      this.#fill(joint, common, node + KEY_OFFSET, true)
      const isRight = this.#bitOf(added + KEY_OFFSET, common)
      view.setUint32(isRight ? joint : joint + 4, node, true)
      view.setUint32(isRight ? joint + 4 : joint, added, true)
    } else if (node !== 0) {
      view.setUint32(this.#bitOf(node + KEY_OFFSET, common) ? added + 4 : added, node, true)
    }
    view.setUint32(link, joint === 0 ? added : joint, true)
  }

  /** A node without children that has the key at `key`; an intermediate one's value is zero and out of reach. */
  #fill(node: number, bits: number, key: number, isIntermediate: boolean): void {
    const { arena } = this.host
    arena.view.setUint32(node, 0, true)
    arena.view.setUint32(node + 4, 0, true)
    arena.view.setUint32(node + PREFIX_BITS, bits, true)
    arena.view.setUint32(node + INTERMEDIATE, isIntermediate ? 1 : 0, true)
    arena.copy(node + KEY_OFFSET, key, this.definition.keySize)
    if (isIntermediate) {
      const value = node + this.#pool.valueOffset
      arena.setAccess(value, this.definition.valueSize, 'none')
    }
  }

  /** How many of the first `limit` bits of a node's data and a key's are the same. */
  #commonBits(node: number, key: number, limit: number): number {
    const bytes = this.host.arena.bytes
    const a = node + KEY_OFFSET + DATA
    const b = key + DATA
    for (let bit = 0; bit < limit; bit += 8) {
      const difference = (bytes[a + (bit >>> 3)] as number) ^ (bytes[b + (bit >>> 3)] as number)
      if (difference !== 0) return Math.min(limit, bit + Math.clz32(difference) - 24)
    }
    return limit
  }

  /** The link from a node to the child that a key goes on to. */
  #childLink(node: number, key: number): number {
    return this.#bitOf(key, this.host.arena.view.getUint32(node + PREFIX_BITS, true)) ? node + 4 : node
  }

  /** Bit `index` of the data of the key at `key`. */
  #bitOf(key: number, index: number): boolean {
    return ((this.host.arena.bytes[key + DATA + (index >>> 3)] as number) & (0x80 >>> (index & 7))) !== 0
  }

  #isIntermediate(node: number): boolean {
    return this.host.arena.view.getUint32(node + INTERMEDIATE, true) !== 0
  }

  /** The node listed after the key's own, or the first where it has none; 0 at the end. */
  #after(key: Uint8Array): number {
    this.placeKey(key)
    const view = this.host.arena.view
    const bits = view.getUint32(this.scratchKey, true)
    const root = view.getUint32(this.#root, true)
    if (bits > this.#mostBits) return this.#firstBelow(root)
    const path: number[] = []
    let node = root
    for (;;) {
      if (node === 0) return this.#firstBelow(root)
      const own = view.getUint32(node + PREFIX_BITS, true)
      if (this.#commonBits(node, this.scratchKey, Math.min(own, bits)) !== own) return this.#firstBelow(root)
      if (own === bits) break
      path.push(node)
      node = view.getUint32(this.#childLink(node, this.scratchKey), true)
    }
    if (this.#isIntermediate(node)) return this.#firstBelow(root)
    for (let parent = path.pop(); parent !== undefined; parent = path.pop()) {
      const right = view.getUint32(parent + 4, true)
      if (view.getUint32(parent, true) === node && right !== 0) return this.#firstBelow(right)
      if (!this.#isIntermediate(parent)) return parent
      node = parent
    }
    return 0
  }

  /** The first node in post-order at or below `top`; 0 for none. */
  #firstBelow(top: number): number {
    const view = this.host.arena.view
    let found = 0
    for (let node = top; node !== 0; ) {
      const left = view.getUint32(node, true)
      if (!this.#isIntermediate(node)) found = node
      node = left !== 0 || this.#isIntermediate(node) ? left : view.getUint32(node + 4, true)
    }
    return found
  }

  #keyOf(node: number): Uint8Array {
    return this.host.arena.bytes.slice(node + KEY_OFFSET, node + KEY_OFFSET + this.definition.keySize)
  }

  #addToCount(difference: number): void {
    this.host.arena.view.setUint32(this.header + COUNT, this.count + difference, true)
  }
}
