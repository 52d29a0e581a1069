/**
 * One program at many functions of the kernel, by one link: kprobe.multi, kretprobe.multi, kprobe.session.
 *
 * Functions go by address, since several may have one name; where the kernel hides addresses, or the caller gives names,
 * they go by name.
 *
 * Source: bpf_kprobe_multi_link_attach() of kernel/trace/bpf_trace.c of Linux.
 */
import {
  BPF_ATTACH_TYPE,
  BPF_CMD,
  BPF_F_KPROBE_MULTI_RETURN,
  EACCES,
  EINVAL,
  EOPNOTSUPP,
  EPERM,
  ESRCH,
  errnoName,
  linkCreateKprobeMultiAttr,
  type Syscalls,
} from '../abi/index.ts'
import { bpf } from './calls.ts'
import { AttachError } from './errors.ts'
import { functionsMatching } from './kernel-functions.ts'
import { type Link, linkOf } from './link.ts'
import { Owner, UserBuffer } from './owner.ts'
import type { AttachTarget } from './spec/index.ts'

export type KprobeMultiTarget = Extract<AttachTarget, { kind: 'kprobeMulti' }>

export interface KprobeMultiAttachment {
  readonly program: string
  readonly programFd: number
  readonly target: KprobeMultiTarget
  /** What bpf_get_attach_cookie() returns, at all of them. */
  readonly cookie?: bigint
  /** What it returns at each of the target's `symbols`. */
  readonly cookies?: readonly bigint[]
}

/** Functions by address or by name. */
type Places =
  | { readonly kind: 'addresses'; readonly all: readonly bigint[] }
  | { readonly kind: 'names'; readonly all: readonly string[] }

export function attachKprobeMulti(syscalls: Syscalls, attachment: KprobeMultiAttachment): Link | AttachError {
  const { program, programFd, target, cookie = 0n, cookies } = attachment
  const where = target.symbols?.join(', ') ?? target.pattern
  const what = target.isSession ? 'kprobe.session' : target.isReturn ? 'kretprobe.multi' : 'kprobe.multi'
  const fail = (code: AttachError['code'], why: string, errno?: number) =>
    new AttachError(code, program, where, `${what} at ${where}: ${why}`, errno)
  const places = placesOf(syscalls, target)
  if (places.all.length === 0) return fail('unknown-symbol', 'the kernel has no such function')
  if (cookies !== undefined && cookies.length !== target.symbols?.length) {
    return fail(
      'bad-target',
      `${cookies.length} cookies for ${target.symbols?.length ?? 'an unknown number of'} symbols`,
    )
  }
  const perPlace = cookies ?? (cookie === 0n ? undefined : places.all.map(() => cookie))

  using owner = new Owner()
  const put = (buffer: UserBuffer) => owner.own(buffer).pointer
  const words = (values: readonly bigint[]) => put(UserBuffer.ofWords(syscalls.memory, values))
  const { BPF_TRACE_KPROBE_MULTI, BPF_TRACE_KPROBE_SESSION } = BPF_ATTACH_TYPE
  const attr = linkCreateKprobeMultiAttr.encode({
    prog_fd: programFd,
    attach_type: target.isSession ? BPF_TRACE_KPROBE_SESSION : BPF_TRACE_KPROBE_MULTI,
    flags: target.isReturn ? BPF_F_KPROBE_MULTI_RETURN : 0,
    cnt: places.all.length,
    ...(places.kind === 'addresses'
      ? { addrs: words(places.all) }
      : { syms: words(places.all.map((name) => put(UserBuffer.ofString(syscalls.memory, name)))) }),
    ...(perPlace === undefined ? {} : { cookies: words(perPlace) }),
  })
  const fd = bpf(syscalls, BPF_CMD.BPF_LINK_CREATE, attr)
  if (fd >= 0) return linkOf(syscalls, { program, target, fd })
  return fd === -ESRCH
    ? fail('unknown-symbol', 'the kernel has no such function, or several of one name', ESRCH)
    : fail('refused', refusal(fd, what), -fd)
}

function placesOf(syscalls: Syscalls, target: KprobeMultiTarget): Places {
  const { symbols, pattern } = target
  if (symbols !== undefined) return { kind: 'names', all: symbols }
  const functions = functionsMatching(syscalls, pattern)
  // A kernel that tells nothing knows a name all the same.
  if (functions === undefined) return { kind: 'names', all: /[*?]/.test(pattern) ? [] : [pattern] }
  if (functions.every(({ address }) => address !== 0n)) {
    return { kind: 'addresses', all: functions.map(({ address }) => address) }
  }
  return { kind: 'names', all: [...new Set(functions.map(({ name }) => name))] }
}

function refusal(result: number, what: string): string {
  const name = errnoName(result)
  switch (-result) {
    case EOPNOTSUPP:
      return `${name}: the kernel has no ${what} links`
    case EINVAL:
      return `${name}: one of the functions cannot be probed, or the kernel has no ${what} links`
    case EPERM:
    case EACCES:
      return `${name}: not allowed`
    default:
      return name
  }
}
