/**
 * Tracepoints, attached as libbpf attaches them: `tracepoint/category/name` by a perf event, `raw_tracepoint/name`
 * by BPF_RAW_TRACEPOINT_OPEN. A program is run for every process; it filters for itself.
 *
 * Source: Documentation/trace/events.rst, `id`; bpf(2).
 */
import { BPF_CMD, ENOENT, errnoName, PERF_TYPE, rawTracepointAttr, type Syscalls } from '../abi/index.ts'
import { bpf } from './calls.ts'
import { AttachError } from './errors.ts'
import type { Link } from './link.ts'
import { Descriptor, UserBuffer } from './owner.ts'
import { linkPerfEvent, numberInFile, openProbeEvent } from './perf-event-link.ts'
import type { AttachTarget } from './spec/index.ts'

/** Where tracefs is mounted, in the order of trial. */
export const TRACEFS: readonly string[] = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing']

export interface TracepointAttachment {
  readonly program: string
  readonly programFd: number
  readonly target: Extract<AttachTarget, { kind: 'tracepoint' }>
  /** What bpf_get_attach_cookie() returns. */
  readonly cookie?: bigint
}

export function attachTracepoint(syscalls: Syscalls, attachment: TracepointAttachment): Link | AttachError {
  const { program, programFd, target, cookie = 0n } = attachment
  const where = `${target.category}/${target.name}`
  let id: number | undefined
  for (const mount of TRACEFS) id ??= numberInFile(syscalls, `${mount}/events/${where}/id`)
  if (id === undefined) {
    const message = `no tracepoint '${where}': there is no ${TRACEFS[0]}/events/${where}/id (is tracefs mounted?)`
    return new AttachError('no-tracepoint', program, where, message, ENOENT)
  }
  const fd = openProbeEvent(syscalls, { type: PERF_TYPE.PERF_TYPE_TRACEPOINT, config: BigInt(id) })
  if (fd < 0) {
    return new AttachError('refused', program, where, `tracepoint ${where}: ${errnoName(fd)}`, -fd)
  }
  const event = new Descriptor(syscalls, fd)
  return linkPerfEvent(syscalls, { program, programFd, event, target, where, cookie })
}

export interface RawTracepointAttachment {
  readonly program: string
  readonly programFd: number
  readonly target: Extract<AttachTarget, { kind: 'rawTracepoint' }>
  /** What bpf_get_attach_cookie() returns; only Linux 6.10 and later take one. */
  readonly cookie?: bigint
}

export function attachRawTracepoint(
  syscalls: Syscalls,
  attachment: RawTracepointAttachment,
): Link | AttachError {
  const { program, programFd, target, cookie = 0n } = attachment
  using name = UserBuffer.ofString(syscalls.memory, target.name)
  const attr = rawTracepointAttr.encode({ name: name.pointer, prog_fd: programFd, cookie })
  // An older kernel refuses an attribute that is longer than it knows.
  const sizeBytes = cookie === 0n ? rawTracepointAttr.offsets.cookie : attr.length
  const fd = bpf(syscalls, BPF_CMD.BPF_RAW_TRACEPOINT_OPEN, attr.subarray(0, sizeBytes))
  if (fd < 0) {
    return fd === -ENOENT
      ? new AttachError(
          'no-tracepoint',
          program,
          target.name,
          `the kernel has no tracepoint '${target.name}'`,
          ENOENT,
        )
      : new AttachError(
          'refused',
          program,
          target.name,
          `raw tracepoint ${target.name}: ${errnoName(fd)}`,
          -fd,
        )
  }
  const link = new Descriptor(syscalls, fd)
  return { program, target, fd, [Symbol.dispose]: () => link[Symbol.dispose]() }
}
