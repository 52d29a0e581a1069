/**
 * Tracing programs and extensions, and the functions that they go to: of the kernel, or of another program.
 *
 * Source: bpf_tracing_prog_attach() of kernel/bpf/syscall.c, bpf_trampoline_link_prog() of kernel/bpf/trampoline.c of
 * Linux.
 */
import {
  BPF_ATTACH_TYPE,
  BPF_PROG_TYPE,
  EBUSY,
  EINVAL,
  ENOTSUPP,
  linkCreateTracingAttr,
} from '../../abi/index.ts'
import type { KernelCore } from '../core.ts'
import type { LinkObject } from '../link-object.ts'
import type { ProgramObject } from '../program-object.ts'
import { checkOtherTarget } from '../program-target.ts'
import { traceFunction } from '../traced-function.ts'
import { type TracingBinding, TracingLink } from '../tracing-link.ts'
import { Trampoline } from '../trampoline.ts'
import type { BpfCall } from './call.ts'
import { programOf } from './descriptors.ts'

const { BPF_PROG_TYPE_EXT } = BPF_PROG_TYPE
const ON_FUNCTIONS: readonly number[] = [
  BPF_ATTACH_TYPE.BPF_TRACE_FENTRY,
  BPF_ATTACH_TYPE.BPF_TRACE_FEXIT,
  BPF_ATTACH_TYPE.BPF_MODIFY_RETURN,
]

/** Where a program is to go. */
interface Place {
  readonly attachType: number
  readonly cookie: bigint
  /** A function of another program than the one that it was proved for; absent: what was named then. */
  readonly other?: { readonly program: ProgramObject; readonly btfId: number }
}

/** BPF_LINK_CREATE: the link, or -errno. */
export function linkToFunction(
  { core, process, attr: bytes }: BpfCall,
  program: ProgramObject,
): LinkObject | number {
  const attr = linkCreateTracingAttr.read(bytes)
  const { target_fd, target_btf_id: btfId, cookie, attach_type: attachType } = attr
  const isExtension = program.loaded.type.type === BPF_PROG_TYPE_EXT
  if (!isExtension && !ON_FUNCTIONS.includes(program.loaded.expectedAttachType)) return -EINVAL
  if ((target_fd !== 0) !== (btfId !== 0)) return -EINVAL
  if (target_fd === 0) return traceWith(core, program, { attachType, cookie })
  // What is traced cannot change.
  if (!isExtension) return -EINVAL
  const other = programOf(process, target_fd)
  if (typeof other === 'number') return other
  return traceWith(core, program, { attachType, cookie, other: { program: other, btfId } })
}

/** The same for BPF_RAW_TRACEPOINT_OPEN, which names no place. */
export function traceWith(core: KernelCore, program: ProgramObject, place: Place): LinkObject | number {
  const { attach } = program.loaded
  if (attach?.isProgram === true) return attachToProgram(core, program, place)
  const { expectedAttachType } = program.loaded
  // A probe cannot stand for a function that it is to keep from running.
  if (expectedAttachType === BPF_ATTACH_TYPE.BPF_MODIFY_RETURN) return -ENOTSUPP
  for (const link of core.links.values()) {
    if (link instanceof TracingLink && link.program === program) return -EBUSY
  }
  const { attachType, cookie } = place
  const probe = traceFunction(core, program, cookie)
  if (typeof probe === 'number') return probe
  const binding: TracingBinding = {
    attachType,
    targetId: core.kernelBtf?.id ?? 0,
    targetBtfId: attach?.btfId ?? 0,
    cookie,
    release: () => probe.unregister(),
  }
  return core.newLink(TracingLink, program, binding)
}

function attachToProgram(core: KernelCore, program: ProgramObject, place: Place): LinkObject | number {
  const { attach } = program.loaded
  const known = program.target
  const target = place.other?.program ?? known
  // Once attached, a program has to be told where to go; what only traces cannot be.
  if (attach === undefined || target === undefined) return -EINVAL
  const btfId = place.other?.btfId ?? attach.btfId
  if (target !== known || btfId !== attach.btfId) {
    const error = checkOtherTarget(program.loaded, target.loaded, btfId)
    if (error !== 0) return error
  }
  const trampoline = Trampoline.of(target, btfId, core.runner)
  if (trampoline === undefined) return -EINVAL
  const { attachType, cookie } = place
  const error = trampoline.attach(program, cookie)
  if (error !== 0) return error
  target.get()
  program.forgetTarget()
  const binding: TracingBinding = {
    attachType,
    targetId: target.id,
    targetBtfId: btfId,
    cookie,
    release() {
      trampoline.detach(program)
      target.put()
    },
  }
  return core.newLink(TracingLink, program, binding)
}
