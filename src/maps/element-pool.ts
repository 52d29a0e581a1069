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
 */
import type { Access, Arena, Grace } from '../memory/index.ts'
import { KEY_OFFSET, roundUp } from './layout.ts'

const RETIRED_BYTES = 1 << 20
const SLAB_BYTES = 16_384

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
  readonly #arena: Arena
  readonly #grace: Grace
  readonly #shape: ElementShape
  readonly #valueStride: number
  readonly #retiredLimit: number
  readonly #slabs: number[] = []
  #slabBytes = 0
  /** The part of the youngest slab that was never handed out. */
  #fresh = 0
  #freshEnd = 0
  readonly #free: number[] = []
  /** Retired elements, oldest first, from `#retiredHead` on. */
  #retired: number[] = []
  #retiredHead = 0
  #disposed = false

  /** Undefined where the arena has no room for `preallocated` elements. */
  static create(
    arena: Arena,
    grace: Grace,
    shape: ElementShape,
    preallocated: number,
  ): ElementPool | undefined {
    const pool = new ElementPool(arena, grace, shape, preallocated)
    return preallocated === 0 || pool.#addSlab(preallocated) ? pool : undefined
  }

  private constructor(arena: Arena, grace: Grace, shape: ElementShape, preallocated: number) {
    this.#arena = arena
    this.#grace = grace
    this.#shape = shape
    this.#valueStride = roundUp(shape.valueSize, 8)
    this.valueOffset = KEY_OFFSET + roundUp(shape.keySize, 8)
    this.elementSize = this.valueOffset + this.#valueStride * shape.cpuCount
    this.#retiredLimit = Math.max(preallocated, Math.ceil(RETIRED_BYTES / this.elementSize))
  }

  /** Bytes of the arena that the pool takes. */
  get memoryBytes(): number {
    return this.#slabBytes
  }

  /** An element whose bytes are whatever they last were; 0 where there is no memory. */
  take(): number {
    let element = this.#free.pop()
    if (element === undefined) element = this.#takeFreshOrGrow()
    if (element !== 0) this.#allow(element, 'read', this.#shape.valueAccess)
    return element
  }

  /** Gives back an element that is no longer linked. */
  retire(element: number): void {
    if (!this.#grace.isRunning) {
      this.#release(element)
      return
    }
    if (this.#retired.length === 0) this.#grace.defer(() => this.#releaseRetired())
    this.#retired.push(element)
  }

  /** Gives back an element that no program can have seen. */
  untake(element: number): void {
    this.#release(element)
  }

  [Symbol.dispose](): void {
    this.#disposed = true
    this.#grace.defer(() => {
      for (const slab of this.#slabs.splice(0)) this.#arena.free(slab)
    })
  }

  #takeFreshOrGrow(): number {
    if (this.#fresh === this.#freshEnd) {
      const retiredCount = this.#retired.length - this.#retiredHead
      if (retiredCount > this.#retiredLimit || !this.#addSlab(this.#slabCount())) {
        return this.#retiredHead < this.#retired.length ? (this.#retired[this.#retiredHead++] as number) : 0
      }
    }
    const element = this.#fresh
    this.#fresh += this.elementSize
    return element
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
    this.#fresh = slab
    this.#freshEnd = slab + sizeBytes
    return true
  }

  #releaseRetired(): void {
    const due = this.#retired
    const first = this.#retiredHead
    this.#retired = []
    this.#retiredHead = 0
    if (this.#disposed) return
    for (let index = first; index < due.length; index++) this.#release(due[index] as number)
  }

  #release(element: number): void {
    this.#allow(element, 'none', 'none')
    this.#free.push(element)
  }

  #allow(element: number, key: Access, value: Access): void {
    const { keySize, valueSize, cpuCount } = this.#shape
    this.#arena.setAccess(element + KEY_OFFSET, keySize, key)
    for (let cpu = 0; cpu < cpuCount; cpu++) {
      this.#arena.setAccess(element + this.valueOffset + cpu * this.#valueStride, valueSize, value)
    }
  }
}
