/**
 * Which stack slots will still be read.
 *
 * Known only after the paths from a state have been walked: each instruction's reads and complete writes are collected
 * per chain of calls while walking, and slots that are read before being written are live. What is not known counts as
 * live.
 *
 * Source: kernel/bpf/liveness.c of Linux 6.18.
 */
import type { Proof } from '../proof.ts'
import type { State } from '../state/state.ts'

export class StackLiveness {
  /** Slots of frame `f` that may be read after `state`; undefined: all of them. */
  liveSlots(_p: Proof, _state: State, _f: number): ReadonlySet<number> | undefined {
    return undefined
  }
}
