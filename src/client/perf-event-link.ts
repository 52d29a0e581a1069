/**
 * Binds a program to a perf event that probes something: kprobes, uprobes and tracepoints alike.
 *
 * BPF_LINK_CREATE does it (ioctl PERF_EVENT_IOC_SET_BPF on kernels before 5.15, which have no such link);
 * PERF_EVENT_IOC_ENABLE arms the event. Detaching disables the event before anything is closed, so that the
 * program has ended its last run when the link's disposal returns.
 *
 * Source: perf_event_open(2).
 */
import {
  BPF_ATTACH_TYPE,
  BPF_CMD,
  EINVAL,
  EOPNOTSUPP,
  errnoName,
  linkCreatePerfEventAttr,
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_SET_BPF,
  PERF_FLAG_FD_CLOEXEC,
  perfEventAttr,
  type StructValue,
  type Syscalls,
} from '../abi/index.ts'
import { bpf } from './calls.ts'
import { AttachError } from './errors.ts'
import type { Link } from './link.ts'
import { Descriptor, Owner, UserBuffer } from './owner.ts'
import { readTextFile } from './read-file.ts'

/** Which processes an event is about. */
export interface EventScope {
  /** A process, -1 for all. Default -1. */
  readonly pid?: number
}

/** perf_event_open(2) of an event that probes: a descriptor, or -errno. */
export function openProbeEvent(
  syscalls: Syscalls,
  attr: Partial<StructValue<typeof perfEventAttr>>,
  { pid = -1 }: EventScope = {},
): number {
  using buffer = UserBuffer.of(syscalls.memory, perfEventAttr.encode({ ...attr, size: perfEventAttr.size }))
  // An event of all processes belongs to a CPU; which one does not matter to a probe.
  return syscalls.perfEventOpen(buffer.pointer, pid, pid === -1 ? 0 : -1, -1, PERF_FLAG_FD_CLOEXEC)
}

export interface PerfEventBinding {
  readonly program: string
  readonly programFd: number
  /** Owned by the link from here on, and closed where binding fails. */
  readonly event: Descriptor
  readonly target: Link['target']
  /** The target, for messages. */
  readonly where: string
  /** What bpf_get_attach_cookie() returns. */
  readonly cookie: bigint
}

export function linkPerfEvent(syscalls: Syscalls, binding: PerfEventBinding): Link | AttachError {
  const { program, programFd, event, target, where, cookie } = binding
  using owner = new Owner()
  const eventFd = owner.own(event).fd
  const refused = (what: string, result: number) =>
    new AttachError('refused', program, where, `${what}: ${errnoName(result)}`, -result)

  const created = bpf(
    syscalls,
    BPF_CMD.BPF_LINK_CREATE,
    linkCreatePerfEventAttr.encode({
      prog_fd: programFd,
      target_fd: eventFd,
      attach_type: BPF_ATTACH_TYPE.BPF_PERF_EVENT,
      bpf_cookie: cookie,
    }),
  )
  if (created >= 0) {
    owner.own(new Descriptor(syscalls, created))
  } else if ((created !== -EINVAL && created !== -EOPNOTSUPP) || cookie !== 0n) {
    return refused(`attaching '${program}' to ${where}: BPF_LINK_CREATE`, created)
  } else {
    const set = syscalls.ioctl(eventFd, PERF_EVENT_IOC_SET_BPF, BigInt(programFd))
    if (set < 0) return refused(`attaching '${program}' to ${where}: PERF_EVENT_IOC_SET_BPF`, set)
  }
  const enabled = syscalls.ioctl(eventFd, PERF_EVENT_IOC_ENABLE, 0n)
  if (enabled < 0) return refused(`enabling the probe at ${where}`, enabled)
  const held = owner.release()
  let isAttached = true
  return {
    program,
    target,
    fd: created >= 0 ? created : eventFd,
    [Symbol.dispose]() {
      if (!isAttached) return
      isAttached = false
      syscalls.ioctl(eventFd, PERF_EVENT_IOC_DISABLE, 0n)
      held[Symbol.dispose]()
    },
  }
}

/** The number in a file of the kernel, alone or behind a `config:`; undefined where there is none. */
export function numberInFile(syscalls: Syscalls, path: string, form = /^(\d+)$/): number | undefined {
  const text = readTextFile(syscalls, path)
  const match = typeof text === 'string' ? form.exec(text.trimEnd()) : null
  return match?.[1] === undefined ? undefined : Number(match[1])
}

/** `config:0` in a PMU's `format/retprobe`: the bit of `config` that asks for a return probe. */
export const CONFIG_BIT = /^config:(\d+)$/
