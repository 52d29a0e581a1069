import type { MarkPlace } from '../wasm/index.ts'

/** A program as WebAssembly, ready to run. */
export interface CompiledProgram {
  /** Whether it runs without checks, with the stacks of all frames open from the start. */
  readonly isProved: boolean
  /** The module's bytes. */
  readonly bytes: Uint8Array
  /** Where the code of each slot lies, by function of the module; see `ModuleBuilder.encode`. */
  readonly marks?: ReadonlyMap<string, readonly MarkPlace[]>
  /** Subprograms by the number that the export `callback` takes. */
  readonly callbackEntries: readonly number[]
  /** Slot of the subprogram that exceptions go to. */
  readonly exceptionCallback: number | undefined
  readonly exports: {
    /** Runs from the first slot with r1 and r2 from the run's block; the low half of r0, which is stored there whole. */
    readonly run: (frame: number) => number
    /** Runs that many times, each with the arguments and the budget. */
    readonly repeat: (frame: number, count: number, budget: number) => number
    /** Runs as the target of a tail call. */
    readonly tail: (frame: number) => void
    readonly callback?: (entry: number, frame: number) => void
    /** `function N`: runs the function at slot N itself, in whose place something stands, with r1 to r5 from the block. */
    readonly [itself: `function ${number}`]: (frame: number) => void
  }
}
