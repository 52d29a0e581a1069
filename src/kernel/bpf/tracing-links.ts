/**
 * Tracing programs and the function that each was loaded for.
 *
 * Source: bpf_tracing_prog_attach() of kernel/bpf/syscall.c, bpf_trampoline_link_prog() of kernel/bpf/trampoline.c of
 * Linux.
 */
import { BPF_ATTACH_TYPE, EBUSY, EINVAL, ENOTSUPP, linkCreateTracingAttr } from '../../abi/index.ts'
import type { KernelCore } from '../core.ts'
import type { LinkObject } from '../link-object.ts'
import type { ProgramObject } from '../program-object.ts'
import { traceFunction } from '../traced-function.ts'
import { TracingLink } from '../tracing-link.ts'
import type { BpfCall } from './call.ts'

const ON_FUNCTIONS: readonly number[] = [
  BPF_ATTACH_TYPE.BPF_TRACE_FENTRY,
  BPF_ATTACH_TYPE.BPF_TRACE_FEXIT,
  BPF_ATTACH_TYPE.BPF_MODIFY_RETURN,
]

/** BPF_LINK_CREATE: the link, or -errno. */
export function linkToFunction({ core, attr: bytes }: BpfCall, program: ProgramObject): LinkObject | number {
  const { target_fd, target_btf_id, cookie } = linkCreateTracingAttr.read(bytes)
  if (!ON_FUNCTIONS.includes(program.loaded.expectedAttachType)) return -EINVAL
  if ((target_fd !== 0) !== (target_btf_id !== 0)) return -EINVAL
  // Another place than the one that it was proved for is for programs that replace functions of programs.
  if (target_fd !== 0) return -EINVAL
  return traceWith(core, program, cookie)
}

/** The same for BPF_RAW_TRACEPOINT_OPEN, which names no place either. */
export function traceWith(core: KernelCore, program: ProgramObject, cookie: bigint): LinkObject | number {
  const { expectedAttachType } = program.loaded
  // A probe cannot stand for a function that it is to keep from running.
  if (expectedAttachType === BPF_ATTACH_TYPE.BPF_MODIFY_RETURN) return -ENOTSUPP
  for (const link of core.links.values()) {
    if (link instanceof TracingLink && link.program === program) return -EBUSY
  }
  const probe = traceFunction(core, program, cookie)
  return typeof probe === 'number' ? probe : core.newLink(TracingLink, program, { probe, cookie })
}
