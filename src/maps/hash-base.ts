/**
 * The hash table that all hash types share: buckets of singly linked elements in the arena.
 *
 * New elements go to the head of their bucket, a replacement too, so that the order of keys is Linux's.
 */
import { BPF_EXIST, BPF_F_ZERO_SEED, BPF_NOEXIST, EEXIST, EINVAL, ENOENT } from '../abi/index.ts'
import type { Access } from '../memory/index.ts'
import { ElementPool } from './element-pool.ts'
import { jhash } from './jhash.ts'
import { hashElement, KEY_OFFSET, mapHeader } from './layout.ts'
import type { MapDefinition, MapHost } from './map.ts'
import { MapBase, OutOfArena } from './map-base.ts'
import { hasShortHash, shortHash } from './short-hash.ts'
import type { SpecialFields } from './special-fields.ts'

const NEXT = hashElement.offsets.next
const HASH = hashElement.offsets.hash
const COUNT = mapHeader.offsets.count

export abstract class HashBase extends MapBase {
  protected readonly pool: ElementPool
  protected readonly isPerCpu: boolean
  readonly #buckets: number
  readonly #mask: number
  readonly #seed: number
  readonly #isShortHash: boolean

  /** `valueAccess` is what programs may do with values; by default what the flags say. */
  protected constructor(
    host: MapHost,
    definition: MapDefinition,
    isPerCpu: boolean,
    preallocated: number,
    valueAccess: Access = MapBase.valueAccess(definition.flags),
  ) {
    super(host, definition, isPerCpu)
    this.isPerCpu = isPerCpu
    const { keySize, valueSize, maxEntries, flags } = definition
    const bucketCount = 2 ** Math.ceil(Math.log2(maxEntries))
    this.#mask = bucketCount - 1
    this.#seed = (flags & BPF_F_ZERO_SEED) !== 0 ? 0 : host.random()
    this.#isShortHash = hasShortHash(keySize, flags)
    this.#buckets = this.own(bucketCount * 4)
    const cpuCount = isPerCpu ? host.cpuCount : 1
    const shape = { keySize, valueSize, cpuCount, valueAccess }
    const pool = ElementPool.create(host.arena, host.grace, shape, preallocated)
    if (pool === undefined) {
      super[Symbol.dispose]()
      throw new OutOfArena(`${definition.name}: no arena memory for ${preallocated} elements`)
    }
    this.pool = pool
    this.writeHeader({
      cpuCount,
      elementSize: pool.elementSize,
      data: this.#buckets,
      mask: this.#mask,
      seed: this.#seed,
    })
  }

  get count(): number {
    return this.host.arena.view.getUint32(this.header + COUNT, true)
  }

  /** For compiled code, which takes and retires elements itself. */
  get elements(): ElementPool {
    return this.pool
  }

  get memoryBytes(): number {
    return this.ownedBytes + this.pool.memoryBytes
  }

  lookup(key: number, cpu: number): number {
    const element = this.find(key)
    return element === 0 ? 0 : this.valueAt(element, cpu)
  }

  override lookupOfCpu(key: number, ofCpu: number): number {
    if (!this.isPerCpu || ofCpu >= this.host.cpuCount) return 0
    return this.lookup(key, ofCpu)
  }

  delete(key: number): number {
    const element = this.find(key)
    if (element === 0) return -ENOENT
    this.removeElement(element)
    return 0
  }

  override readAndRemove(key: Uint8Array, flags: bigint): Uint8Array | number {
    const value = this.read(key, flags)
    if (typeof value !== 'number') this.delete(this.scratchKey)
    return value
  }

