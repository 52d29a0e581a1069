/**
 * The elements of one hash table: blocks of one size, carved from slabs of the arena.
 *
 * Rules
 * - An element that the table unlinked is retired: a running program may still hold its value, so its bytes
 *   stay as they are, still readable and writable, until a grace period has passed.
 * - While elements are retired the pool grows rather than hand one out again. It keeps at most
 *   `RETIRED_BYTES` (or one pool's worth) so; past that it hands out the oldest, as Linux's preallocated
 *   tables do with the youngest.
 * - Free elements are inaccessible to programs.
 * - What the pool knows of its elements lies in the arena (`poolState`), so that compiled code takes and retires
 *   elements as this class does: the free ones are a list, youngest first, linked where the next in a bucket stands;
 *   the retired ones another, oldest first, linked where an LRU element's node stands.
 */
import { struct, u32 } from '../abi/index.ts'
import type { Access, Arena, Grace } from '../memory/index.ts'
import { hashElement, KEY_OFFSET, roundUp } from './layout.ts'
import { clearFields, type SpecialFields } from './special-fields.ts'

/** Offsets of elements, 0 for none. */
export const poolState = struct('element pool', {
  free: u32,
  /** The part of the youngest slab that was never handed out: from `fresh` to `freshEnd`. */
  fresh: u32,
  freshEnd: u32,
  retiredFirst: u32,
  retiredLast: u32,
  retiredCount: u32,
})

const RETIRED_BYTES = 1 << 20
const SLAB_BYTES = 16_384

const FREE = poolState.offsets.free >>> 2
const FRESH = poolState.offsets.fresh >>> 2
const FRESH_END = poolState.offsets.freshEnd >>> 2
const RETIRED_FIRST = poolState.offsets.retiredFirst >>> 2
const RETIRED_LAST = poolState.offsets.retiredLast >>> 2
const RETIRED_COUNT = poolState.offsets.retiredCount >>> 2
const NEXT = hashElement.offsets.next >>> 2
const RETIRED_NEXT = hashElement.offsets.node >>> 2

export interface ElementShape {
  readonly keySize: number
  readonly valueSize: number
  /** Values per element: possible CPUs, or 1. */
  readonly cpuCount: number
  /** What programs may do with values. */
  readonly valueAccess: Access
}

export class ElementPool {
  readonly elementSize: number
  /** From an element to its first value. */
  readonly valueOffset: number
  /** Arena offset of the `poolState`. */
  readonly state: number
  /** Compiled code that does what `#releaseRetired` does, faster; set by whoever compiled it. */
  compiledRelease: (() => void) | undefined
  /** What is special in the values; undefined: nothing. */
  specialFields: SpecialFields | undefined
  readonly #arena: Arena
  readonly #grace: Grace
  readonly #shape: ElementShape
  readonly #valueStride: number
  readonly #retiredLimit: number
  readonly #slabs: number[] = []
  #slabBytes = 0
  #disposed = false

