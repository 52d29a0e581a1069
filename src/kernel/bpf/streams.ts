/** BPF_PROG_STREAM_READ_BY_FD. Source: prog_stream_read() of kernel/bpf/syscall.c, kernel/bpf/stream.c of Linux. */
import { EFAULT, ENOENT, progStreamReadAttr } from '../../abi/index.ts'
import type { BpfCall } from './call.ts'
import { programOf } from './descriptors.ts'

const BPF_STDOUT = 1
const BPF_STDERR = 2

/** How many bytes were taken from the stream; 0 where it is empty. */
export function readStream({ process, attr: bytes }: BpfCall): number {
  const attr = progStreamReadAttr.read(bytes)
  const program = programOf(process, attr.prog_fd)
  if (typeof program === 'number') return program
  if (attr.stream_id !== BPF_STDOUT && attr.stream_id !== BPF_STDERR) return -ENOENT
  const stream = attr.stream_id === BPF_STDOUT ? program.stdout : program.stderr
  const text = stream.peek(attr.stream_buf_len)
  if (!process.memory.write(attr.stream_buf, text)) return -EFAULT
  stream.take(text.length)
  return text.length
}
