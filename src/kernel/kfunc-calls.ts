/**
 * The kernel functions that programs call, by the numbers that stand in their translated calls: one for each function,
 * and one for each call of which the proof says more.
 */
import { type KfuncCall, kfuncBodies } from '../helpers/index.ts'
import type { BoundKfunc, KfuncSource } from './engine.ts'

const NOTHING: KfuncCall = {}

export class KfuncCalls implements KfuncSource {
  readonly #bound = new Map<number, BoundKfunc>()
  readonly #plain = new Map<string, number>()
  #last = 0

  constructor() {
    for (const [name, { body }] of kfuncBodies) {
      this.#bound.set(++this.#last, { body, call: NOTHING })
      this.#plain.set(name, this.#last)
    }
  }

  at(number: number): BoundKfunc | undefined {
    return this.#bound.get(number)
  }

  /** The number of a function; undefined where it has no body. */
  plain(name: string): number | undefined {
    return this.#plain.get(name)
  }

  /** A number for one call, until `release`. */
  bind(name: string, call: KfuncCall): number | undefined {
    const row = kfuncBodies.get(name)
    if (row === undefined) return undefined
    this.#bound.set(++this.#last, { body: row.body, call })
    return this.#last
  }

  release(numbers: readonly number[]): void {
    for (const number of numbers) this.#bound.delete(number)
  }
}
