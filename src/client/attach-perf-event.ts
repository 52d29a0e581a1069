/**
 * Programs of perf events (`perf_event`): one run for so many events, or so often a second, as profilers have it.
 *
 * Source: perf_event_open(2); enum perf_sw_ids of include/uapi/linux/perf_event.h.
 */
import {
  errnoName,
  PERF_ATTR_DISABLED,
  PERF_ATTR_FREQUENCY,
  PERF_FLAG_FD_CLOEXEC,
  PERF_TYPE,
  perfEventAttr,
  type Syscalls,
} from '../abi/index.ts'
import { AttachError } from './errors.ts'
import type { Link } from './link.ts'
import { Descriptor, UserBuffer } from './owner.ts'
import { linkPerfEvent } from './perf-event-link.ts'

/** What the kernel itself counts; `config` of PERF_TYPE_SOFTWARE. */
const SOFTWARE_EVENTS = {
  'cpu-clock': 0n,
  'task-clock': 1n,
  'page-faults': 2n,
  'context-switches': 3n,
  'cpu-migrations': 4n,
  'minor-faults': 5n,
  'major-faults': 6n,
  'alignment-faults': 7n,
  'emulation-faults': 8n,
  dummy: 9n,
  'bpf-output': 10n,
  'cgroup-switches': 11n,
} as const

/** The name of one of the kernel's own events. */
export const softwareEventName = (config: bigint): string | undefined =>
  Object.entries(SOFTWARE_EVENTS).find(([, value]) => value === config)?.[0]

/** What is counted, where, and how often the program runs. */
export interface PerfEventPlace {
  readonly kind: 'perfEvent'
  /** One of the kernel's own, or `type` and `config` of struct perf_event_attr. */
  readonly event: keyof typeof SOFTWARE_EVENTS | { readonly type: number; readonly config: bigint }
  /** A run for so many events (of a clock: nanoseconds), or so many runs a second. */
  readonly every: { readonly events: bigint } | { readonly timesASecond: number }
  /** Default: all. */
  readonly pid?: number
  /** An event of all processes is one CPU's. Default: 0 for those, all for those of a process. */
  readonly cpu?: number
}

export interface PerfEventAttachment {
  readonly program: string
  readonly programFd: number
  readonly target: PerfEventPlace
  readonly cookie?: bigint
}

export function attachPerfEvent(syscalls: Syscalls, attachment: PerfEventAttachment): Link | AttachError {
  const { program, programFd, target, cookie = 0n } = attachment
  const { event, every, pid = -1, cpu = pid === -1 ? 0 : -1 } = target
  const { type, config } =
    typeof event === 'string' ? { type: PERF_TYPE.PERF_TYPE_SOFTWARE, config: SOFTWARE_EVENTS[event] } : event
  const name = typeof event === 'string' ? event : `event ${type}:${config}`
  const where = `${name} of ${pid === -1 ? `CPU ${cpu}` : `process ${pid}`}`
  const isRate = 'timesASecond' in every
  using attr = UserBuffer.of(
    syscalls.memory,
    perfEventAttr.encode({
      type,
      config,
      size: perfEventAttr.size,
      sample_period: isRate ? BigInt(Math.round(every.timesASecond)) : every.events,
      flags: PERF_ATTR_DISABLED | (isRate ? PERF_ATTR_FREQUENCY : 0n),
    }),
  )
  const fd = syscalls.perfEventOpen(attr.pointer, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC)
  if (fd < 0) {
    const message = `attaching '${program}' to ${where}: perf_event_open: ${errnoName(fd)}`
    return new AttachError('refused', program, where, message, -fd)
  }
  const opened = new Descriptor(syscalls, fd)
  return linkPerfEvent(syscalls, { program, programFd, event: opened, target, where, cookie })
}
