/**
 * The kernel functions that programs call, by the numbers that stand in their translated calls: one for each function,
 * and one for each call of which the proof says more.
 */
import { type KfuncCall, type KfuncRow, kfuncBodies } from '../helpers/index.ts'
import type { BoundKfunc, KfuncSource } from './engine.ts'

const NOTHING: KfuncCall = {}

const boundOf = ({ body, inline, declaration }: KfuncRow, call: KfuncCall): BoundKfunc => ({
  body,
  call,
  inline,
  argumentCount: argumentCount(declaration),
})

/** Parameters of a declaration: those of a callback's are in parentheses of their own. */
function argumentCount(declaration: string): number {
  const parameters = declaration.slice(declaration.indexOf('(') + 1, -1).replaceAll(/\(\*\w+\)\([^)]*\)/g, '')
  return parameters === '' ? 0 : parameters.split(',').length
}

export class KfuncCalls implements KfuncSource {
  readonly #bound = new Map<number, BoundKfunc>()
  readonly #plain = new Map<string, number>()
  #last = 0

  constructor() {
    for (const [name, row] of kfuncBodies) {
      this.#bound.set(++this.#last, boundOf(row, NOTHING))
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
    this.#bound.set(++this.#last, boundOf(row, call))
    return this.#last
  }

  release(numbers: readonly number[]): void {
    for (const number of numbers) this.#bound.delete(number)
  }
}