  nextKey(key: Uint8Array | undefined): Uint8Array | number {
    let next = 0
    let bucket = 0
    if (key !== undefined) {
      this.placeKey(key)
      const element = this.find(this.scratchKey)
      if (element !== 0) {
        next = this.host.arena.view.getUint32(element + NEXT, true)
        bucket = (this.hashOf(element) & this.#mask) + 1
      }
    }
    if (next === 0) next = this.#firstFrom(bucket)
    return next === 0 ? -ENOENT : this.keyOf(next)
  }

  get bucketCount(): number {
    return this.#mask + 1
  }

  /** The elements of a bucket, youngest first. */
  elementsOf(bucket: number): number[] {
    const { view } = this.host.arena
    const elements: number[] = []
    let element = view.getUint32(this.#buckets + bucket * 4, true)
    for (; element !== 0; element = view.getUint32(element + NEXT, true)) elements.push(element)
    return elements
  }

  keyOf(element: number): Uint8Array {
    const key = element + KEY_OFFSET
    return this.host.arena.bytes.slice(key, key + this.definition.keySize)
  }

  /** The value as user space sees it. */
  userValueOf(element: number): Uint8Array {
    return this.shown(this.valueAt(element, 0))
  }

  removeElement(element: number): void {
    this.unlink(element)
    this.release(element)
  }

  forEach(cpu: number, visit: (key: number, value: number) => boolean): number {
    const { arena, grace } = this.host
    let visited = 0
    grace.enter()
    try {
      for (let bucket = 0; bucket <= this.#mask; bucket++) {
        let element = arena.view.getUint32(this.#buckets + bucket * 4, true)
        while (element !== 0) {
          const next = arena.view.getUint32(element + NEXT, true)
          visited++
          if (visit(element + KEY_OFFSET, this.valueAt(element, cpu))) return visited
          element = next
        }
      }
      return visited
    } finally {
      grace.leave()
    }
  }

  override setSpecialFields(fields: SpecialFields): void {
    super.setSpecialFields(fields)
    this.pool.specialFields = fields
  }

  cancelTimed(): void {
    this.#eachElement((element) => this.specialFields?.cancel(this.valueAt(element, 0)))
  }

  keyOfValue(value: number): number {
    return value - this.pool.valueOffset + KEY_OFFSET
  }

  #eachElement(visit: (element: number) => void): void {
    if (this.specialFields === undefined) return
    for (let bucket = 0; bucket <= this.#mask; bucket++) {
      for (const element of this.elementsOf(bucket)) visit(element)
    }
  }

  override [Symbol.dispose](): void {
    const count = this.isPerCpu ? this.host.cpuCount : 1
    this.#eachElement((element) => this.releaseValues(this.valueAt(element, 0), count))
    this.pool[Symbol.dispose]()
    super[Symbol.dispose]()
  }

  /** What to do with an element that `delete` unlinked. */
  protected abstract release(element: number): void

  protected peek(key: number): number {
    const element = this.find(key)
    return element === 0 ? 0 : this.valueAt(element, 0)
  }

  /** The element of a key; 0: none. */
  protected find(key: number): number {
    return this.findHashed(key, this.hashKey(key))
  }

  protected hashKey(key: number): number {
    const { keySize } = this.definition
    const hash = this.#isShortHash ? shortHash : jhash
    return hash(this.host.arena.view, key, keySize, this.#seed)
  }

  protected findHashed(key: number, hash: number): number {
    const view = this.host.arena.view
    const keySize = this.definition.keySize
    let element = view.getUint32(this.#buckets + ((hash & this.#mask) << 2), true)
    while (element !== 0) {
      if (
        view.getUint32(element + HASH, true) === hash &&
        sameBytes(view, element + KEY_OFFSET, key, keySize)
      ) {
        return element
      }
      element = view.getUint32(element + NEXT, true)
    }
    return 0
  }

  protected hashOf(element: number): number {
    return this.host.arena.view.getUint32(element + HASH, true)
  }

  /** Offset of the value of `cpu`. */
  protected valueAt(element: number, cpu: number): number {
    const first = element + this.pool.valueOffset
    return this.isPerCpu ? first + cpu * this.valueStride : first
  }

  /** Puts an element at the head of its bucket and counts it. */
  protected link(element: number, hash: number): void {
    const view = this.host.arena.view
    const bucket = this.#buckets + ((hash & this.#mask) << 2)
    view.setUint32(element + HASH, hash, true)
    view.setUint32(element + NEXT, view.getUint32(bucket, true), true)
    view.setUint32(bucket, element, true)
    this.#addToCount(1)
  }

  /** Takes an element out of its bucket; false where it is not in it. Its own `next` stays, for walkers. */
  protected unlink(element: number): boolean {
    const view = this.host.arena.view
    let link = this.#buckets + ((this.hashOf(element) & this.#mask) << 2)
    for (;;) {
      const at = view.getUint32(link, true)
      if (at === 0) return false
      if (at === element) break
      link = at + NEXT
    }
    view.setUint32(link, view.getUint32(element + NEXT, true), true)
    this.#addToCount(-1)
    return true
  }

  protected copyKey(element: number, key: number): void {
    this.host.arena.copy(element + KEY_OFFSET, key, this.definition.keySize)
  }

  /** Fills a new element: the value of `cpu`, zero for the others; or all of them from user space. */
  protected fillValue(element: number, value: number, cpu: number, allCpus: boolean): void {
    const bytes = this.host.arena.bytes
    if (this.isPerCpu && !allCpus) {
      const first = this.valueAt(element, 0)
      bytes.fill(0, first, first + this.userValueSize)
    }
    this.copyValue(element, value, cpu, allCpus)
  }

  /** Overwrites the value of `cpu`; or all of them from user space. */
  protected copyValue(element: number, value: number, cpu: number, allCpus: boolean): void {
    this.copyValues(this.valueAt(element, allCpus ? 0 : cpu), value, allCpus ? this.host.cpuCount : 1)
  }

  /** `copyValue`, with what the old values held let go. */
  protected replaceValue(element: number, value: number, cpu: number, allCpus: boolean): void {
    this.copyValue(element, value, cpu, allCpus)
    this.releaseValues(this.valueAt(element, allCpus ? 0 : cpu), allCpus ? this.host.cpuCount : 1)
  }

  /** 0, or why the update flag does not suit what was found. */
  static refusal(mode: number, found: number): number {
    if (mode < 0) return -EINVAL
    if (found !== 0 && mode === BPF_NOEXIST) return -EEXIST
    if (found === 0 && mode === BPF_EXIST) return -ENOENT
    return 0
  }

  #firstFrom(bucket: number): number {
    const words = this.host.arena.words
    const end = (this.#buckets >>> 2) + this.#mask + 1
    for (let word = (this.#buckets >>> 2) + bucket; word < end; word++) {
      const element = words[word] as number
      if (element !== 0) return element
    }
    return 0
  }

  #addToCount(difference: number): void {
    const view = this.host.arena.view
    const at = this.header + COUNT
    view.setUint32(at, view.getUint32(at, true) + difference, true)
  }
}

function sameBytes(view: DataView, a: number, b: number, length: number): boolean {
  let at = 0
  for (; at + 4 <= length; at += 4) {
    if (view.getInt32(a + at, true) !== view.getInt32(b + at, true)) return false
  }
  for (; at < length; at++) {
    if (view.getUint8(a + at) !== view.getUint8(b + at)) return false
  }
  return true
}
