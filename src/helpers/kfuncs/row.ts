/** What a kernel function is to its caller: a helper that is found by its type instead of by a number. */
import type { HelperEnvironment, HelperResult } from '../environment.ts'
import type { ObjectType } from '../object-type.ts'

/** What the proof of the program says of one call. */
export interface KfuncCall {
  /** What is to be allocated. */
  readonly objectType?: ObjectType
  /** Where in the object the node lies that goes into a list or tree. */
  readonly nodeOffset?: number
}

export type KfuncBody = (
  env: HelperEnvironment,
  call: KfuncCall,
  r1: bigint,
  r2: bigint,
  r3: bigint,
  r4: bigint,
  r5: bigint,
) => HelperResult

export interface KfuncRow {
  /** In C, as the kernel's types tell of it; `Declarations` says what may stand there. */
  readonly declaration: string
  readonly body: KfuncBody
  /** What compiled code may do itself, where the program is proved: nothing at all, or the next of a loop's numbers. */
  readonly inline?: KfuncInline
}

export type KfuncInline = 'nothing' | 'nextNumber'
