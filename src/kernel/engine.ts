/**
 * How programs are run: an engine makes something executable of a program whose references are resolved.
 */
import type { HelperEnvironment, HookFault, KfuncBody, KfuncCall, KfuncInline } from '../helpers/index.ts'
import type { Program } from '../isa/index.ts'
import type { ArenaUse } from '../maps/index.ts'

const BPF_TIMER_SET_CALLBACK = 170

/** `pc` is the index of the instruction that could not go on. */
export interface RunFailure {
  readonly ok: false
  readonly pc: number
  readonly message: string
}

export type RunOutcome = { readonly ok: true; readonly value: bigint } | RunFailure

/** A program with its environment, for what runs it often. */
export interface KeptRun {
  /** Undefined where it has run to its end. */
  run(): RunFailure | undefined
}

export interface Executable {
  /** What the program was compiled to: a WebAssembly module. Undefined where it is not compiled. */
  readonly image?: Uint8Array
  /** Does what was put off until the first run, if there is such: a run that is measured is to run, not to compile. */
  makeReady?(): void
  /** Runs from the first instruction with `environment.context` in r1. */
  run(environment: RunEnvironment): RunOutcome
  /** Calls the subprogram at `address`, which the program has given to a helper for later, with up to five arguments. */
  call(address: bigint, args: readonly bigint[], environment: RunEnvironment): RunOutcome
  /**
   * What runs from the first instruction again and again. Of those that are kept for one CPU no two may run at once.
   * Undefined without memory.
   */
  keep(environment: RunEnvironment): KeptRun | undefined
  /** Runs from the first instruction with up to five arguments; of programs that were prepared so. */
  enter(args: readonly bigint[], environment: RunEnvironment): RunOutcome
  /** From the next run on, `hook` stands for the function at a slot; undefined: the function itself does again. */
  hook(slot: number, hook: ProgramHook | undefined): void
}

/** What stands for a function of a program; see `FunctionHook`. */
export interface ProgramHook {
  readonly argumentCount: number
  /** `environment` is that of the run that makes the call. */
  call(
    environment: RunEnvironment,
    args: readonly bigint[],
    proceed: () => bigint | undefined,
  ): bigint | HookFault
}

/** A helper's environment whose `callback` the engine sets while a helper is being called. */
export interface RunEnvironment extends HelperEnvironment {
  callback: HelperEnvironment['callback']
  /** The executable whose code makes the call, set for kernel functions and for helpers that keep a callback. */
  caller?: object | undefined
  /** The packet that legacy packet loads read; undefined where there is none. */
  readonly packet: Uint8Array | undefined
}

export interface PrepareOptions {
  /** Whether a verifier has proved memory safety and termination. Default false. */
  readonly isProved?: boolean
  /** Slots of loads whose address may be one of the operating system's kernel; see `ProgramFacts`. */
  readonly foreignLoads?: ReadonlySet<number>
  /** The arena map whose pages the program uses, with the instructions that do. */
  readonly arena?: ArenaUse | undefined
  /** Slot of the subprogram that exceptions go to. */
  readonly exceptionCallback?: number | undefined
  /** Whether it stands for a function, with up to five arguments. Default false: it has a context. */
  readonly takesArguments?: boolean
  /** For names in stack traces and profiles. */
  readonly name?: string
}

/** A kernel function with what the proof says of one call of it. */
export interface BoundKfunc {
  readonly body: KfuncBody
  readonly call: KfuncCall
  /** What compiled code may do itself. */
  readonly inline: KfuncInline | undefined
  readonly argumentCount: number
}

/** The kernel functions that translated programs call, by the number in the call. */
export interface KfuncSource {
  at(number: number): BoundKfunc | undefined
}

/** Helpers that keep a callback for later: they need to know whose it is. */
export const KEEPS_CALLBACK: ReadonlySet<number> = new Set([BPF_TIMER_SET_CALLBACK])

export interface Engine {
  readonly name: string
  /** `program` has map addresses and values in the place of descriptors. */
  prepare(program: Program, options?: PrepareOptions): Executable
}
