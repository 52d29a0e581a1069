/**
 * BPF_TASK_FD_QUERY: what a process's descriptor of a perf event probes.
 *
 * Source: bpf_task_fd_query() of kernel/bpf/syscall.c of Linux.
 */
import {
  EBADF,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOSPC,
  ENOTSUPP,
  EOPNOTSUPP,
  taskFdQueryAttr,
} from '../../abi/index.ts'
import { LinkFile, PerfLink } from '../link-object.ts'
import { PerfEvent, ProbeEvent } from '../perf-event.ts'
import type { BpfCall } from './call.ts'

const BPF_FD_TYPE_KPROBE = 2
const BPF_FD_TYPE_KRETPROBE = 3

export function taskFdQuery({ core, process, attr: bytes, pointer }: BpfCall): number {
  const attr = taskFdQueryAttr.read(bytes)
  if (attr.flags !== 0) return -EINVAL
  const owner =
    attr.pid !== 0 && attr.pid === process.pid
      ? process
      : [...core.processes].find((other) => other.pid === attr.pid && attr.pid !== 0)
  if (owner === undefined) return -ENOENT
  const file = owner.file(attr.fd | 0)
  if (file === undefined) return -EBADF
  const event = file instanceof LinkFile && file.object instanceof PerfLink ? file.object.event : file
  if (!(event instanceof PerfEvent)) return -ENOTSUPP
  if (!(event instanceof ProbeEvent)) return -EOPNOTSUPP
  if (event.attached === undefined) return -ENOENT
  const { place, attached } = event
  const answer = bytes.slice(0, taskFdQueryAttr.size)
  const name = new TextEncoder().encode(`${place.functionName}\0`)
  if (attr.buf_len > 0) {
    const shown = name.slice(0, Math.min(name.length, attr.buf_len))
    shown[shown.length - 1] = 0
    if (!process.memory.write(attr.buf, shown)) return -EFAULT
  }
  taskFdQueryAttr.set(answer, 'buf_len', name.length - 1)
  taskFdQueryAttr.set(answer, 'prog_id', attached.program.id)
  taskFdQueryAttr.set(answer, 'fd_type', place.isReturn ? BPF_FD_TYPE_KRETPROBE : BPF_FD_TYPE_KPROBE)
  taskFdQueryAttr.set(answer, 'probe_offset', place.offset)
  taskFdQueryAttr.set(answer, 'probe_addr', place.address)
  if (!process.memory.write(pointer, answer)) return -EFAULT
  return attr.buf_len > 0 && name.length > attr.buf_len ? -ENOSPC : 0
}
