/**
 * Timers, work queues and task work of map values: what is to be called when, in the order of its time.
 *
 * Rules
 * - Nothing here wakes up by itself: `runDue` runs what is due by the port's clock, and is called before and after each
 *   system call and by whoever drives the operating system (`Kernel.runTimers`). So the same input gives the same order.
 * - A callback holds its program; the element that it belongs to ends it.
 * - What one callback starts anew with no delay waits for the next time.
 *
 * Source: bpf_timer, bpf_wq, bpf_task_work of kernel/bpf/helpers.c of Linux 6.18.
 */
import { EBUSY, EDEADLK, EINVAL, EPERM } from '../abi/index.ts'
import type { TimedCalls, TimedFields, TimedKind } from '../helpers/index.ts'
import type { BpfMap } from '../maps/index.ts'
import type { Arena, Grace } from '../memory/index.ts'
import type { MapObject } from './map-object.ts'
import type { Port } from './port.ts'
import type { ProgramObject } from './program-object.ts'

export interface DeferredHost {
  readonly arena: Arena
  readonly grace: Grace
  readonly port: Port
  mapObject(map: BpfMap): MapObject | undefined
  programOf(executable: object): ProgramObject | undefined
  /** A timer has become the next one that is due. */
  readonly onNext: (() => void) | undefined
  /** Calls a subprogram of the program with up to five arguments. */
  call(program: ProgramObject, address: bigint, args: readonly bigint[]): void
}

interface Timed {
  readonly kind: TimedKind
  readonly map: MapObject
  readonly clock: 'monotonic' | 'boot'
  /** Offset of the value that it is in. */
  readonly value: number
  program: ProgramObject | undefined
  callback: bigint
  /** When it is due, by its clock; undefined while it waits for nothing. */
  dueNs: bigint | undefined
  /** Tells those apart that are due at one time: the one that was started first comes first. */
  order: number
}

export class DeferredCalls implements TimedCalls, TimedFields {
  readonly #host: DeferredHost
  readonly #byField = new Map<number, Timed>()
  readonly #waiting = new Set<Timed>()
  #running: Timed | undefined
  #isRunning = false
  #order = 0

  constructor(host: DeferredHost) {
    this.#host = host
  }

  /** How many wait for their time. */
  get size(): number {
    return this.#waiting.size
  }

  init(field: number, kind: TimedKind, map: BpfMap, clock: 'monotonic' | 'boot'): number {
    if (this.#byField.has(field)) return -EBUSY
    const object = this.#host.mapObject(map)
    const place = object?.fields.find((each) => each.kind === kind)
    if (object === undefined || place === undefined) return -EINVAL
    if (!object.hasUsers) return -EPERM
    this.#byField.set(field, {
      kind,
      map: object,
      clock,
      value: field - place.offset,
      program: undefined,
      callback: 0n,
      dueNs: undefined,
      order: 0,
    })
    return 0
  }

  setCallback(field: number, caller: object | undefined, callback: bigint): number {
    const timed = this.#byField.get(field)
    if (timed === undefined) return -EINVAL
    if (!timed.map.hasUsers) return -EPERM
    const program = caller === undefined ? undefined : this.#host.programOf(caller)
    if (program === undefined) return -EINVAL
    if (program !== timed.program) {
      timed.program?.put()
      timed.program = program.get()
    }
    timed.callback = callback
    return 0
  }

  start(field: number, ns: bigint, isAbsolute: boolean): number {
    const timed = this.#byField.get(field)
    if (timed?.program === undefined) return -EINVAL
    // A work queue that is waiting already stays in its place.
    if (timed.kind === 'wq' && timed.dueNs !== undefined) return 0
    const { port, onNext } = this.#host
    const before = this.nextNs()
    timed.dueNs = ns + (isAbsolute ? 0n : port.clockNs(timed.clock))
    timed.order = ++this.#order
    this.#waiting.add(timed)
    if (onNext !== undefined && (before === undefined || (this.nextNs() as bigint) < before)) onNext()
    return 0
  }

  cancel(field: number): number {
    const timed = this.#byField.get(field)
    if (timed === undefined) return -EINVAL
    if (timed === this.#running) return -EDEADLK
    const wasWaiting = timed.dueNs !== undefined
    this.#stop(timed)
    return wasWaiting ? 1 : 0
  }

  schedule(field: number, map: BpfMap, caller: object | undefined, callback: bigint): number {
    if (this.#byField.get(field)?.dueNs !== undefined) return -EBUSY
    if (!this.#byField.has(field)) {
      const refusal = this.init(field, 'task_work', map, 'monotonic')
      if (refusal !== 0) return refusal
    }
    const refusal = this.setCallback(field, caller, callback)
    return refusal === 0 ? this.start(field, 0n, false) : refusal
  }

  /** The member is no more. */
  end(field: number): void {
    const timed = this.#byField.get(field)
    if (timed === undefined) return
    this.#byField.delete(field)
    this.#stop(timed)
  }

  /** When the next one is due, by the port's monotonic clock; undefined: none waits. */
  nextNs(): bigint | undefined {
    const { port } = this.#host
    let next: bigint | undefined
    for (const { dueNs, clock } of this.#waiting) {
      const due =
        (dueNs as bigint) - (clock === 'boot' ? port.clockNs('boot') - port.clockNs('monotonic') : 0n)
      if (next === undefined || due < next) next = due
    }
    return next
  }

  /** Runs what is due now; not from inside of a program. */
  runDue(): void {
    if (this.#waiting.size === 0 || this.#isRunning || this.#host.grace.isRunning) return
    const { port } = this.#host
    const now = { monotonic: port.clockNs('monotonic'), boot: port.clockNs('boot') }
    const due = [...this.#waiting].filter(({ dueNs, clock }) => (dueNs as bigint) <= now[clock])
    due.sort((a, b) => {
      const [first, second] = [a.dueNs as bigint, b.dueNs as bigint]
      return first === second ? a.order - b.order : first < second ? -1 : 1
    })
    this.#isRunning = true
    try {
      for (const timed of due) this.#run(timed, timed.order)
    } finally {
      this.#isRunning = false
    }
  }

  #run(timed: Timed, order: number): void {
    const { program, callback, map, value } = timed
    // One before it may have stopped it, or started it anew.
    if (timed.dueNs === undefined || timed.order !== order || program === undefined) return
    timed.dueNs = undefined
    this.#waiting.delete(timed)
    const key = map.map.keyOfValue?.(value) ?? 0
    const { arena } = this.#host
    this.#running = timed
    program.get()
    map.get()
    try {
      this.#host.call(program, callback, [map.map.address, arena.address(key), arena.address(value)])
    } finally {
      this.#running = undefined
      map.put()
      program.put()
    }
  }

  #stop(timed: Timed): void {
    timed.dueNs = undefined
    this.#waiting.delete(timed)
    timed.program?.put()
    timed.program = undefined
  }
}
