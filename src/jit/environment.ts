/** What compiled programs find around them; the kernel supplies it. */
import type { HelperFault, KfuncInline, Thrown } from '../helpers/index.ts'
import type { BpfMap } from '../maps/index.ts'
import type { CompiledProgram } from './compiled.ts'

/** A helper that ends the program by continuing with another one, as `bpf_tail_call` does. */
export interface JitTailCall {
  readonly tailCall: CompiledProgram
}

/** What a helper may ask of the run that called it. */
export interface JitHelperContext {
  /** What runs. */
  readonly program: CompiledProgram
  /** Slot of the call. */
  readonly pc: number
  /** Calls the subprogram at `address` and returns its r0; undefined where it could not run to its end. */
  callback(
    address: bigint,
    r1: bigint,
    r2?: bigint,
    r3?: bigint,
    r4?: bigint,
    r5?: bigint,
  ): bigint | undefined
}

/** The body of a helper, as for the interpreter. Arguments that its prototype does not have are 0. */
export type JitHelper = (
  r1: bigint,
  r2: bigint,
  r3: bigint,
  r4: bigint,
  r5: bigint,
  context: JitHelperContext,
) => bigint | HelperFault | JitTailCall | Thrown

/**
 * A helper without arguments that gives r0 as two words of 32 bits, so that no BigInt is made: the low one is
 * returned, the high one stored at `words[high]`.
 */
export type WordHelper = (words: Uint32Array, high: number) => number

export interface JitEnvironment {
  helper(id: number): JitHelper | undefined
  kfunc?(btfId: number, btfIndex: number): JitHelper | undefined
  /** Copies from where a typed kernel pointer leads; see the interpreter's `Environment`. */
  readForeign?(address: bigint, into: Uint8Array): number
  /** What compiled code may do itself in the place of a kernel function. */
  kfuncInline?(btfId: number): KfuncInline | undefined
  /** How many registers a kernel function takes; the others are not passed. Default 5. */
  kfuncArgumentCount?(btfId: number): number
  /** Legacy packet access; see the interpreter's `Environment`. */
  packet?(context: bigint, offset: number, sizeBytes: 1 | 2 | 4): number | undefined
  /** How many registers a helper takes; the others are not passed. Default: by Linux's prototypes. */
  argumentCount?(id: number): number
  /** Whether helper numbers mean Linux's helpers, so that the code of some may be part of a program. */
  readonly inlinesHelpers?: boolean
  /** Helpers that are called often and take nothing. */
  readonly wordHelpers?: ReadonlyMap<number, WordHelper>
  /** The map whose header is at `address`, so that its look-ups become part of the program. */
  mapAt?(address: bigint): BpfMap | undefined
}
