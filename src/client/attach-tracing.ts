/**
 * Programs of functions and tracepoints that the kernel's types name: fentry, fexit, fmod_ret, tp_btf, lsm, freplace.
 *
 * The place was given when the program was loaded, so that a link names none. BPF_LINK_CREATE takes all of them since
 * Linux 5.19, and a cookie; to a kernel that answers EINVAL there, BPF_RAW_TRACEPOINT_OPEN without a name says the
 * same, for all but freplace.
 *
 * An extension may be attached to another program than the one that it was loaded for, and has to be told so once it was
 * attached.
 *
 * Source: link_create(), bpf_raw_tp_link_attach(), bpf_tracing_prog_attach() of kernel/bpf/syscall.c of Linux.
 */
import {
  BPF_ATTACH_TYPE,
  BPF_CMD,
  BPF_PROG_TYPE,
  EACCES,
  EBUSY,
  EINVAL,
  ENOTSUPP,
  EOPNOTSUPP,
  EPERM,
  errnoName,
  linkCreateTracingAttr,
  rawTracepointAttr,
  type Syscalls,
} from '../abi/index.ts'
import { BTF_KIND, Btf } from '../btf/index.ts'
import { bpf } from './calls.ts'
import { AttachError, SyscallError } from './errors.ts'
import { typesOfProgram } from './kernel-objects.ts'
import { type Link, linkOf } from './link.ts'
import type { AttachTarget } from './spec/index.ts'

export type TracingTarget = Extract<AttachTarget, { kind: 'btf' }>

export interface TracingAttachment {
  readonly program: string
  readonly programFd: number
  readonly target: TracingTarget
  /** What the program was loaded as. */
  readonly programType: number
  readonly attachType: number
  /** Another program than the one that it was loaded for; extensions only. */
  readonly targetProgram?: { readonly fd: number }
  /** What bpf_get_attach_cookie() returns; only fentry, fexit, fmod_ret and tp_btf have one. */
  readonly cookie?: bigint
}

const WORDS: ReadonlyMap<number, string> = new Map([
  [BPF_ATTACH_TYPE.BPF_TRACE_FENTRY, 'fentry'],
  [BPF_ATTACH_TYPE.BPF_TRACE_FEXIT, 'fexit'],
  [BPF_ATTACH_TYPE.BPF_MODIFY_RETURN, 'fmod_ret'],
  [BPF_ATTACH_TYPE.BPF_TRACE_RAW_TP, 'tp_btf'],
  [BPF_ATTACH_TYPE.BPF_LSM_MAC, 'lsm'],
])

export function attachTracing(syscalls: Syscalls, attachment: TracingAttachment): Link | AttachError {
  const { program, programFd, target, programType, attachType, cookie = 0n } = attachment
  const isReplacement = programType === BPF_PROG_TYPE.BPF_PROG_TYPE_EXT
  const what = isReplacement ? 'freplace' : (WORDS.get(attachType) ?? 'tracing')
  const where = target.module === undefined ? target.name : `${target.module}:${target.name}`
  if (attachType === BPF_ATTACH_TYPE.BPF_LSM_CGROUP) {
    const message = `lsm_cgroup at ${where}: goes to a control group; name one: { kind: 'cgroup', path }`
    return new AttachError('no-target', program, where, message)
  }
  const place = attachment.targetProgram === undefined ? {} : functionOf(syscalls, attachment)
  if (place instanceof AttachError) return place
  const attr = linkCreateTracingAttr.encode({
    prog_fd: programFd,
    attach_type: attachType,
    cookie,
    ...place,
  })
  let fd = bpf(syscalls, BPF_CMD.BPF_LINK_CREATE, attr)
  if (fd === -EINVAL && cookie === 0n && !isReplacement) {
    fd = bpf(syscalls, BPF_CMD.BPF_RAW_TRACEPOINT_OPEN, rawTracepointAttr.encode({ prog_fd: programFd }))
  }
  if (fd >= 0) return linkOf(syscalls, { program, target, fd })
  const words = isReplacement && fd === -EINVAL ? REPLACEMENT_REFUSED : refusal(fd, what, cookie)
  return new AttachError('refused', program, where, `${what} at ${where}: ${words}`, -fd)
}

const REPLACEMENT_REFUSED =
  'EINVAL: the function is of another type or program type than what it was loaded for; or it was attached before, and the option targetProgram does not say to which program it is to go'

/** The function by its name in another program: what BPF_LINK_CREATE takes. */
function functionOf(
  syscalls: Syscalls,
  { program, target, targetProgram }: TracingAttachment,
): { readonly target_fd: number; readonly target_btf_id: number } | AttachError {
  const fd = targetProgram?.fd ?? 0
  const fail = (why: string, errno?: number) =>
    new AttachError('bad-target', program, target.name, `freplace at ${target.name}: ${why}`, errno)
  const types = typesOfProgram(syscalls, fd)
  if (types === undefined) return fail('the program that it is to go to has no types (BTF)')
  if (types instanceof SyscallError) return fail(types.message, types.errno)
  if (!(types instanceof Btf)) return fail(types.message)
  const id = types.find(target.name, BTF_KIND.FUNC)
  return id === undefined
    ? fail(`the program that it is to go to has no function '${target.name}'`)
    : { target_fd: fd, target_btf_id: id }
}

function refusal(result: number, what: string, cookie: bigint): string {
  const name = errnoName(result)
  switch (-result) {
    case EPERM:
    case EACCES:
      return `${name}: not allowed, or this kernel lets nobody change its functions`
    case EBUSY:
      return `${name}: the program is attached already, or as many as can be are attached there`
    case ENOTSUPP:
    case EOPNOTSUPP:
      return `${name}: the kernel has no ${what} programs, or none for this function`
    case EINVAL:
      return `${name}: the kernel does not attach ${what} programs${cookie === 0n ? '' : ' with a cookie'}`
    default:
      return name
  }
}
