import { EINVAL, iterCreateAttr } from '../../abi/index.ts'
import type { BpfCall } from './call.ts'
import { linkOf } from './descriptors.ts'

/**
 * BPF_ITER_CREATE. Iterators are functions of Linux that tracing programs attach to by their BTF; a kernel that has
 * none has no link that could be one.
 *
 * Source: bpf_iter_create() of kernel/bpf/syscall.c, bpf_iter_new_fd() of kernel/bpf/bpf_iter.c of Linux.
 */
export function createIterator({ process, attr: bytes }: BpfCall): number {
  const attr = iterCreateAttr.read(bytes)
  if (attr.flags !== 0) return -EINVAL
  const link = linkOf(process, attr.link_fd)
  return typeof link === 'number' ? link : -EINVAL
}
