/**
 * How programs are run: an engine makes something executable of a program whose references are resolved.
 */
import type { HelperEnvironment } from '../helpers/index.ts'
import type { Program } from '../isa/index.ts'

export type RunOutcome =
  | { readonly ok: true; readonly value: bigint }
  /** `pc` is the index of the instruction that could not go on. */
  | { readonly ok: false; readonly pc: number; readonly message: string }

export interface Executable {
  /** What the program was compiled to: a WebAssembly module. Undefined where it is not compiled. */
  readonly image?: Uint8Array
  /** Runs from the first instruction with `environment.context` in r1. */
  run(environment: RunEnvironment): RunOutcome
}

/** A helper's environment whose `callback` the engine sets while a helper is being called. */
export interface RunEnvironment extends HelperEnvironment {
  callback: HelperEnvironment['callback']
  /** The packet that legacy packet loads read; undefined where there is none. */
  readonly packet: Uint8Array | undefined
}

export interface PrepareOptions {
  /** Whether a verifier has proved memory safety and termination. Default false. */
  readonly isProved?: boolean
  /** Slots of loads whose address may be one of the operating system's kernel; see `ProgramFacts`. */
  readonly foreignLoads?: ReadonlySet<number>
  /** For names in stack traces and profiles. */
  readonly name?: string
}

export interface Engine {
  readonly name: string
  /** `program` has map addresses and values in the place of descriptors. */
  prepare(program: Program, options?: PrepareOptions): Executable
}
