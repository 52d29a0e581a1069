import type { Fault } from '../helpers/index.ts'
import type { Arena } from '../memory/index.ts'
import type { Environment } from './environment.ts'
import { functionAt, type PreparedProgram } from './prepared.ts'
import { type Exception, Run } from './run.ts'

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
    return this.#execute(program, 0, [context, options.r2 ?? 0n], options.budget ?? NO_LIMIT)
  }

  /** As `run`, with r1 and as many of those behind it as there are: a program that stands for a function. */
  enter(program: PreparedProgram, args: readonly bigint[], options: RunOptions = {}): RunResult {
    return this.#execute(program, 0, args, options.budget ?? NO_LIMIT)
  }

  /** Runs the subprogram at `address` on its own, with up to five arguments; its r0 is the result. */
  call(
    program: PreparedProgram,
    address: bigint,
    args: readonly bigint[],
    options: RunOptions = {},
  ): RunResult {
    const entry = functionAt(program, address)
    if (entry === undefined)
      return { ok: false, fault: { kind: 'not-a-function', pc: 0, address }, instructions: 0 }
    return this.#execute(program, entry, args, options.budget ?? NO_LIMIT)
  }

  #execute(program: PreparedProgram, entry: number, args: readonly bigint[], budget: number): RunResult {
    const run = this.#idle.pop() ?? Run.create(this.#arena, this.#environment)
    if (run === undefined) return { ok: false, fault: { kind: 'no-memory', pc: 0 }, instructions: 0 }
    run.start(program, args, budget)
    let running = program
    try {
      run.executeFunction(entry)
      const instructions = budget - run.remaining
      const { fault } = run
      if (fault === undefined) return { ok: true, value: run.file.r[0]!, instructions }
      if (fault.kind !== 'exception') return { ok: false, fault, instructions }
      running = run.program
    } finally {
      run.end()
      this.#idle.push(run)
    }
    return this.#afterException(running, run.fault as Exception, run.remaining, budget)
  }

  /** The frames are gone: what the exception callback returns is the result, or the cookie itself. */
  #afterException(
    program: PreparedProgram,
    { cookie }: { readonly cookie: bigint },
    remaining: number,
    budget: number,
  ): RunResult {
    const { exceptionCallback: entry } = program
    if (entry === undefined) return { ok: true, value: cookie, instructions: budget - remaining }
    const result = this.#execute(program, entry, [cookie], remaining)
    return { ...result, instructions: result.instructions + budget - remaining }
  }
}
