/**
 * What the probe machinery asks of an instruction set; one folder per architecture answers it.
 */
import type { Architecture, StoppedCpu } from './target.ts'

/** Carries out one instruction on a stopped CPU, `cpu.pc` included; `address` is where the instruction lies. */
export type Simulate = (cpu: StoppedCpu, encoding: number, address: bigint) => void

/**
 * How the machinery gets a CPU past an instruction whose place a breakpoint has taken.
 *
 * copy: it means the same anywhere, so a copy is executed out of line. simulate: it reads or writes the pc, so it
 * is carried out here. refuse: no probe.
 */
export type InstructionAction = 'copy' | 'simulate' | 'refuse'

export interface DecodedInstruction {
  /** The name of its row, for messages. */
  readonly name: string
  readonly lengthBytes: number
  readonly encoding: number
  readonly action: InstructionAction
  /** Given where `action` is `simulate`. */
  readonly simulate: Simulate | undefined
  /** Opens or ends a stretch that a trap would break: load-reserved to store-conditional. */
  readonly exclusive: 'begin' | 'end' | undefined
}

export interface ProbeArchitecture {
  readonly name: Architecture
  /** Instructions begin at multiples of this. */
  readonly alignmentBytes: number
  readonly longestInstructionBytes: number
  /** Bytes of a slot of the step area: the longest instruction and the breakpoint behind it. */
  readonly slotBytes: number
  /** The instruction at the start of `bytes`; undefined where they are too few or begin no instruction. */
  decode(bytes: Uint8Array): DecodedInstruction | undefined
  /** A breakpoint as long as the instruction that it replaces. */
  breakpoint(lengthBytes: number): Uint8Array
  /** Do `bytes` begin with a breakpoint instruction? */
  isBreakpoint(bytes: Uint8Array): boolean
  stackPointer(cpu: StoppedCpu): bigint
  /** The return address of the function that `cpu` has just entered. */
  returnAddress(cpu: StoppedCpu): bigint
  setReturnAddress(cpu: StoppedCpu, address: bigint): void
}
