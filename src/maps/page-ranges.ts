/**
 * Which pages of an arena map are free, as ranges, and which of them an allocation gets.
 *
 * The smallest range that is large enough serves, of several the one that came to be last, from its start: the same
 * requests give the same pages as on Linux.
 *
 * Source: the behaviour of kernel/bpf/range_tree.c of Linux.
 */
interface Range {
  readonly first: number
  /** The page behind the last one. */
  readonly end: number
}

export class PageRanges {
  /** Apart from each other, in the order in which they came to be. */
  #free: Range[] = []

  /** The first page of the range that `count` pages are to come from; -1 where none is large enough. */
  find(count: number): number {
    let best: Range | undefined
    for (const range of this.#free) {
      const size = range.end - range.first
      if (size >= count && (best === undefined || size <= best.end - best.first)) best = range
    }
    return best?.first ?? -1
  }

  /** Whether all of the pages are free. */
  isFree(first: number, count: number): boolean {
    return this.#free.some((range) => range.first <= first && first + count <= range.end)
  }

  take(first: number, count: number): void {
    const end = first + count
    const touched = this.#free.filter((range) => range.first < end && first < range.end)
    if (touched.length === 0) return
    this.#free = this.#free.filter((range) => !touched.includes(range))
    for (const range of touched.sort((a, b) => a.first - b.first)) {
      if (range.first < first) this.#free.push({ first: range.first, end: first })
      if (range.end > end) this.#free.push({ first: end, end: range.end })
    }
  }

  /** Frees the pages; those that are free stay so. */
  give(first: number, count: number): void {
    // A range that nothing is added to stays as old as it is.
    if (this.isFree(first, count)) return
    this.take(first, count)
    const end = first + count
    const before = this.#free.find((range) => range.end === first)
    const behind = this.#free.find((range) => range.first === end)
    this.#free = this.#free.filter((range) => range !== before && range !== behind)
    this.#free.push({ first: before?.first ?? first, end: behind?.end ?? end })
  }
}
