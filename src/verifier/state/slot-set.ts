/** A set of the 64 stack slots of a frame. */
export class SlotSet {
  #low = 0
  #high = 0

  get isEmpty(): boolean {
    return (this.#low | this.#high) === 0
  }

  has(slot: number): boolean {
    return ((slot < 32 ? this.#low : this.#high) & (1 << (slot & 31))) !== 0
  }

  add(slot: number): void {
    if (slot < 32) this.#low |= 1 << slot
    else this.#high |= 1 << (slot & 31)
  }

  addAll(): void {
    this.#low = -1
    this.#high = -1
  }

  clear(): void {
    this.#low = 0
    this.#high = 0
  }
}
