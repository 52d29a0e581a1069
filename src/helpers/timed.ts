/**
 * Callbacks that run later: timers, work queues and task work, which live in members of map values.
 */
import type { BpfMap } from '../maps/index.ts'

export type TimedKind = 'timer' | 'wq' | 'task_work'

/** What the kernel keeps of them, by the arena offset of the member. All answers are 0 or -errno unless said otherwise. */
export interface TimedCalls {
  /** `clock`: which one a timer goes by. */
  init(field: number, kind: TimedKind, map: BpfMap, clock: 'monotonic' | 'boot'): number
  /** `caller`: whose the callback is, `HelperEnvironment.caller`. */
  setCallback(field: number, caller: object | undefined, callback: bigint): number
  /** `ns` from now, or since the clock's beginning. */
  start(field: number, ns: bigint, isAbsolute: boolean): number
  /** 1 where it was waiting, 0 where it was not. */
  cancel(field: number): number
  /** Once, as soon as what runs now has ended. */
  schedule(field: number, map: BpfMap, caller: object | undefined, callback: bigint): number
}
