import type { Arena } from '../memory/index.ts'
import type { Environment } from './environment.ts'
import type { Fault } from './fault.ts'
import { execute } from './loop.ts'
import type { PreparedProgram } from './prepared.ts'
import { Run } from './run.ts'

export interface RunOptions {
  /** r2 at the start; Linux leaves it undefined, test suites pass a length. Default 0. */
  readonly r2?: bigint
  /** Instructions that the run may execute. Default 2^31 - 1. */
  readonly budget?: number
}

export type RunResult =
  /** r0 as an unsigned 64-bit value, and how many instructions were executed. */
  | { readonly ok: true; readonly value: bigint; readonly instructions: number }
  | { readonly ok: false; readonly fault: Fault; readonly instructions: number }

const NO_LIMIT = 2 ** 31 - 1

/**
 * Runs programs, checking every memory access against the arena.
 *
 * Runs may nest: a helper may start another run, of the same program too. What a run needs (stacks in the arena,
 * register files) is kept for the next one.
 */
export class Interpreter {
  readonly #arena: Arena
  readonly #environment: Environment
  readonly #idle: Run[] = []

  constructor(arena: Arena, environment: Environment) {
    this.#arena = arena
    this.#environment = environment
  }

  /** Runs `program` from its first instruction with `context` in r1 until it exits or cannot go on. */
  run(program: PreparedProgram, context: bigint, options: RunOptions = {}): RunResult {
    const run = this.#idle.pop() ?? Run.create(this.#arena, this.#environment)
    if (run === undefined) return { ok: false, fault: { kind: 'no-memory', pc: 0 }, instructions: 0 }
    const budget = options.budget ?? NO_LIMIT
    run.start(program, context, options.r2 ?? 0n, budget)
    try {
      execute(run, 0)
      const instructions = budget - run.remaining
      const { fault } = run
      return fault === undefined
        ? { ok: true, value: run.file.r[0]!, instructions }
        : { ok: false, fault, instructions }
    } finally {
      run.end()
      this.#idle.push(run)
    }
  }
}
