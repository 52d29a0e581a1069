/** Reading what an iterator's program writes. */
import { BPF_CMD, EAGAIN, EINTR, iterCreateAttr, type Syscalls } from '../abi/index.ts'
import { bpf } from './calls.ts'
import { SyscallError } from './errors.ts'
import type { Link } from './link.ts'
import { Descriptor, Owner, UserBuffer } from './owner.ts'

/** More than the kernel hands out at a time. */
const CHUNK_BYTES = 64 * 1024

/** Reads in a row without a byte, each of which may be a million objects long. */
const MOST_FRUITLESS = 10_000

/** One walk of an iterator, from its beginning to its end; disposing ends it, and the link that it owns, if any. */
export class IteratorReader implements Disposable {
  readonly #syscalls: Syscalls
  readonly #owner: Owner
  readonly #fd: number
  readonly #buffer: UserBuffer

  private constructor(syscalls: Syscalls, fd: number, owner: Owner) {
    this.#syscalls = syscalls
    this.#owner = owner
    this.#fd = owner.own(new Descriptor(syscalls, fd)).fd
    this.#buffer = owner.own(new UserBuffer(syscalls.memory, CHUNK_BYTES))
  }

  /** BPF_ITER_CREATE: a walk of what `link` iterates over. `owned` is disposed of with the reader. */
  static open(syscalls: Syscalls, link: Pick<Link, 'fd'>, owned?: Disposable): IteratorReader | SyscallError {
    const fd = bpf(syscalls, BPF_CMD.BPF_ITER_CREATE, iterCreateAttr.encode({ link_fd: link.fd }))
    if (fd < 0) return new SyscallError('BPF_ITER_CREATE', fd)
    const owner = new Owner()
    if (owned !== undefined) owner.own(owned)
    return new IteratorReader(syscalls, fd, owner)
  }

  /** What comes next, as bytes; undefined at the end. Throws a `SyscallError` where the kernel breaks the walk off. */
  read(): Uint8Array | undefined {
    for (let fruitless = 0; ; fruitless++) {
      const count = this.#syscalls.read(this.#fd, this.#buffer.pointer, this.#buffer.sizeBytes)
      // The kernel breaks long walks without output into parts, and asks a program again that wants to be asked again.
      if ((count === -EAGAIN || count === -EINTR) && fruitless < MOST_FRUITLESS) continue
      if (count < 0) throw new SyscallError('read', count, 'of an iterator')
      return count === 0 ? undefined : this.#buffer.bytes.slice(0, count)
    }
  }

  /** The rest as text, in pieces as they come; characters are not torn. */
  *[Symbol.iterator](): Generator<string, void> {
    const decoder = new TextDecoder()
    for (let bytes = this.read(); bytes !== undefined; bytes = this.read()) {
      const text = decoder.decode(bytes, { stream: true })
      if (text !== '') yield text
    }
    const rest = decoder.decode()
    if (rest !== '') yield rest
  }

  /** The rest as one text. */
  text(): string {
    return [...this].join('')
  }

  [Symbol.dispose](): void {
    this.#owner[Symbol.dispose]()
  }
}
