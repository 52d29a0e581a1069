/** Types of an operating system that has tasks. */
import { BTF_KIND, BtfError, type BtfId, BtfWriter } from '../../btf/index.ts'

/** `struct task_struct { int pid; short nice; signed char level; struct task_struct *parent; }` */
export function taskTypes(): Uint8Array {
  const writer = new BtfWriter()
  const int = (name: string, size: number) =>
    writer.add({
      kind: BTF_KIND.INT,
      name,
      size,
      isSigned: true,
      isChar: false,
      isBool: false,
      bits: size * 8,
      bitOffset: 0,
    })
  const [word, half, byte] = [int('int', 4), int('short', 2), int('signed char', 1)]
  const task = (writer.nextId + 1) as BtfId
  const pointer = writer.add({ kind: BTF_KIND.PTR, name: '', type: task })
  const member = (name: string, type: BtfId, offset: number) => ({
    name,
    type,
    bitOffset: offset * 8,
    bitSize: 0,
  })
  writer.add({
    kind: BTF_KIND.STRUCT,
    name: 'task_struct',
    size: 16,
    members: [
      member('pid', word, 0),
      member('nice', half, 4),
      member('level', byte, 6),
      member('parent', pointer, 8),
    ],
  })
  const bytes = writer.finish()
  if (bytes instanceof BtfError) throw new Error(bytes.message)
  return bytes
}
