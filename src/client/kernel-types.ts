/** The types of a kernel, mapped where it can be done (Linux 6.16 and later): a tenth of the time that reading takes. */
import { MAP_PRIVATE, PROT_READ, type Syscalls } from '../abi/index.ts'
import { Btf, type BtfError } from '../btf/index.ts'
import { openFile } from './calls.ts'
import { UserBuffer } from './owner.ts'
import { readFile } from './read-file.ts'

export const KERNEL_TYPES = '/sys/kernel/btf/vmlinux'

/** A kernel's own types stay as they are while it runs: they are read once for all loads through the same calls. */
const known = new WeakMap<Syscalls, Btf>()

/** The kernel's types; what is wrong with them, or -errno where there are none to be read. */
export function kernelTypes(syscalls: Syscalls): Btf | BtfError | number {
  const read = known.get(syscalls)
  if (read !== undefined) return read
  const bytes = mapTypes(syscalls, KERNEL_TYPES) ?? readFile(syscalls, KERNEL_TYPES)
  if (typeof bytes === 'number') return bytes
  // What a running kernel has as its own types needs no second check.
  const types = Btf.parseTrusted(bytes)
  if (types instanceof Btf) known.set(syscalls, types)
  return types
}

/** struct btf_header: | magic | version | flags | hdr_len | type_off | type_len | str_off | str_len | */
const HEADER_BYTES = 24
const MAGIC = 0xeb9f

/** A copy of the file's types; undefined where they are to be read instead. */
export function mapTypes(syscalls: Syscalls, path: string): Uint8Array | undefined {
  const file = openFile(syscalls, path)
  if (typeof file === 'number') return undefined
  using open = file
  const sizeBytes = sizeOf(syscalls, open.fd)
  if (sizeBytes === undefined) return undefined
  const address = syscalls.mmap(0n, sizeBytes, PROT_READ, MAP_PRIVATE, open.fd, 0)
  if (address < 0n) return undefined
  const bytes = syscalls.memory.view(address, sizeBytes).slice()
  syscalls.munmap(address, sizeBytes)
  return bytes
}

/** The file's size, which its header tells. */
function sizeOf(syscalls: Syscalls, fd: number): number | undefined {
  using buffer = new UserBuffer(syscalls.memory, HEADER_BYTES)
  if (syscalls.read(fd, buffer.pointer, HEADER_BYTES) !== HEADER_BYTES) return undefined
  const { bytes } = buffer
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES)
  if (view.getUint16(0, true) !== MAGIC) return undefined
  const field = (at: number): number => view.getUint32(at, true)
  return field(4) + Math.max(field(8) + field(12), field(16) + field(20))
}
