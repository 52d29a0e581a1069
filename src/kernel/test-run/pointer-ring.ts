/**
 * A queue of fixed length whose places become free in batches, not one by one: what is full, and when, follows from
 * that.
 *
 * Source: the behaviour of include/linux/ptr_ring.h of Linux.
 */

/** Two cache lines of pointers. */
const MOST_FREED_AT_ONCE = 16

export class PointerRing<T> {
  readonly #slots: (T | undefined)[]
  readonly #batch: number
  #producer = 0
  /** The next to be consumed. */
  #head = 0
  /** From here to the head, slots are consumed and not free yet. */
  #tail = 0

  /** `size`: at least 1. */
  constructor(size: number) {
    this.#slots = new Array<T | undefined>(size).fill(undefined)
    this.#batch = MOST_FREED_AT_ONCE > size / 2 ? 1 : MOST_FREED_AT_ONCE
  }

  /** False: it is full. */
  produce(item: T): boolean {
    if (this.#slots[this.#producer] !== undefined) return false
    this.#slots[this.#producer] = item
    this.#producer = (this.#producer + 1) % this.#slots.length
    return true
  }

  /** Undefined: it is empty. */
  consume(): T | undefined {
    const item = this.#slots[this.#head]
    if (item === undefined) return undefined
    this.#head++
    const isAtEnd = this.#head === this.#slots.length
    if (isAtEnd || this.#head - this.#tail >= this.#batch) {
      this.#slots.fill(undefined, this.#tail, this.#head)
      if (isAtEnd) this.#head = 0
      this.#tail = this.#head
    }
    return item
  }
}
