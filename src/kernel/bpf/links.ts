/** BPF_LINK_*. Source: link_create(), link_update(), bpf_perf_link_attach() of kernel/bpf/syscall.c of Linux. */
import {
  BPF_ATTACH_TYPE,
  BPF_PROG_TYPE,
  EBADF,
  EINVAL,
  ENODEV,
  EOPNOTSUPP,
  linkCreatePerfEventAttr,
  linkDetachAttr,
  linkUpdateAttr,
  type StructValue,
} from '../../abi/index.ts'
import { attachHook } from '../attach-types.ts'
import { LinkFile, type LinkObject, PerfLink } from '../link-object.ts'
import { NetNamespaceFile, NetNamespaceLink } from '../net-namespace.ts'
import { PerfEvent } from '../perf-event.ts'
import type { ProgramObject } from '../program-object.ts'
import { readyStructOps, StructOpsLink } from '../struct-ops/link.ts'
import type { BpfCall } from './call.ts'
import { linkOf, mapFile, programOf } from './descriptors.ts'
import { linkToIterator } from './iterators.ts'
import { linkToFunctions } from './kprobe-multi-links.ts'
import { linkToFunction } from './tracing-links.ts'

type Attr = StructValue<typeof linkCreatePerfEventAttr>

const BPF_F_REPLACE = 1 << 2

export function linkCreate(call: BpfCall): number {
  const attr = linkCreatePerfEventAttr.read(call.attr)
  if (attr.attach_type === BPF_ATTACH_TYPE.BPF_STRUCT_OPS) return linkStructOps(call, attr)
  const program = programOf(call.process, attr.prog_fd)
  if (typeof program === 'number') return program
  const { type, expectedAttachType } = program.loaded
  if (type.linkAttachTypes !== 'any' && !type.linkAttachTypes.includes(attr.attach_type)) return -EINVAL
  if (type.linksAsLoaded === true && attr.attach_type !== expectedAttachType) return -EINVAL
  if (!isProbeOfItsKind(program, attr.attach_type)) return -EINVAL
  if (type.type === BPF_PROG_TYPE.BPF_PROG_TYPE_EXT) return linkToTraced(call, attr, program)
  if (attr.attach_type === BPF_ATTACH_TYPE.BPF_PERF_EVENT) return linkToEvent(call, attr, program)
  switch (attachHook(attr.attach_type)?.hook) {
    case 'netns':
      return linkToNamespace(call, attr, program)
    case 'cgroup':
      return attr.flags !== 0 ? -EINVAL : -EBADF
    case 'sockmap': {
      if (attr.flags !== 0) return -EINVAL
      const map = mapFile(call.process, attr.target_fd)
      return typeof map === 'number' ? map : -EINVAL
    }
    case 'xdp':
      return -EINVAL
    case 'tcx':
      return -ENODEV
    default:
      return linkToTraced(call, attr, program)
  }
}

/** Links whose place is a function, or many, or what an iterator walks. */
function linkToTraced(call: BpfCall, attr: Attr, program: ProgramObject): number {
  const link = tracedLink(call, attr, program)
  return typeof link === 'number' ? link : install(call.process, link)
}

function tracedLink(call: BpfCall, { attach_type }: Attr, program: ProgramObject): LinkObject | number {
  if (attach_type === BPF_ATTACH_TYPE.BPF_TRACE_ITER) return linkToIterator(call, program)
  const { type } = program.loaded.type
  const { BPF_PROG_TYPE_TRACING, BPF_PROG_TYPE_EXT } = BPF_PROG_TYPE
  if (type === BPF_PROG_TYPE_TRACING || type === BPF_PROG_TYPE_EXT) return linkToFunction(call, program)
  switch (attach_type) {
    case BPF_ATTACH_TYPE.BPF_TRACE_KPROBE_MULTI:
    case BPF_ATTACH_TYPE.BPF_TRACE_KPROBE_SESSION:
      return linkToFunctions(call, program)
    default:
      return MULTIPLE.includes(attach_type) ? -EOPNOTSUPP : -EINVAL
  }
}

