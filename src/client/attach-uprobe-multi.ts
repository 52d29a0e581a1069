/**
 * One program at many functions of an executable, by one link: uprobe.multi, uretprobe.multi, uprobe.session.
 *
 * Source: bpf_uprobe_multi_link_attach() of kernel/trace/bpf_trace.c of Linux.
 */
import {
  BPF_ATTACH_TYPE,
  BPF_CMD,
  BPF_F_UPROBE_MULTI_RETURN,
  EINVAL,
  EOPNOTSUPP,
  errnoName,
  linkCreateUprobeMultiAttr,
  type Syscalls,
} from '../abi/index.ts'
import { type UprobeTarget, uprobeRefusal } from './attach-uprobe.ts'
import { bpf } from './calls.ts'
import { AttachError } from './errors.ts'
import {
  findExecutablePlace,
  findMatchingPlaces,
  type ManyPlaces,
  type PlaceFailure,
} from './executable-place.ts'
import { type Link, linkOf } from './link.ts'
import { Owner, UserBuffer } from './owner.ts'
import { readTextFile } from './read-file.ts'

export interface UprobeMultiAttachment {
  readonly program: string
  readonly programFd: number
  /** The symbol may be a pattern with `*` and `?`; an offset goes with a plain one only. */
  readonly target: UprobeTarget
  /** The one process to probe, 0 for the caller's own. Default: all. */
  readonly pid?: number
  /** What bpf_get_attach_cookie() returns, at all of them. */
  readonly cookie?: bigint
}

export function attachUprobeMulti(syscalls: Syscalls, attachment: UprobeMultiAttachment): Link | AttachError {
  const { program, programFd, target, cookie = 0n, pid } = attachment
  const where = `${target.path}:${target.symbol || `0x${target.offset.toString(16)}`}`
  const what = target.isSession ? 'uprobe.session' : target.isReturn ? 'uretprobe.multi' : 'uprobe.multi'
  const fail = (code: AttachError['code'], why: string, errno?: number) =>
    new AttachError(code, program, where, `${what} at ${where}: ${why}`, errno)
  const places = placesOf(syscalls, target)
  if ('code' in places) return fail(places.code, places.message, places.errno)
  // Here 0 stands for all processes.
  const only = pid === 0 ? ownPid(syscalls) : (pid ?? 0)
  if (only === undefined) return fail('refused', 'the own process has no number in /proc/self/stat')

  using owner = new Owner()
  const put = (buffer: UserBuffer) => owner.own(buffer).pointer
  const words = (values: readonly bigint[]) => put(UserBuffer.ofWords(syscalls.memory, values))
  const { BPF_TRACE_UPROBE_MULTI, BPF_TRACE_UPROBE_SESSION } = BPF_ATTACH_TYPE
  const attr = linkCreateUprobeMultiAttr.encode({
    prog_fd: programFd,
    attach_type: target.isSession ? BPF_TRACE_UPROBE_SESSION : BPF_TRACE_UPROBE_MULTI,
    path: put(UserBuffer.ofString(syscalls.memory, places.path)),
    offsets: words(places.fileOffsets),
    cookies: cookie === 0n ? 0n : words(places.fileOffsets.map(() => cookie)),
    cnt: places.fileOffsets.length,
    flags: target.isReturn ? BPF_F_UPROBE_MULTI_RETURN : 0,
    pid: only,
  })
  const fd = bpf(syscalls, BPF_CMD.BPF_LINK_CREATE, attr)
  return fd >= 0 ? linkOf(syscalls, { program, target, fd }) : fail('refused', refusal(fd, what), -fd)
}

function placesOf(syscalls: Syscalls, { path, symbol, offset }: UprobeTarget): ManyPlaces | PlaceFailure {
  if (symbol !== '' && offset === 0) return findMatchingPlaces(syscalls, path, symbol)
  const place = findExecutablePlace(syscalls, path, symbol, offset)
  return 'code' in place ? place : { path: place.path, fileOffsets: [place.fileOffset] }
}

function ownPid(syscalls: Syscalls): number | undefined {
  const text = readTextFile(syscalls, '/proc/self/stat')
  const digits = typeof text === 'string' ? /^\d+/.exec(text) : null
  return digits === null ? undefined : Number(digits[0])
}

function refusal(result: number, what: string): string {
  const name = errnoName(result)
  if (result === -EOPNOTSUPP) return `${name}: the kernel has no ${what} links`
  if (result === -EINVAL)
    return `${name}: one of the places cannot be probed, or the kernel has no ${what} links`
  return uprobeRefusal(result)
}
