/**
 * syscount: which system calls a kernel serves, and how often, by whom, with what errors and in what time.
 *
 * The programs (bpf/syscount.bpf.c) count in per-CPU maps; this reads and adds up. Nothing is ever cleared in the
 * kernel, as a counter that is cleared while programs add to it loses what came between: `reset` remembers where
 * the counters stood, and `snapshot` gives what was added since.
 */

import type { Syscalls } from '../abi/index.ts'
import {
  AttachError,
  type Collection,
  type Links,
  LoadError,
  load,
  type MapHandle,
  ObjectError,
  openObject,
} from '../client/index.ts'
import { syscallNames } from './syscall-names.ts'

export interface SyscountOptions {
  /** Only this process. */
  readonly pid?: number | undefined
  /** Only calls that fail. */
  readonly failedOnly?: boolean
  /** Count by process, too. */
  readonly byProcess?: boolean
  /** Names of system calls by number. Default: Linux's for riscv64. */
  readonly names?: ReadonlyMap<number, string>
}

/** Counters of calls that returned (`errors`, `timeNs`) or began (`count`). */
export interface Totals {
  readonly count: number
  /** Calls that returned a negative number. */
  readonly errors: number
  /** From entry to return, all calls together, in nanoseconds of the kernel's clock. */
  readonly timeNs: number
}

export interface CallTotals extends Totals {
  readonly number: number
  /** `syscall 1234` where the number has no name. */
  readonly name: string
}

export interface ProcessTotals extends Totals {
  readonly pid: number
  readonly comm: string
}

export interface SyscountSnapshot {
  /** Calls that happened, most frequent first. */
  readonly calls: readonly CallTotals[]
  /** Processes that made calls, busiest first; empty without `byProcess`. */
  readonly processes: readonly ProcessTotals[]
  readonly total: Totals
  /** Calls that no process could be given, because there were too many. */
  readonly lost: number
}

const TOTALS_BYTES = 24
const COMM_BYTES = 16
const NOTHING: Totals = { count: 0, errors: 0, timeNs: 0 }

/** A tracing of system calls: counts from `start` to `detach`. */
export class Syscount implements Disposable {
  readonly #collection: Collection
  readonly #links: Links
  readonly #names: ReadonlyMap<number, string>
  /** Where the counters stood at the last `reset`. */
  #base: SyscountSnapshot | undefined

  private constructor(collection: Collection, links: Links, names: ReadonlyMap<number, string>) {
    this.#collection = collection
    this.#links = links
    this.#names = names
  }

  /** Loads `object` (bpf/syscount.bpf.o) into a kernel and attaches it; counting has begun. */
  static start(
    object: Uint8Array,
    syscalls: Syscalls,
    options: SyscountOptions = {},
  ): Syscount | ObjectError | LoadError | AttachError {
    const spec = openObject(object, { name: 'syscount' })
    if (spec instanceof ObjectError) return spec
    const collection = load(spec, syscalls, {
      globals: {
        target_pid: options.pid ?? 0,
        failed_only: options.failedOnly ?? false,
        by_process: options.byProcess ?? false,
      },
    })
    if (collection instanceof LoadError) return collection
    const links = collection.attach()
    if (links instanceof AttachError) {
      collection[Symbol.dispose]()
      return links
    }
    return new Syscount(collection, links, options.names ?? syscallNames())
  }

  /** What was counted since `reset`, or since the start. */
  snapshot(): SyscountSnapshot {
    const now = this.#read()
    return this.#base === undefined ? now : snapshotDifference(now, this.#base)
  }

  /** Lets `snapshot` count from now on. */
  reset(): void {
    this.#base = this.#read()
  }

  /** Ends the counting; what was counted can still be read. */
  detach(): void {
    this.#links[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    this.#links[Symbol.dispose]()
    this.#collection[Symbol.dispose]()
  }

