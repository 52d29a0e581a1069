/** What the kernel asks of a verifier, and what it is told. */
import type { ProgramFacts, SlotRange } from './facts.ts'
import type { ProgramInput } from './program.ts'

/** Why a program may not run, in Linux's words. */
export interface Rejection {
  readonly accepted: false
  /** Positive. */
  readonly errno: number
  /** The slot that is at fault; undefined where it is the program as a whole. */
  readonly index: number | undefined
  /** The last line of the log that says why; empty where Linux writes none. */
  readonly message: string
  /** What BPF_PROG_LOAD writes into the caller's log buffer, at the level that was asked for. */
  readonly log: string
  /** Instructions that the verifier looked at, each as often as it did. */
  readonly processed: number
}

/** What was found out about a program that may run. */
export interface Acceptance {
  readonly accepted: true
  /** In the order of their starts; the first is the program's entry. */
  readonly subprograms: readonly SlotRange[]
  /** Every memory access is allowed, and every run ends. Undefined where that is not proved: each run must check. */
  readonly proof: ProgramFacts | undefined
  readonly log: string
  readonly processed: number
}

export type VerifierVerdict = Acceptance | Rejection

export interface Verifier {
  verify(program: ProgramInput): VerifierVerdict
}

/** The line that ends every log, with nothing processed: what a structural check leaves. */
export const STATISTICS =
  'processed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n'

/** A rejection whose log is the message and the statistics; without a message, Linux writes no log at all. */
export function reject(errno: number, index: number | undefined, message: string): Rejection {
  const log = message === '' ? '' : `${message}\n${STATISTICS}`
  return { accepted: false, errno, index, message, log, processed: 0 }
}
