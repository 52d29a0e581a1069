/**
 * uprobes and uretprobes, attached as libbpf attaches them: a file, an offset in it, and perhaps one process.
 *
 * Source: perf_event_open(2), "dynamic PMU: uprobe"; Documentation/trace/uprobetracer.rst.
 */
import { EACCES, EINVAL, EPERM, errnoName, type Syscalls } from '../abi/index.ts'
import { AttachError } from './errors.ts'
import { type ExecutablePlace, findExecutablePlace } from './executable-place.ts'
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

  const pmu = uprobePmu(syscalls, isReturn)
  if (typeof pmu === 'string') return fail('no-uprobes', pmu)
  const found = findExecutablePlace(syscalls, path, symbol, offset)
  if ('code' in found) return fail(found.code, found.message, found.errno)
  const event = openUprobe(syscalls, pmu, { ...found, pid })
  if (typeof event === 'number') {
    return fail(
      'refused',
      `${isReturn ? 'uretprobe' : 'uprobe'} at ${where}: ${uprobeRefusal(event)}`,
      -event,
    )
  }
  return linkPerfEvent(syscalls, { program, programFd, event, target, where, cookie })
}

/** How the kernel's uprobe PMU is asked. */
export interface UprobePmu {
  readonly type: number
  readonly config: bigint
}

/** The PMU, or why there are none of these probes. */
export function uprobePmu(syscalls: Syscalls, isReturn: boolean): UprobePmu | string {
  const type = numberInFile(syscalls, `${PMU}/type`)
  if (type === undefined) return `the kernel offers no uprobes: ${PMU}/type cannot be read`
  if (!isReturn) return { type, config: 0n }
  const bit = numberInFile(syscalls, `${PMU}/format/retprobe`, CONFIG_BIT)
  if (bit === undefined) return `the kernel offers no uretprobes: ${PMU}/format/retprobe`
  return { type, config: 1n << BigInt(bit) }
}

/** Where in `config` the file offset of a counter stands that the kernel raises while the probe is there. */
const COUNTER_SHIFT = 32n

/** An event at a byte of a file, or -errno. */
export function openUprobe(
  syscalls: Syscalls,
  pmu: UprobePmu,
  probe: ExecutablePlace & EventScope & { readonly counterFileOffset?: bigint },
): Descriptor | number {
  const { path, fileOffset, counterFileOffset = 0n, pid = -1 } = probe
  using name = UserBuffer.ofString(syscalls.memory, path)
  const config = pmu.config | (counterFileOffset << COUNTER_SHIFT)
  const attr = { type: pmu.type, config, config1: name.pointer, config2: fileOffset }
  const fd = openProbeEvent(syscalls, attr, { pid })
  return fd < 0 ? fd : new Descriptor(syscalls, fd)
}

/** What an errno of perf_event_open(2) means there. */
export function uprobeRefusal(result: number): string {
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
