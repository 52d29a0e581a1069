/**
 * BPF_RAW_TRACEPOINT_OPEN. The Port names no tracepoints yet, so there is none by any name; a tracing program or an
 * extension goes where it was loaded for.
 *
 * Source: bpf_raw_tracepoint_open(), bpf_raw_tp_link_attach() of kernel/bpf/syscall.c of Linux.
 */
import { BPF_PROG_TYPE, EFAULT, EINVAL, ENOENT, rawTracepointAttr } from '../../abi/index.ts'
import { LinkFile } from '../link-object.ts'
import { readString } from '../user-copy.ts'
import type { BpfCall } from './call.ts'
import { programOf } from './descriptors.ts'
import { traceWith } from './tracing-links.ts'

const NAME_BYTES = 127

export function openRawTracepoint({ core, process, attr: bytes }: BpfCall): number {
  const attr = rawTracepointAttr.read(bytes)
  const program = programOf(process, attr.prog_fd)
  if (typeof program === 'number') return program
  const { type } = program.loaded.type
  const { BPF_PROG_TYPE_TRACING, BPF_PROG_TYPE_EXT } = BPF_PROG_TYPE
  if (type === BPF_PROG_TYPE_TRACING || type === BPF_PROG_TYPE_EXT) {
    if (attr.name !== 0n) return -EINVAL
    const attachType = program.loaded.expectedAttachType
    const link = traceWith(core, program, { attachType, cookie: 0n })
    if (typeof link === 'number') return link
    const fd = process.install(new LinkFile(link), true)
    link.put()
    return fd
  }
  const { BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE } = BPF_PROG_TYPE
  if (type !== BPF_PROG_TYPE_RAW_TRACEPOINT && type !== BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE) return -EINVAL
  // A name that is too long is cut, and then not found.
  return readString(process.memory, attr.name, NAME_BYTES) === -EFAULT ? -EFAULT : -ENOENT
}
