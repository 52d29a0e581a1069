/**
 * kprobes and kretprobes, attached as libbpf attaches them.
 *
 * The kprobe PMU's number and the bit that asks for a return probe are read from sysfs; perf_event_open(2)
 * makes the probe; BPF_LINK_CREATE binds the program to it (ioctl PERF_EVENT_IOC_SET_BPF on kernels before
 * 5.15, which have no such link); PERF_EVENT_IOC_ENABLE arms it.
 *
 * Source: Documentation/ABI/testing/sysfs-bus-event_source-devices-format; perf_event_open(2).
 */
import {
  BPF_ATTACH_TYPE,
  BPF_CMD,
  EACCES,
  EINVAL,
  ENOENT,
  EOPNOTSUPP,
  EPERM,
  errnoName,
  linkCreatePerfEventAttr,
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_SET_BPF,
  PERF_FLAG_FD_CLOEXEC,
  perfEventAttr,
  type Syscalls,
} from '../abi/index.ts'
import { bpf, readTextFile } from './calls.ts'
import { AttachError } from './errors.ts'
import type { Link } from './link.ts'
import { Descriptor, Owner, UserBuffer } from './owner.ts'
import type { AttachTarget } from './spec/index.ts'

const PMU = '/sys/bus/event_source/devices/kprobe'

export type KprobeTarget = Extract<AttachTarget, { kind: 'kprobe' }>

export interface KprobeAttachment {
  readonly program: string
  readonly programFd: number
  readonly target: KprobeTarget
  /** What bpf_get_attach_cookie() returns. */
  readonly cookie?: bigint
}

export function attachKprobe(syscalls: Syscalls, attachment: KprobeAttachment): Link | AttachError {
  const { program, programFd, target, cookie = 0n } = attachment
  const { symbol, offset, isReturn } = target
  const where = offset === 0 ? symbol : `${symbol}+0x${offset.toString(16)}`
  const fail = (code: AttachError['code'], message: string, errno?: number) =>
    new AttachError(code, program, where, message, errno)

  const type = numberIn(readTextFile(syscalls, `${PMU}/type`), /^(\d+)\s*$/)
  if (type === undefined) {
    return fail('no-kprobes', `the kernel offers no kprobes: ${PMU}/type cannot be read`)
  }
  let config = 0n
  if (isReturn) {
    const bit = numberIn(readTextFile(syscalls, `${PMU}/format/retprobe`), /^config:(\d+)\s*$/)
    if (bit === undefined)
      return fail('no-kprobes', `the kernel offers no kretprobes: ${PMU}/format/retprobe`)
    config = 1n << BigInt(bit)
  }

  using owner = new Owner()
  const event = openEvent(syscalls, { type, config, symbol, offset })
  if (event < 0) {
    return event === -ENOENT
      ? fail('unknown-symbol', `the kernel has no function '${symbol}'`, ENOENT)
      : fail('refused', `${isReturn ? 'kretprobe' : 'kprobe'} at ${where}: ${refusal(event, offset)}`, -event)
  }
  const eventFd = owner.own(new Descriptor(syscalls, event)).fd

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
    return fail(
      'refused',
      `attaching '${program}' to ${where}: BPF_LINK_CREATE: ${errnoName(created)}`,
      -created,
    )
  } else {
    const set = syscalls.ioctl(eventFd, PERF_EVENT_IOC_SET_BPF, BigInt(programFd))
    if (set < 0) {
      return fail(
        'refused',
        `attaching '${program}' to ${where}: PERF_EVENT_IOC_SET_BPF: ${errnoName(set)}`,
        -set,
      )
    }
  }
  const enabled = syscalls.ioctl(eventFd, PERF_EVENT_IOC_ENABLE, 0n)
  if (enabled < 0) {
    return fail('refused', `enabling the probe at ${where}: ${errnoName(enabled)}`, -enabled)
  }
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

function openEvent(
  syscalls: Syscalls,
  event: { readonly type: number; readonly config: bigint; readonly symbol: string; readonly offset: number },
): number {
  using name = UserBuffer.ofString(syscalls.memory, event.symbol)
  using attr = UserBuffer.of(
    syscalls.memory,
    perfEventAttr.encode({
      type: event.type,
      size: perfEventAttr.size,
      config: event.config,
      config1: name.pointer,
      config2: BigInt(event.offset),
    }),
  )
  return syscalls.perfEventOpen(attr.pointer, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)
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

function numberIn(text: string | number, form: RegExp): number | undefined {
  const match = typeof text === 'string' ? form.exec(text.trimEnd()) : null
  return match?.[1] === undefined ? undefined : Number(match[1])
}