  #read(): SyscountSnapshot {
    return snapshotOf(this.#readCalls(), this.#readProcesses(), Number(this.#collection.globals.get('lost')))
  }

  #nameOf(number: number): string {
    const name = this.#names.get(number)
    if (name !== undefined) return name
    // The last row counts every number past the table.
    return number === this.#collection.map('calls').maxEntries - 1 ? '[other]' : `[${number}]`
  }

  #readCalls(): CallTotals[] {
    const { handle } = this.#collection.map('calls')
    return Array.from({ length: handle.maxEntries }, (_, number) => ({
      number,
      name: this.#nameOf(number),
      ...sumOverCpus(lookup(handle, number), TOTALS_BYTES),
    }))
  }

  #readProcesses(): ProcessTotals[] {
    const { handle } = this.#collection.map('processes')
    return Array.from(this.#collection.map<number>('processes').keys(), (pid) => {
      const value = lookup(handle, pid)
      const stride = TOTALS_BYTES + COMM_BYTES
      return { pid, comm: commIn(value, stride), ...sumOverCpus(value, stride) }
    })
  }
}

/** What `later` counted and `earlier` had not. */
export function snapshotDifference(later: SyscountSnapshot, earlier: SyscountSnapshot): SyscountSnapshot {
  const calls = new Map(earlier.calls.map((row) => [row.number, row]))
  const processes = new Map(earlier.processes.map((row) => [row.pid, row]))
  return snapshotOf(
    later.calls.map((row) => ({ ...row, ...minus(row, calls.get(row.number) ?? NOTHING) })),
    later.processes.map((row) => ({ ...row, ...minus(row, processes.get(row.pid) ?? NOTHING) })),
    later.lost - earlier.lost,
  )
}

function snapshotOf(calls: CallTotals[], processes: ProcessTotals[], lost: number): SyscountSnapshot {
  return {
    calls: calls.filter(isSomething).sort((a, b) => b.count - a.count || a.number - b.number),
    processes: processes.filter(isSomething).sort((a, b) => b.count - a.count || a.pid - b.pid),
    total: calls.reduce(plus, NOTHING),
    lost,
  }
}

/** The bytes of a value, or none where there is no such key. */
function lookup(handle: MapHandle, number: number): Uint8Array {
  const key = new Uint8Array(4)
  new DataView(key.buffer).setUint32(0, number, true)
  const value = handle.lookup(key)
  return typeof value === 'number' ? new Uint8Array(0) : value
}

function sumOverCpus(value: Uint8Array, stride: number): Totals {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength)
  let sum = NOTHING
  for (let at = 0; at < value.length; at += stride) {
    const count = u64(view, at)
    const errors = u64(view, at + 8)
    const timeNs = u64(view, at + 16)
    if (count > 0 || errors > 0 || timeNs > 0) sum = plus(sum, { count, errors, timeNs })
  }
  return sum
}

/** The name on the CPU where the process made most calls: the others may hold an older one, or none. */
function commIn(value: Uint8Array, stride: number): string {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength)
  let busiest = 0
  for (let at = 0; at < value.length; at += stride) if (u64(view, at) > u64(view, busiest)) busiest = at
  const bytes = value.slice(busiest + TOTALS_BYTES, busiest + TOTALS_BYTES + COMM_BYTES)
  const end = bytes.indexOf(0)
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end))
}

/** Exact up to 2^53. */
const u64 = (view: DataView, at: number): number =>
  view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000

const plus = (a: Totals, b: Totals): Totals => ({
  count: a.count + b.count,
  errors: a.errors + b.errors,
  timeNs: a.timeNs + b.timeNs,
})

const minus = (a: Totals, b: Totals): Totals => ({
  count: a.count - b.count,
  errors: a.errors - b.errors,
  timeNs: a.timeNs - b.timeNs,
})

const isSomething = ({ count, errors, timeNs }: Totals): boolean => count > 0 || errors > 0 || timeNs > 0