  /** Undefined where the arena has no room for `preallocated` elements. */
  static create(
    arena: Arena,
    grace: Grace,
    shape: ElementShape,
    preallocated: number,
  ): ElementPool | undefined {
    const state = arena.allocate(poolState.size, { access: 'none' })
    if (state === undefined) return undefined
    const pool = new ElementPool(arena, grace, shape, preallocated, state)
    if (preallocated === 0 || pool.#addSlab(preallocated)) return pool
    arena.free(state)
    return undefined
  }

  private constructor(arena: Arena, grace: Grace, shape: ElementShape, preallocated: number, state: number) {
    this.#arena = arena
    this.#grace = grace
    this.#shape = shape
    this.state = state
    this.#valueStride = roundUp(shape.valueSize, 8)
    this.valueOffset = KEY_OFFSET + roundUp(shape.keySize, 8)
    this.elementSize = this.valueOffset + this.#valueStride * shape.cpuCount
    this.#retiredLimit = Math.max(preallocated, Math.ceil(RETIRED_BYTES / this.elementSize))
  }

  /** Bytes of the arena that the pool takes. */
  get memoryBytes(): number {
    return this.#slabBytes
  }

  get shape(): ElementShape {
    return this.#shape
  }

  /** An element whose bytes are whatever they last were; 0 where there is no memory. */
  take(): number {
    const { words } = this.#arena
    const state = this.state >>> 2
    let element = words[state + FREE] as number
    if (element !== 0) words[state + FREE] = words[(element >>> 2) + NEXT] as number
    else element = this.takeFreshOrGrow()
    if (element === 0) return 0
    if (this.specialFields !== undefined) this.#clearFields(element, this.specialFields)
    this.#allow(element, 'read', this.#shape.valueAccess)
    return element
  }

  /** Gives back an element that is no longer linked. */
  retire(element: number): void {
    if (this.specialFields !== undefined) this.#releaseFields(element, this.specialFields)
    if (!this.mayRetire()) {
      this.#release(element)
      return
    }
    const { words } = this.#arena
    const state = this.state >>> 2
    words[(element >>> 2) + RETIRED_NEXT] = 0
    const last = words[state + RETIRED_LAST] as number
    if (last === 0) words[state + RETIRED_FIRST] = element
    else words[(last >>> 2) + RETIRED_NEXT] = element
    words[state + RETIRED_LAST] = element
    words[state + RETIRED_COUNT] = (words[state + RETIRED_COUNT] as number) + 1
  }

  /** Whether what is given back now must wait: then the list of retired elements is seen to when it may go. */
  mayRetire(): boolean {
    if (!this.#grace.isRunning) return false
    const isFirst = this.#arena.words[(this.state >>> 2) + RETIRED_LAST] === 0
    if (isFirst) this.#grace.defer(() => this.#releaseRetired())
    return true
  }

  /** Gives back an element that no program can have seen. */
  untake(element: number): void {
    this.#release(element)
  }

  [Symbol.dispose](): void {
    this.#disposed = true
    this.#grace.defer(() => {
      for (const slab of this.#slabs.splice(0)) this.#arena.free(slab)
      this.#arena.free(this.state)
    })
  }

  /** An element that is not on the free list, not yet accessible; 0 where there is none. */
  takeFreshOrGrow(): number {
    const state = this.state >>> 2
    let { words } = this.#arena
    if (words[state + FRESH] === words[state + FRESH_END]) {
      const isFull = (words[state + RETIRED_COUNT] as number) > this.#retiredLimit
      if (isFull || !this.#addSlab(this.#slabCount())) return this.#oldestRetired()
      words = this.#arena.words
    }
    const element = words[state + FRESH] as number
    words[state + FRESH] = element + this.elementSize
    return element
  }

  #oldestRetired(): number {
    const { words } = this.#arena
    const state = this.state >>> 2
    const element = words[state + RETIRED_FIRST] as number
    if (element === 0) return 0
    const next = words[(element >>> 2) + RETIRED_NEXT] as number
    words[state + RETIRED_FIRST] = next
    words[state + RETIRED_COUNT] = (words[state + RETIRED_COUNT] as number) - 1
    // The next one to retire asks for a grace period again, which does no harm.
    if (next === 0) words[state + RETIRED_LAST] = 0
    return element
  }

  #clearFields(element: number, fields: SpecialFields): void {
    for (const value of this.#valuesOf(element)) clearFields(this.#arena.bytes, fields, value)
  }

  #releaseFields(element: number, fields: SpecialFields): void {
    for (const value of this.#valuesOf(element)) fields.release(value)
  }

  #valuesOf(element: number): number[] {
    const first = element + this.valueOffset
    return Array.from({ length: this.#shape.cpuCount }, (_, cpu) => first + cpu * this.#valueStride)
  }

  #slabCount(): number {
    return Math.max(1, Math.floor(SLAB_BYTES / this.elementSize))
  }

  #addSlab(count: number): boolean {
    const sizeBytes = count * this.elementSize
    const slab = this.#arena.allocate(sizeBytes, { access: 'none' })
    if (slab === undefined) return false
    this.#slabs.push(slab)
    this.#slabBytes += sizeBytes
    const { words } = this.#arena
    words[(this.state >>> 2) + FRESH] = slab
    words[(this.state >>> 2) + FRESH_END] = slab + sizeBytes
    return true
  }

  #releaseRetired(): void {
    if (this.#disposed) return
    if (this.compiledRelease !== undefined) {
      this.compiledRelease()
      return
    }
    const { words } = this.#arena
    const state = this.state >>> 2
    let element = words[state + RETIRED_FIRST] as number
    words.fill(0, state + RETIRED_FIRST, state + RETIRED_COUNT + 1)
    while (element !== 0) {
      const next = words[(element >>> 2) + RETIRED_NEXT] as number
      this.#release(element)
      element = next
    }
  }

  #release(element: number): void {
    this.#allow(element, 'none', 'none')
    const { words } = this.#arena
    const state = this.state >>> 2
    words[(element >>> 2) + NEXT] = words[state + FREE] as number
    words[state + FREE] = element
  }

  #allow(element: number, key: Access, value: Access): void {
    const { keySize, valueSize, cpuCount } = this.#shape
    this.#arena.setAccess(element + KEY_OFFSET, keySize, key)
    for (let cpu = 0; cpu < cpuCount; cpu++) {
      this.#arena.setAccess(element + this.valueOffset + cpu * this.#valueStride, valueSize, value)
    }
  }
}
