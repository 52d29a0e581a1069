/** From a target to the way in which programs are attached there. */
import { BPF_ATTACH_TYPE, type Syscalls } from '../abi/index.ts'
import { attachIterator, type IteratorScope } from './attach-iterator.ts'
import { attachKprobe } from './attach-kprobe.ts'
import { attachKprobeMulti } from './attach-kprobe-multi.ts'
import { attachKsyscall } from './attach-ksyscall.ts'
import { attachPerfEvent, type PerfEventPlace } from './attach-perf-event.ts'
import { attachToPlace, type Place } from './attach-place.ts'
import { attachRawTracepoint, attachTracepoint } from './attach-tracepoint.ts'
import { attachTracing } from './attach-tracing.ts'
import { attachUprobe } from './attach-uprobe.ts'
import { attachUprobeMulti } from './attach-uprobe-multi.ts'
import { AttachError } from './errors.ts'
import type { Link } from './link.ts'
import type { AttachTarget, ProgramSpec } from './spec/index.ts'
import { attachUsdt } from './usdt/attach-usdt.ts'
import type { UsdtSpecs } from './usdt/specs.ts'

export interface AttachOptions {
  /** uprobes, USDT: the one process to probe, 0 for the caller's own. Default: all. */
  readonly pid?: number
  /** What bpf_get_attach_cookie() returns in the program; of USDT programs, bpf_usdt_cookie(). */
  readonly cookie?: bigint
  /** One cookie for each of the `symbols` of a target that names several. */
  readonly cookies?: readonly bigint[]
  /**
   * freplace: the program whose function is replaced, of the same kind as the one that it was loaded for. Default: that
   * one, until it was attached there.
   */
  readonly targetProgram?: { readonly fd: number }
  /** Iterators: what of the kernel is walked. Default: all that there is. */
  readonly over?: IteratorScope
}

export interface ProgramToAttach {
  readonly spec: ProgramSpec
  readonly fd: number
  /** Where its object keeps what USDT programs know of their arguments. */
  readonly usdt?: UsdtSpecs | undefined
}

export function attachProgram(
  syscalls: Syscalls,
  { spec, fd, usdt }: ProgramToAttach,
  target: AttachTarget | Place | PerfEventPlace,
  options: AttachOptions,
): Link | AttachError {
  const { name, section, definition } = spec
  const common = { program: name, programFd: fd, ...options }
  switch (target.kind) {
    case 'kprobe':
      return attachKprobe(syscalls, { ...common, target })
    case 'kprobeMulti':
      return attachKprobeMulti(syscalls, { ...common, target })
    case 'ksyscall':
      return attachKsyscall(syscalls, { ...common, target })
    case 'tracepoint':
      return attachTracepoint(syscalls, { ...common, target })
    case 'rawTracepoint':
      return attachRawTracepoint(syscalls, { ...common, target })
    case 'btf': {
      const { expectedAttachType: attachType, programType } = definition
      if (attachType === BPF_ATTACH_TYPE.BPF_TRACE_ITER)
        return attachIterator(syscalls, { ...common, target })
      return attachTracing(syscalls, { ...common, target, attachType, programType })
    }
    case 'tcx':
    case 'netkit':
    case 'xdp':
    case 'cgroup':
    case 'netns':
    case 'netfilter':
    case 'sockmap':
      return attachToPlace(syscalls, { ...common, target, attachType: definition.expectedAttachType })
    case 'perfEvent':
      return attachPerfEvent(syscalls, { ...common, target })
    case 'none':
      return new AttachError(
        'no-target',
        name,
        section,
        `program '${name}': section '${section}' does not say where to attach; name a place`,
      )
    case 'invalid':
      return new AttachError(
        'bad-target',
        name,
        section,
        `program '${name}': section '${section}': expected ${target.expected}, found '${target.text}'`,
      )
    case 'uprobe':
      if (!target.isMulti) return attachUprobe(syscalls, { ...common, target })
      return attachUprobeMulti(syscalls, { ...common, target })
    case 'usdt':
      return attachUsdt(syscalls, { ...common, target, specs: usdt })
    case 'structOps':
      return new AttachError(
        'no-target',
        name,
        section,
        `program '${name}' (${section}) is a function of a struct: attach the struct (Collection.structOps)`,
      )
    default: {
      const unreachable: never = target
      throw new Error(`no such target: ${JSON.stringify(unreachable)}`)
    }
  }
}