const MULTIPLE: readonly number[] = [
  BPF_ATTACH_TYPE.BPF_TRACE_KPROBE_MULTI,
  BPF_ATTACH_TYPE.BPF_TRACE_KPROBE_SESSION,
  BPF_ATTACH_TYPE.BPF_TRACE_UPROBE_MULTI,
  BPF_ATTACH_TYPE.BPF_TRACE_UPROBE_SESSION,
]

/** A kprobe program that was loaded for one of the links to many probes takes no other. */
function isProbeOfItsKind({ loaded }: ProgramObject, attachType: number): boolean {
  if (loaded.type.type !== BPF_PROG_TYPE.BPF_PROG_TYPE_KPROBE) return true
  return !MULTIPLE.includes(loaded.expectedAttachType) || loaded.expectedAttachType === attachType
}

/** Where the program's descriptor stands for other links, the map's does. */
function linkStructOps({ core, process }: BpfCall, attr: Attr): number {
  const file = mapFile(process, attr.prog_fd)
  if (typeof file === 'number') return file
  const map = file.object
  const ops = readyStructOps(map)
  if (ops === undefined) return -EINVAL
  const error = ops.known.type.register(ops)
  return error !== 0 ? error : install(process, core.newLink(StructOpsLink, undefined, { map, ops }))
}

function linkToEvent({ core, process }: BpfCall, attr: Attr, program: ProgramObject): number {
  if (attr.flags !== 0) return -EINVAL
  const event = process.file(attr.target_fd | 0)
  if (!(event instanceof PerfEvent)) return -EBADF
  const error = event.attach(program, attr.bpf_cookie)
  if (error !== 0) return error
  return install(process, core.newLink(PerfLink, program, { event, cookie: attr.bpf_cookie }))
}

function linkToNamespace({ core, process }: BpfCall, attr: Attr, program: ProgramObject): number {
  if (attr.flags !== 0) return -EINVAL
  const file = process.file(attr.target_fd | 0)
  if (file === undefined) return -EBADF
  if (!(file instanceof NetNamespaceFile)) return -EINVAL
  const { namespace } = file
  const error = namespace.admitsLink(attr.attach_type)
  if (error !== 0) return error
  const binding = { namespace, attachType: attr.attach_type }
  return install(process, core.newLink(NetNamespaceLink, program, binding))
}

function install(process: BpfCall['process'], link: LinkObject): number {
  const fd = process.install(new LinkFile(link), true)
  link.put()
  return fd
}

export function linkDetach({ process, attr }: BpfCall): number {
  const link = linkOf(process, linkDetachAttr.read(attr).link_fd)
  return typeof link === 'number' ? link : link.detach()
}

export function linkUpdate({ process, attr: bytes }: BpfCall): number {
  const attr = linkUpdateAttr.read(bytes)
  if ((attr.flags & ~BPF_F_REPLACE) !== 0) return -EINVAL
  const link = linkOf(process, attr.link_fd)
  if (typeof link === 'number') return link
  if (link.updateMap !== undefined) return updateMapOf(process, link, attr)
  const replacement = programOf(process, attr.new_prog_fd)
  if (typeof replacement === 'number') return replacement
  if ((attr.flags & BPF_F_REPLACE) === 0) {
    return attr.old_prog_fd === 0 ? link.update(replacement, undefined) : -EINVAL
  }
  const old = programOf(process, attr.old_prog_fd)
  return typeof old === 'number' ? old : link.update(replacement, old)
}

/** Where programs' descriptors stand for other links, maps' do. */
function updateMapOf(
  process: BpfCall['process'],
  link: LinkObject,
  { flags, new_prog_fd, old_prog_fd }: StructValue<typeof linkUpdateAttr>,
): number {
  const replacement = mapFile(process, new_prog_fd)
  if (typeof replacement === 'number') return replacement
  const replaces = (flags & BPF_F_REPLACE) !== 0
  if (!replaces && old_prog_fd !== 0) return -EINVAL
  const old = replaces ? mapFile(process, old_prog_fd) : undefined
  if (typeof old === 'number') return old
  return link.updateMap?.(replacement.object, old?.object) ?? -EINVAL
}
