/**
 * Reference counts: an object lives while a descriptor, a program, a link or a mapping holds it.
 *
 * Whoever makes an object holds the first reference. The last `put` ends it.
 */
export abstract class Counted {
  #references = 1

  get references(): number {
    return this.#references
  }

  get(): this {
    if (this.#references === 0) throw new Error('a reference to an object that has ended')
    this.#references++
    return this
  }

  put(): void {
    if (this.#references === 0) throw new Error('more references put than taken')
    if (--this.#references === 0) this.end()
  }

  /** Called once, when nobody holds the object any more. */
  protected abstract end(): void
}
