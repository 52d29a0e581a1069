/**
 * uprobes and uretprobes, attached as libbpf attaches them: a file, an offset in it, and perhaps one process.
 *
 * Source: perf_event_open(2), "dynamic PMU: uprobe"; Documentation/trace/uprobetracer.rst.
 */
import { EACCES, EINVAL, EPERM, errnoName, type Syscalls } from '../abi/index.ts'
import { AttachError } from './errors.ts'
import { findExecutablePlace } from './executable-place.ts'
import type { Link } from './link.ts'
import { Descriptor, UserBuffer } from './owner.ts'
import {
  CONFIG_BIT,
  type EventScope,
  linkPerfEvent,
  numberInFile,
  openProbeEvent,
} from './perf-event-link.ts'
import type { AttachTarget } from './spec/index.ts'

const PMU = '/sys/bus/event_source/devices/uprobe'

export type UprobeTarget = Extract<AttachTarget, { kind: 'uprobe' }>

export interface UprobeAttachment extends EventScope {
  readonly program: string
  readonly programFd: number
  readonly target: UprobeTarget
  /** What bpf_get_attach_cookie() returns. */
  readonly cookie?: bigint
}

export function attachUprobe(syscalls: Syscalls, attachment: UprobeAttachment): Link | AttachError {
  const { program, programFd, target, cookie = 0n, pid = -1 } = attachment
  const { path, symbol, offset, isReturn } = target
  const place = symbol === '' || offset === 0 ? symbol : `${symbol}+`
  const where = `${path}:${place}${offset === 0 && symbol !== '' ? '' : `0x${offset.toString(16)}`}`
  const fail = (code: AttachError['code'], message: string, errno?: number) =>
    new AttachError(code, program, where, message, errno)

  const type = numberInFile(syscalls, `${PMU}/type`)
  if (type === undefined) {
    return fail('no-uprobes', `the kernel offers no uprobes: ${PMU}/type cannot be read`)
  }
  let config = 0n
  if (isReturn) {
    const bit = numberInFile(syscalls, `${PMU}/format/retprobe`, CONFIG_BIT)
    if (bit === undefined)
      return fail('no-uprobes', `the kernel offers no uretprobes: ${PMU}/format/retprobe`)
    config = 1n << BigInt(bit)
  }
  const found = findExecutablePlace(syscalls, path, symbol, offset)
  if ('code' in found) return fail(found.code, found.message, found.errno)

  const fd = openUprobe(syscalls, { type, config, pid, ...found })
  if (fd < 0) {
    return fail('refused', `${isReturn ? 'uretprobe' : 'uprobe'} at ${where}: ${refusal(fd)}`, -fd)
  }
  const event = new Descriptor(syscalls, fd)
  return linkPerfEvent(syscalls, { program, programFd, event, target, where, cookie })
}

function openUprobe(
  syscalls: Syscalls,
  probe: {
    readonly type: number
    readonly config: bigint
    readonly pid: number
    readonly path: string
    readonly fileOffset: bigint
  },
): number {
  const { type, config, pid, path, fileOffset } = probe
  using name = UserBuffer.ofString(syscalls.memory, path)
  return openProbeEvent(syscalls, { type, config, config1: name.pointer, config2: fileOffset }, { pid })
}

function refusal(result: number): string {
  const name = errnoName(result)
  switch (-result) {
    case EINVAL:
      return `${name}: the offset is outside of the file, or its instruction cannot be probed`
    case EPERM:
    case EACCES:
      return `${name}: not allowed`
    default:
      return name
  }
}
