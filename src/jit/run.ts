/** One program on one context: what a run begins with in its block, and what becomes of it. */
import type { Fault } from '../helpers/index.ts'
import { ARENA_BASE, type Arena } from '../memory/index.ts'
import type { CompiledProgram } from './compiled.ts'
import { ExceptionSignal, FaultSignal } from './fault.ts'
import { FIRST_FRAME, lastFrameFrom, runBlock } from './layout.ts'
import { FUNCTION_BASE, functionAddress } from './program.ts'
import { highWord, lowWord, setWords, wordsAt } from './words.ts'

/** Instructions that a run may execute where nobody says how many. */
export const NO_LIMIT = 2 ** 31 - 1

export interface JitRunOptions {
  /** r2 at the start. Default 0. */
  readonly r2?: bigint
  /** Instructions that the run may execute, counted at loops and calls. Default 2^31 - 1. */
  readonly budget?: number
  /** What bpf_get_smp_processor_id gives. Default 0. */
  readonly cpu?: number
}

/** What is executing; runs nest, each puts back what it found. */
export interface Now {
  program: CompiledProgram | undefined
  budget: number
}

interface RunOwner {
  failed(): void
  end(run: JitRun): void
}

/** One program on one context; made by `Jit.open`. A run costs some 10 ns beyond what the program takes. */
export class JitRun implements Disposable {
  /** Why the last run could not go on. */
  fault: Fault | undefined
  readonly #arena: Arena
  readonly #now: Now
  readonly #block: number
  readonly #owner: RunOwner
  #program: CompiledProgram | undefined
  #budget = NO_LIMIT
  #context = 0n
  /** r1 and r2 in words of 32 bits: small integers, which need no memory of their own. */
  #r1Low = 0
  #r1High = 0
  #r2Low = 0
  #r2High = 0
  #cpu = 0

  constructor(arena: Arena, now: Now, block: number, owner: RunOwner) {
    this.#arena = arena
    this.#now = now
    this.#block = block
    this.#owner = owner
  }

  /** What is to be run, and on what. */
  give(program: CompiledProgram, context: bigint, { r2, budget, cpu }: JitRunOptions): void {
    this.#program = program
    this.#budget = budget ?? NO_LIMIT
    this.#cpu = cpu ?? 0
    // Runs often have the context of the last: taking a bigint apart costs more than looking whether it is the same.
    if (context !== this.#context) {
      this.#r1Low = lowWord(context)
      this.#r1High = highWord(context)
      this.#context = context
    }
    this.#r2Low = r2 === undefined ? 0 : lowWord(r2)
    this.#r2High = r2 === undefined ? 0 : highWord(r2)
  }

  /** r3 and those behind it, for the next run. */
  giveMore(others: readonly bigint[]): void {
    const at = (this.#block >>> 2) + 4
    for (const [n, value] of others.entries()) setWords(this.#arena.words, at + 2 * n, value)
  }

  /** Runs; the low 32 bits of r0, unsigned, or -1 where it could not go on. */
  once(): number {
    return this.repeat(1)
  }

  /**
   * Runs `count` times, as Linux's BPF_PROG_TEST_RUN repeats; the low 32 bits of the last r0, unsigned, or -1 where
   * one could not go on. The loop is in WebAssembly: a call from JavaScript costs more than a short program.
   */
  repeat(count: number): number {
    const { words } = this.#arena
    const at = this.#block >>> 2
    words[at] = this.#r1Low
    words[at + 1] = this.#r1High
    words[at + 2] = this.#r2Low
    words[at + 3] = this.#r2High
    words[at + runBlock.cpu / 4] = this.#cpu
    words[at + runBlock.tailCalls / 4] = 0
    words[at + runBlock.fuel / 4] = this.#budget
    words[at + runBlock.lastFrame / 4] = lastFrameFrom(this.#block + FIRST_FRAME)
    const now = this.#now
    const { program, budget } = now
    now.program = this.#program
    now.budget = this.#budget
    try {
      const { run, repeat } = (this.#program as CompiledProgram).exports
      const frame = this.#block + FIRST_FRAME
      return (count === 1 ? run(frame) : repeat(frame, count, this.#budget)) >>> 0
    } catch (error) {
      return this.#afterSignal(error)
    } finally {
      now.program = program
      now.budget = budget
    }
  }

  /**
   * Calls the subprogram at `address` with up to five arguments, as a run of its own: the low 32 bits of r0, unsigned,
   * or -1 where it could not go on.
   */
  call(address: bigint, args: readonly bigint[]): number {
    const { words } = this.#arena
    const at = this.#block >>> 2
    words[at + runBlock.cpu / 4] = this.#cpu
    words[at + runBlock.tailCalls / 4] = 0
    words[at + runBlock.fuel / 4] = this.#budget
    const now = this.#now
    const { program, budget } = now
    now.program = this.#program
    now.budget = this.#budget
    try {
      return this.#enter(this.#program as CompiledProgram, address, args)
    } catch (error) {
      return this.#afterSignal(error)
    } finally {
      now.program = program
      now.budget = budget
    }
  }

  #enter(program: CompiledProgram, address: bigint, args: readonly bigint[]): number {
    const index = program.callbackEntries.indexOf(Number(address - FUNCTION_BASE) / 8)
    const { callback } = program.exports
    if (callback === undefined || index < 0) throw new FaultSignal({ kind: 'not-a-function', pc: 0, address })
    const { words } = this.#arena
    const at = this.#block >>> 2
    for (const [n, value] of args.entries()) setWords(words, at + 2 * n, value)
    words[at + runBlock.lastFrame / 4] = lastFrameFrom(this.#block + FIRST_FRAME)
    callback(index, this.#block + FIRST_FRAME)
    return this.#arena.words[(this.#block + runBlock.result) >>> 2] as number
  }

  /** The frames are gone. After an exception its callback decides what the run gives; else there is a fault. */
  #afterSignal(error: unknown): number {
    this.#owner.failed()
    if (!(error instanceof ExceptionSignal)) {
      this.fault = faultFrom(error)
      return -1
    }
    const { program, cookie } = error
    if (program.exceptionCallback === undefined) {
      setWords(this.#arena.words, (this.#block + runBlock.result) >>> 2, cookie)
      return Number(BigInt.asUintN(32, cookie))
    }
    this.#now.program = program
    try {
      return this.#enter(program, functionAddress(program.exceptionCallback), [cookie])
    } catch (inner) {
      return this.#afterSignal(inner)
    }
  }

  /** r0 of the last run, unsigned. */
  get value(): bigint {
    return wordsAt(this.#arena.words, (this.#block + runBlock.result) >>> 2)
  }

  [Symbol.dispose](): void {
    this.#program = undefined
    this.#owner.end(this)
  }
}

function faultFrom(error: unknown): Fault {
  if (error instanceof FaultSignal) return error.fault
  // The wall behind the verifier: WebAssembly's own bounds check.
  if (error instanceof WebAssembly.RuntimeError) {
    return { kind: 'memory', pc: -1, address: ARENA_BASE, sizeBytes: 0, access: 'read' }
  }
  throw error
}
