/**
 * System calls by their names: ksyscall and kretsyscall programs are kprobes at the functions that do the calls.
 *
 * What these are called differs: most architectures call them through wrappers, whose only argument is the caller's
 * registers. BPF_KSYSCALL() of libbpf reads arguments either way, by LINUX_HAS_SYSCALL_WRAPPER.
 *
 * Source: include/linux/syscalls.h of Linux and asm/syscall_wrapper.h of its architectures.
 */
import type { Syscalls } from '../abi/index.ts'
import { attachKprobe } from './attach-kprobe.ts'
import { AttachError } from './errors.ts'
import type { Link } from './link.ts'
import { readTextFile } from './read-file.ts'
import type { AttachTarget } from './spec/index.ts'

export type KsyscallTarget = Extract<AttachTarget, { kind: 'ksyscall' }>

export interface KsyscallAttachment {
  readonly program: string
  readonly programFd: number
  readonly target: KsyscallTarget
  /** What bpf_get_attach_cookie() returns. */
  readonly cookie?: bigint
}

/** In the order of preference: wrappers, then functions that take the arguments themselves. */
const PREFIXES = [
  '__x64_sys_',
  '__arm64_sys_',
  '__riscv_sys_',
  '__s390x_sys_',
  '__ia32_sys_',
  '__se_sys_',
  'sys_',
  'ksys_',
]

export function attachKsyscall(syscalls: Syscalls, attachment: KsyscallAttachment): Link | AttachError {
  const { program, target } = attachment
  const { syscall, isReturn } = target
  const fail = (why: string, errno?: number) =>
    new AttachError('unknown-symbol', program, syscall, `system call '${syscall}': ${why}`, errno)
  const symbols = readTextFile(syscalls, '/proc/kallsyms')
  if (typeof symbols === 'number')
    return fail('the kernel does not tell its symbols (/proc/kallsyms)', -symbols)
  const functions = new Set(
    Array.from(symbols.matchAll(/^[0-9a-f]+ [tTwW] (\w*sys_\w+)$/gm), ([, name]) => name),
  )
  const symbol = PREFIXES.map((prefix) => prefix + syscall).find((name) => functions.has(name))
  if (symbol === undefined) {
    return fail(`the kernel has no function of a name like ${PREFIXES[0]}${syscall} or sys_${syscall}`)
  }
  const kprobe = { kind: 'kprobe', symbol, offset: 0, isReturn } as const
  return attachKprobe(syscalls, { ...attachment, target: kprobe, linkTarget: target })
}
