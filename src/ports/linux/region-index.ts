/** Which region an address lies in. */
export interface Region {
  readonly base: number
  readonly lengthBytes: number
}

/** Regions that do not overlap, in the order of their addresses. */
export class RegionIndex<R extends Region> implements Iterable<R> {
  readonly #sorted: R[] = []

  add(region: R): void {
    this.#sorted.splice(this.#indexAfter(region.base), 0, region)
  }

  delete(region: R): void {
    const index = this.#sorted.indexOf(region)
    if (index >= 0) this.#sorted.splice(index, 1)
  }

  clear(): void {
    this.#sorted.length = 0
  }

  /** The region that contains `address`. */
  find(address: number): R | undefined {
    const region = this.#sorted[this.#indexAfter(address) - 1]
    return region !== undefined && address < region.base + region.lengthBytes ? region : undefined
  }

  [Symbol.iterator](): Iterator<R> {
    return this.#sorted[Symbol.iterator]()
  }

  /** How many regions begin at or before `address`. */
  #indexAfter(address: number): number {
    let low = 0
    let high = this.#sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#sorted[middle] as R).base <= address) low = middle + 1
      else high = middle
    }
    return low
  }
}
