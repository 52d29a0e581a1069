/**
 * How a compiled program ends that could not go on: with the same faults, at the same instructions, as the interpreter's.
 *
 * Compiled code calls the import `fault(kind, pc, a, b, c)`, which throws; the kinds are numbered here for both sides.
 */
import type { Fault } from '../helpers/index.ts'
import type { CompiledProgram } from './compiled.ts'

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
  readonly fault: Fault

  constructor(fault: Fault) {
    super(fault.kind)
    this.fault = fault
  }
}
