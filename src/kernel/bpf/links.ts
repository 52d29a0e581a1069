/** BPF_LINK_*. Source: link_create(), bpf_perf_link_attach() of kernel/bpf/syscall.c of Linux. */
import {
  BPF_ATTACH_TYPE,
  EBADF,
  EINVAL,
  EOPNOTSUPP,
  linkCreatePerfEventAttr,
  linkDetachAttr,
  linkUpdateAttr,
} from '../../abi/index.ts'
import { LinkFile } from '../link-object.ts'
import { PerfEvent } from '../perf-event.ts'
import type { BpfCall } from './call.ts'
import { linkOf, programOf } from './descriptors.ts'

const BPF_F_REPLACE = 1 << 2

export function linkCreate({ core, process, attr: bytes }: BpfCall): number {
  const attr = linkCreatePerfEventAttr.read(bytes)
  const program = programOf(process, attr.prog_fd)
  if (typeof program === 'number') return program
  if (!program.loaded.type.linkAttachTypes.includes(attr.attach_type)) return -EINVAL
  if (attr.attach_type !== BPF_ATTACH_TYPE.BPF_PERF_EVENT || attr.flags !== 0) return -EINVAL
  const event = process.file(attr.target_fd | 0)
  if (!(event instanceof PerfEvent)) return -EBADF
  const error = event.attach(program, attr.bpf_cookie)
  if (error !== 0) return error
  const link = core.newLink(program, event, attr.bpf_cookie)
  const fd = process.install(new LinkFile(link), true)
  link.put()
  return fd
}

/** A perf link ends with its descriptors only. */
export function linkDetach({ process, attr }: BpfCall): number {
  const link = linkOf(process, linkDetachAttr.read(attr).link_fd)
  return typeof link === 'number' ? link : -EOPNOTSUPP
}

/** The program of a perf link cannot be replaced. */
export function linkUpdate({ process, attr: bytes }: BpfCall): number {
  const attr = linkUpdateAttr.read(bytes)
  if ((attr.flags & ~BPF_F_REPLACE) !== 0) return -EINVAL
  const link = linkOf(process, attr.link_fd)
  if (typeof link === 'number') return link
  const replacement = programOf(process, attr.new_prog_fd)
  if (typeof replacement === 'number') return replacement
  if ((attr.flags & BPF_F_REPLACE) === 0) return -EINVAL
  const old = programOf(process, attr.old_prog_fd)
  return typeof old === 'number' ? old : -EINVAL
}
