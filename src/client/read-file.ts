/** Whole files, of the kernel or of a disk, by system calls. */
import { EFBIG, EINTR, type Syscalls } from '../abi/index.ts'
import { openFile } from './calls.ts'
import { UserBuffer } from './owner.ts'

const CHUNK_BYTES = 256 * 1024
/** More than any executable that people probe. */
const LARGEST_FILE_BYTES = 1024 ** 3

/** The bytes of a file, or -errno; -EFBIG for more than 1 GiB. */
export function readFile(syscalls: Syscalls, path: string): Uint8Array | number {
  const file = openFile(syscalls, path)
  if (typeof file === 'number') return file
  using open = file
  using buffer = new UserBuffer(syscalls.memory, CHUNK_BYTES)
  const chunks: Uint8Array[] = []
  let size = 0
  for (;;) {
    const count = syscalls.read(open.fd, buffer.pointer, buffer.sizeBytes)
    if (count === -EINTR) continue
    if (count < 0) return count
    if (count === 0) return joined(chunks, size)
    size += count
    if (size > LARGEST_FILE_BYTES) return -EFBIG
    chunks.push(buffer.bytes.slice(0, count))
  }
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

/** A text file of the kernel, or -errno. */
export function readTextFile(syscalls: Syscalls, path: string): string | number {
  const bytes = readFile(syscalls, path)
  return typeof bytes === 'number' ? bytes : new TextDecoder().decode(bytes)
}
