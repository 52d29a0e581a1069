/**
 * Someone who watches a proof being made, step by step, so that what it claims can be held against what programs do.
 *
 * `p.state`, `p.index` and `p.previous` say where the walk stands. Registers and slots in a state are never changed in
 * place, so copies of a frame's arrays keep what was claimed; a saved state goes on collecting precision marks until
 * the proof is over. Without an observer, nothing is spent on this.
 */
import type { Proof } from './proof.ts'
import type { State } from './state/state.ts'

export interface ProofObserver {
  /** A walk begins: of the program, or of a global function. */
  begins(p: Proof, subprogram: number): void
  /** The walk stands before the instruction at `p.index`; it has not been looked at. */
  arrives(p: Proof): void
  /** The state in which the walk stands was saved for later paths to be compared with. */
  saves(saved: State): void
  /** The path ends here, since `by`, which was saved before, covers it; for now, where `covered` is given. */
  prunes(by: State, covered?: State): void
  /** A path that ended for now was not covered: it is put off instead, to go on from where it ended. */
  uncovers(covered: State): void
  /** A branch from the last instruction was put off. */
  queues(queued: State): void
  /** The branch that was put off is walked now. */
  resumes(queued: State): void
}
