/**
 * Why a compiled program could not go on: the same faults, at the same instructions, as the interpreter's.
 *
 * Compiled code calls the import `fault(kind, pc, a, b, c)`, which throws; the kinds are numbered here for both sides.
 */
import type { HelperFault } from '../helpers/index.ts'
import type { CompiledProgram } from './compiled.ts'

export type JitFault = { readonly pc: number } & (
  | {
      readonly kind: 'memory'
      readonly address: bigint
      readonly sizeBytes: number
      readonly access: 'read' | 'write'
    }
  | { readonly kind: 'budget'; readonly budget: number }
  | { readonly kind: 'helper'; readonly id: number; readonly cause: HelperFault }
  | { readonly kind: 'unknown-helper'; readonly id: number }
  | { readonly kind: 'unknown-kfunc'; readonly btfId: number; readonly btfIndex: number }
  | { readonly kind: 'unknown-instruction'; readonly opcode: number }
  | { readonly kind: 'call-depth'; readonly depth: number }
  | { readonly kind: 'not-a-function'; readonly address: bigint }
  | { readonly kind: 'hook'; readonly reason: string }
  | { readonly kind: 'no-packet' }
  | { readonly kind: 'out-of-program' }
  | { readonly kind: 'no-memory' }
)

/** What compiled code reports itself. */
export const faultCode = {
  /** a, b: address, low and high; c: bytes, negative for a write. */
  memory: 0,
  budget: 1,
  /** a: opcode. */
  unknownInstruction: 2,
  callDepth: 3,
  outOfProgram: 4,
} as const

/** An exception of the program: unwinds compiled code; never leaves this folder. */
export class ExceptionSignal extends Error {
  readonly program: CompiledProgram
  readonly cookie: bigint

  constructor(program: CompiledProgram, cookie: bigint) {
    super('exception')
    this.program = program
    this.cookie = cookie
  }
}

/** Unwinds compiled code; never leaves this folder. */
export class FaultSignal extends Error {
  readonly fault: JitFault

  constructor(fault: JitFault) {
    super(fault.kind)
    this.fault = fault
  }
}
