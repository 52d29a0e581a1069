/** Objects by their id: ids only grow, so a stale one never names another object. */
export class IdTable<T> {
  /** In the order of ids, since ids only grow. */
  readonly #objects = new Map<number, T>()
  #last = 0

  get size(): number {
    return this.#objects.size
  }

  add(make: (id: number) => T): T {
    const id = ++this.#last
    const object = make(id)
    this.#objects.set(id, object)
    return object
  }

  get(id: number): T | undefined {
    return this.#objects.get(id)
  }

  delete(id: number): void {
    this.#objects.delete(id)
  }

  /** The smallest id above `id`. */
  next(id: number): number | undefined {
    for (const candidate of this.#objects.keys()) if (candidate > id) return candidate
    return undefined
  }

  values(): IterableIterator<T> {
    return this.#objects.values()
  }
}
