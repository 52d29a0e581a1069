/**
 * Which ranges of a linear memory are free: the bookkeeping of the arena, apart from its bytes.
 *
 * Free blocks never touch each other (neighbours are merged at once) and are kept in bins by the power of two
 * of their size. A request looks through its own bin, oldest block first, then takes the oldest block of the
 * next bin that has one: every block there is large enough. The same requests give the same offsets.
 */

const GRANULE = 8

export class BlockAllocator {
  /** Offset to size, of what is handed out. */
  readonly #taken = new Map<number, number>()
  /** Offset to size, of what is free. */
  readonly #free = new Map<number, number>()
  /** End to offset, of what is free. */
  readonly #freeByEnd = new Map<number, number>()
  readonly #bins: Set<number>[] = Array.from({ length: 33 }, () => new Set())
  #end: number
  #allocated = 0

  constructor(start: number, end: number) {
    this.#end = end
    this.#insert(start, end - start)
  }

  get allocatedBytes(): number {
    return this.#allocated
  }

  /** Offset of a range of `size` bytes (rounded up to 8, at least 8), a multiple of `align`. */
  take(size: number, align: number): number | undefined {
    const rounded = Math.max(GRANULE, Math.ceil(size / GRANULE) * GRANULE)
    if (rounded > this.#end) return undefined
    const bins = this.#bins
    for (let number = binOf(rounded); number < bins.length; number++) {
      const bin = bins[number] as Set<number>
      // Nearly all are empty, and what walks a set costs more than to ask.
      if (bin.size === 0) continue
      for (const block of bin) {
        const blockSize = this.#free.get(block) as number
        const start = Math.ceil(block / align) * align
        if (start + rounded > block + blockSize) continue
        this.#remove(block)
        if (start > block) this.#insert(block, start - block)
        const rest = block + blockSize - (start + rounded)
        if (rest > 0) this.#insert(start + rounded, rest)
        this.#taken.set(start, rounded)
        this.#allocated += rounded
        return start
      }
    }
    return undefined
  }

  /** Frees what `take` returned; gives its size. */
  release(offset: number): number {
    const size = this.#taken.get(offset)
    if (size === undefined) throw new Error(`free of offset ${offset}, which is not allocated`)
    this.#taken.delete(offset)
    this.#allocated -= size
    this.#merge(offset, size)
    return size
  }

  /** The memory now ends at `end`. */
  extend(end: number): void {
    this.#merge(this.#end, end - this.#end)
    this.#end = end
  }

  #merge(offset: number, size: number): void {
    let start = offset
    let end = offset + size
    const before = this.#freeByEnd.get(start)
    if (before !== undefined) {
      this.#remove(before)
      start = before
    }
    const after = this.#free.get(end)
    if (after !== undefined) {
      this.#remove(end)
      end += after
    }
    this.#insert(start, end - start)
  }

  #insert(offset: number, size: number): void {
    this.#free.set(offset, size)
    this.#freeByEnd.set(offset + size, offset)
    this.#bins[binOf(size)]?.add(offset)
  }

  #remove(offset: number): void {
    const size = this.#free.get(offset) as number
    this.#free.delete(offset)
    this.#freeByEnd.delete(offset + size)
    this.#bins[binOf(size)]?.delete(offset)
  }
}

/** Floor of the binary logarithm. */
function binOf(size: number): number {
  return 31 - Math.clz32(size)
}
