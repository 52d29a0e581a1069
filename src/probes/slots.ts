/**
 * The step area, cut into slots that hold an out-of-line instruction and the breakpoint behind it.
 *
 * A slot is written once per probe and only executed after that, so any number of CPUs can be in it at once.
 * Who allocates a slot frees it, when no CPU is in it any more.
 */
import type { ProbeTarget } from './target.ts'

export class SlotPool {
  readonly #base: bigint
  readonly #slotBytes: number
  readonly #count: number
  readonly #free: number[] = []
  #fresh = 0

  constructor(area: ProbeTarget['stepArea'], slotBytes: number) {
    this.#base = area.address
    this.#slotBytes = slotBytes
    this.#count = Math.floor(area.sizeBytes / slotBytes)
  }

  /** Address of a slot, or undefined when all are in use. */
  allocate(): bigint | undefined {
    const index = this.#free.pop() ?? (this.#fresh < this.#count ? this.#fresh++ : undefined)
    return index === undefined ? undefined : this.#base + BigInt(index * this.#slotBytes)
  }

  free(slot: bigint): void {
    this.#free.push(Number(slot - this.#base) / this.#slotBytes)
  }

  get inUse(): number {
    return this.#fresh - this.#free.length
  }
}
