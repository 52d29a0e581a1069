/**
 * kprobes and kretprobes, attached as libbpf attaches them.
 *
 * The kprobe PMU's number and the bit that asks for a return probe are read from sysfs; perf_event_open(2)
 * makes the probe, and a link binds the program to it (`perf-event-link.ts`).
 *
 * Source: Documentation/ABI/testing/sysfs-bus-event_source-devices-format; perf_event_open(2).
 */
import { EACCES, EINVAL, ENOENT, EPERM, errnoName, type Syscalls } from '../abi/index.ts'
import { AttachError } from './errors.ts'
import type { Link } from './link.ts'
import { Descriptor, UserBuffer } from './owner.ts'
import { CONFIG_BIT, linkPerfEvent, numberInFile, openProbeEvent } from './perf-event-link.ts'
import type { AttachTarget } from './spec/index.ts'

const PMU = '/sys/bus/event_source/devices/kprobe'

export type KprobeTarget = Extract<AttachTarget, { kind: 'kprobe' }>

export interface KprobeAttachment {
  readonly program: string
  readonly programFd: number
  readonly target: KprobeTarget
  /** What the link tells of; default: the target. */
  readonly linkTarget?: AttachTarget
  /** What bpf_get_attach_cookie() returns. */
  readonly cookie?: bigint
}

/** Attaches a loaded program to a function of the kernel, or to its return. Closing the link detaches it. */
export function attachKprobe(syscalls: Syscalls, attachment: KprobeAttachment): Link | AttachError {
  const { program, programFd, target, linkTarget = target, cookie = 0n } = attachment
  const { symbol, offset, isReturn } = target
  const where = offset === 0 ? symbol : `${symbol}+0x${offset.toString(16)}`
  const fail = (code: AttachError['code'], message: string, errno?: number) =>
    new AttachError(code, program, where, message, errno)

  const type = numberInFile(syscalls, `${PMU}/type`)
  if (type === undefined) {
    return fail('no-kprobes', `the kernel offers no kprobes: ${PMU}/type cannot be read`)
  }
  let config = 0n
  if (isReturn) {
    const bit = numberInFile(syscalls, `${PMU}/format/retprobe`, CONFIG_BIT)
    if (bit === undefined)
      return fail('no-kprobes', `the kernel offers no kretprobes: ${PMU}/format/retprobe`)
    config = 1n << BigInt(bit)
  }

  const fd = openKprobe(syscalls, type, config, symbol, offset)
  if (fd < 0) {
    return fd === -ENOENT
      ? fail('unknown-symbol', `the kernel has no function '${symbol}'`, ENOENT)
      : fail('refused', `${isReturn ? 'kretprobe' : 'kprobe'} at ${where}: ${refusal(fd, offset)}`, -fd)
  }
  const event = new Descriptor(syscalls, fd)
  return linkPerfEvent(syscalls, { program, programFd, event, target: linkTarget, where, cookie })
}

function openKprobe(
  syscalls: Syscalls,
  type: number,
  config: bigint,
  symbol: string,
  offset: number,
): number {
  using name = UserBuffer.ofString(syscalls.memory, symbol)
  return openProbeEvent(syscalls, { type, config, config1: name.pointer, config2: BigInt(offset) })
}

function refusal(result: number, offset: number): string {
  const name = errnoName(result)
  switch (-result) {
    case EINVAL:
      return `${name}: the function cannot be probed${offset === 0 ? '' : ', or the offset is outside of it'}`
    case EPERM:
    case EACCES:
      return `${name}: not allowed`
    default:
      return `${name}${name === 'EILSEQ' ? ': the offset is in the middle of an instruction' : ''}`
  }
}
