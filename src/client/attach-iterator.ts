/**
 * Iterators: programs that the kernel calls for each of its tasks, maps, elements of a map..., and that write text.
 *
 * A link says what is walked; each BPF_ITER_CREATE of it is a file that holds what the program writes on one walk.
 *
 * Source: Documentation/bpf/bpf_iterators.rst; bpf_iter_link_attach() of kernel/bpf/bpf_iter.c of Linux.
 */
import {
  BPF_ATTACH_TYPE,
  BPF_CMD,
  bpfIterLinkInfo,
  EBADF,
  EINVAL,
  errnoName,
  linkCreateIterAttr,
  type Syscalls,
} from '../abi/index.ts'
import type { TracingTarget } from './attach-tracing.ts'
import { bpf } from './calls.ts'
import { AttachError } from './errors.ts'
import { type Link, linkOf } from './link.ts'
import { UserBuffer } from './owner.ts'

/** What an iterator walks. */
export type IteratorScope =
  /** The elements of a map: `iter/bpf_map_elem`, `iter/bpf_sk_storage_map`, `iter/sockmap`. */
  | { readonly kind: 'map'; readonly fd: number }
  /** The tasks of a process, or one thread: `iter/task`, `iter/task_file`, `iter/task_vma`. */
  | { readonly kind: 'process'; readonly pid: number }
  | { readonly kind: 'thread'; readonly tid: number }
  /** Control groups from the one of this descriptor: it alone, those below (first or last), those above. */
  | { readonly kind: 'cgroup'; readonly fd: number; readonly order: CgroupOrder }

/** Source: enum bpf_cgroup_iter_order. */
const CGROUP_ORDER = {
  self: 1,
  'descendants-first-parent': 2,
  'descendants-last-parent': 3,
  ancestors: 4,
} as const
export type CgroupOrder = keyof typeof CGROUP_ORDER

export interface IteratorAttachment {
  readonly program: string
  readonly programFd: number
  readonly target: TracingTarget
  /** Default: all that there is. */
  readonly over?: IteratorScope
}

export function attachIterator(syscalls: Syscalls, attachment: IteratorAttachment): Link | AttachError {
  const { program, programFd, target, over } = attachment
  using info = over === undefined ? undefined : UserBuffer.of(syscalls.memory, infoOf(over))
  const attr = linkCreateIterAttr.encode({
    prog_fd: programFd,
    attach_type: BPF_ATTACH_TYPE.BPF_TRACE_ITER,
    iter_info: info?.pointer ?? 0n,
    iter_info_len: info?.sizeBytes ?? 0,
  })
  const fd = bpf(syscalls, BPF_CMD.BPF_LINK_CREATE, attr)
  if (fd >= 0) return linkOf(syscalls, { program, target, fd })
  const message = `iterator over ${target.name}: ${refusal(fd, over)}`
  return new AttachError('refused', program, target.name, message, -fd)
}

function infoOf(over: IteratorScope): Uint8Array {
  switch (over.kind) {
    case 'map':
      return bpfIterLinkInfo.map.encode({ map_fd: over.fd })
    case 'process':
      return bpfIterLinkInfo.task.encode({ pid: over.pid })
    case 'thread':
      return bpfIterLinkInfo.task.encode({ tid: over.tid })
    case 'cgroup':
      return bpfIterLinkInfo.cgroup.encode({ order: CGROUP_ORDER[over.order], cgroup_fd: over.fd })
    default: {
      const unreachable: never = over
      throw new Error(`no such scope: ${JSON.stringify(unreachable)}`)
    }
  }
}

function refusal(result: number, over: IteratorScope | undefined): string {
  const name = errnoName(result)
  if (result === -EBADF && over === undefined)
    return `${name}: it needs to be told of what (the option 'over')`
  if (result === -EINVAL)
    return `${name}: the kernel has no such iterator, or it does not walk what 'over' says`
  return name
}
