/**
 * What the kernel asks of a verifier, and what it is told.
 *
 * `StructureVerifier` is the one there is now: it refuses what is malformed and proves nothing about memory. A
 * verifier that proves memory safety and termination takes its place behind the same interface.
 */
import type { Program } from '../isa/index.ts'

/** What a map is, as far as a program's safety depends on it. */
export interface MapProperties {
  /** BPF_MAP_TYPE_*. */
  readonly type: number
  readonly keySize: number
  readonly valueSize: number
  readonly maxEntries: number
}

/** A program as BPF_PROG_LOAD was given it, with its surroundings resolved. */
export interface ProgramToVerify {
  readonly program: Program
  /** BPF_PROG_TYPE_*. */
  readonly programType: number
  /** BPF_* of enum bpf_attach_type; 0 where the load said nothing. */
  readonly expectedAttachType: number
  /** Is the licence compatible with the GPL, so that GPL-only helpers may be called? */
  readonly gplCompatible: boolean
  readonly sleepable: boolean
  /** Did the load come with BTF function information? */
  readonly hasFunctionInfo: boolean
  /** Slot of the subprogram that BTF tags as the exception callback; nothing calls it. */
  readonly exceptionCallback?: number
  /**
   * The map that the 64-bit immediate at slot `index` refers to, by descriptor or by index; the same map is the same
   * object. A positive errno where the descriptor is none (EBADF) or none of a map (EINVAL).
   */
  mapAt(index: number): MapProperties | number
}

/** A part of the program that is called: slots `start` to `end`, the latter excluded. */
export interface Subprogram {
  readonly start: number
  readonly end: number
}

/** Why a program may not run, in Linux's words. */
export interface Rejection {
  readonly accepted: false
  /** Positive. */
  readonly errno: number
  /** The slot that is at fault; undefined where it is the program as a whole. */
  readonly index: number | undefined
  /** The last line of the log that says why; empty where Linux writes none. */
  readonly message: string
  /** What BPF_PROG_LOAD writes into the caller's log buffer at level 1. */
  readonly log: string
}

/** What was found out about a program that may run. */
export interface Acceptance {
  readonly accepted: true
  /** In the order of their starts; the first is the program's entry. */
  readonly subprograms: readonly Subprogram[]
  /** Is every memory access proved to be allowed, and every run to end? If not, each run must check. */
  readonly proved: boolean
  /** Slots whose loads and stores go through the context; absent: not found out. */
  readonly contextAccesses?: ReadonlySet<number>
  readonly log: string
}

export type VerifierVerdict = Acceptance | Rejection

export interface Verifier {
  verify(program: ProgramToVerify): VerifierVerdict
}

/** The line that ends every log, with nothing processed: what a structural check leaves. */
export const STATISTICS =
  'processed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n'

/** A rejection whose log is the message and the statistics; without a message, Linux writes no log at all. */
export function reject(errno: number, index: number | undefined, message: string): Rejection {
  const log = message === '' ? '' : `${message}\n${STATISTICS}`
  return { accepted: false, errno, index, message, log }
}
