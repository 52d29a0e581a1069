/**
 * What a proof claimed, as a graph: a node for each step of its walk, with all that was claimed there; edges to the
 * steps that may come next; and where a path was cut, the saved step that covers it.
 *
 * Every run of the program has a way through this graph: that is what `follower.ts` checks.
 */

import type { Register } from '../../src/verifier/domain/register.ts'
import type { ProofObserver } from '../../src/verifier/observer.ts'
import type { Proof } from '../../src/verifier/proof.ts'
import type { Slot, State } from '../../src/verifier/state/state.ts'

export interface FrameClaim {
  readonly registers: readonly Register[]
  readonly stack: readonly Slot[]
  /** Slot of the call; -1 for the first frame. */
  readonly callsite: number
}

export interface WalkNode {
  readonly index: number
  readonly frames: readonly FrameClaim[]
  readonly next: WalkNode[]
  /** The step that was saved before and covers this one, where the path was cut. */
  coveredBy: WalkNode | undefined
  /** The state as it was saved here: it holds the precision marks. */
  saved: State | undefined
}

/** The walk took more steps than are kept. */
export class TooLong extends Error {}

export class Walk implements ProofObserver {
  /** Where each function's walk begins; 0 is the program. */
  readonly roots = new Map<number, WalkNode>()
  readonly #most: number
  readonly #queued = new Map<State, WalkNode>()
  readonly #saved = new Map<State, WalkNode>()
  /** Paths that ended for now: the step at which, and the one before it. */
  readonly #cut = new Map<State, { readonly step: WalkNode; readonly before: WalkNode }>()
  #at: WalkNode | undefined
  #before: WalkNode | undefined
  #beginning = -1
  #proof: Proof | undefined
  steps = 0

  constructor(mostSteps: number) {
    this.#most = mostSteps
  }

  get proof(): Proof {
    if (this.#proof === undefined) throw new Error('nothing was walked')
    return this.#proof
  }

  begins(p: Proof, subprogram: number): void {
    this.#proof = p
    this.#at = undefined
    this.#beginning = subprogram
  }

  arrives(p: Proof): void {
    if (++this.steps > this.#most) throw new TooLong(`${this.steps} steps`)
    const node: WalkNode = {
      index: p.index,
      frames: p.state.frames.map((frame) => ({
        registers: frame.regs.slice(),
        stack: frame.stack.slice(),
        callsite: frame.callsite,
      })),
      next: [],
      coveredBy: undefined,
      saved: undefined,
    }
    if (this.#at === undefined) this.roots.set(this.#beginning, node)
    else this.#at.next.push(node)
    this.#before = this.#at
    this.#at = node
  }

  saves(saved: State): void {
    const at = this.#at as WalkNode
    at.saved = saved
    this.#saved.set(saved, at)
  }

  prunes(by: State, covered?: State): void {
    const step = this.#at as WalkNode
    step.coveredBy = this.#saved.get(by) as WalkNode
    if (covered !== undefined) this.#cut.set(covered, { step, before: this.#before as WalkNode })
  }

  uncovers(covered: State): void {
    const { step, before } = this.#cut.get(covered) as { step: WalkNode; before: WalkNode }
    before.next.splice(before.next.indexOf(step), 1)
    this.#queued.set(covered, before)
  }

  queues(queued: State): void {
    this.#queued.set(queued, this.#at as WalkNode)
  }

  resumes(queued: State): void {
    this.#at = this.#queued.get(queued)
    this.#queued.delete(queued)
  }
}
