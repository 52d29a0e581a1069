/**
 * The system calls of the Linux that runs this process.
 *
 * Rules: what the kernel is told to read or write is checked first as far as it shows in the call (`attr`, buffers,
 * pollfds): a range that was not allocated or mapped here is -EFAULT, since the kernel would take any address of
 * this process. Pointers inside an attribute are the caller's to get right. Descriptors that were not opened here
 * are -EBADF for `close`. Disposing does what the end of a process does: it closes and unmaps what is left.
 */
import {
  EAGAIN,
  EBADF,
  EFAULT,
  EINTR,
  EINVAL,
  ENOENT,
  PAGE_SIZE,
  PERF_ATTR_SIZE_VER0,
  POLLFD_SIZE,
  POLLIN,
  type Syscalls,
  type UserPointer,
} from '../../abi/index.ts'
import { commandsThatOpen } from './descriptors.ts'
import { EventLoopPoll } from './event-loop-poll.ts'
import type { Libc } from './libc.ts'
import { LinuxMemory } from './linux-memory.ts'

const AT_FDCWD = -100
/** Of a file that O_CREAT makes. */
const FILE_MODE = 0o600
/** As bpftool makes folders of pins. */
const FOLDER_MODE = 0o700

export class LinuxSyscalls implements Syscalls, Disposable {
  readonly memory: LinuxMemory
  readonly #libc: Libc
  readonly #polls: EventLoopPoll
  readonly #open = new Set<number>()
  /** struct pollfd for `read`. */
  readonly #pollFd = new DataView(new ArrayBuffer(POLLFD_SIZE))
  #isClosed = false

  constructor(libc: Libc) {
    this.#libc = libc
    this.memory = new LinuxMemory(libc)
    this.#polls = new EventLoopPoll(libc, this.memory)
  }

  /** Descriptors opened here and not closed. */
  get openDescriptors(): readonly number[] {
    return [...this.#open]
  }

  bpf(cmd: number, attr: UserPointer, sizeBytes: number): number {
    if (this.#isClosed) return -EBADF
    // More than a page is refused before it is read.
    if (sizeBytes > 0 && sizeBytes <= PAGE_SIZE && !this.memory.holds(attr, sizeBytes)) return -EFAULT
    const result = this.#libc.bpf(cmd, Number(attr), sizeBytes >>> 0)
    return commandsThatOpen.has(cmd) ? this.#opened(result) : result
  }

  perfEventOpen(attr: UserPointer, pid: number, cpu: number, groupFd: number, flags: bigint): number {
    if (this.#isClosed) return -EBADF
    // The size is in the attribute itself, behind the type.
    if (!this.memory.holds(attr, 8)) return -EFAULT
    const size = viewOf(this.memory.view(attr, 8)).getUint32(4, true)
    if (size <= PAGE_SIZE && !this.memory.holds(attr, size || PERF_ATTR_SIZE_VER0)) return -EFAULT
    return this.#opened(this.#libc.perfEventOpen(Number(attr), pid, cpu, groupFd, flags))
  }

  ioctl(fd: number, request: number, argument: bigint): number {
    return this.#libc.ioctl(fd, request, BigInt.asUintN(64, argument))
  }

  mmap(
    address: UserPointer,
    length: number,
    prot: number,
    flags: number,
    fd: number,
    offset: number,
  ): bigint {
    if (this.#isClosed) return BigInt(-EBADF)
    return BigInt(this.memory.mappings.map(Number(address), length, prot, flags, fd, offset))
  }

  munmap(address: UserPointer, length: number): number {
    return this.memory.mappings.unmap(Number(address), length)
  }

  async poll(fds: UserPointer, count: number, timeoutMs: number): Promise<number> {
    if (this.#isClosed) return -EBADF
    if (!Number.isInteger(count) || count < 0) return -EINVAL
    if (count > 0 && !this.memory.holds(fds, count * POLLFD_SIZE)) return -EFAULT
    return this.#polls.poll(Number(fds), count, timeoutMs)
  }

  open(path: string, flags: number): number {
    if (this.#isClosed) return -EBADF
    if (path.includes('\0')) return -ENOENT
    return this.#opened(this.#libc.openat(AT_FDCWD, path, flags, FILE_MODE))
  }

  mkdir(path: string): number {
    return path.includes('\0') ? -ENOENT : this.#libc.mkdirat(AT_FDCWD, path, FOLDER_MODE)
  }

  unlink(path: string): number {
    return path.includes('\0') ? -ENOENT : this.#libc.unlinkat(AT_FDCWD, path, 0)
  }

  read(fd: number, buffer: UserPointer, length: number): number {
    if (this.#isClosed) return -EBADF
    if (length > 0 && !this.memory.holds(buffer, length)) return -EFAULT
    // Whoever runs on the event loop must not sleep in a read.
    this.#pollFd.setInt32(0, fd, true)
    this.#pollFd.setUint32(4, POLLIN, true)
    const ready = this.#libc.poll(this.#libc.addressOf(this.#pollFd.buffer), 1, 0)
    if (ready === 0) return -EAGAIN
    if (ready < 0 && ready !== -EINTR) return ready
    return this.#libc.read(fd, Number(buffer), length)
  }

  close(fd: number): number {
    return this.#open.delete(fd) ? this.#libc.close(fd) : -EBADF
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#polls.close()
    for (const fd of this.#open) this.#libc.close(fd)
    this.#open.clear()
    this.memory.close()
  }

  #opened(result: number): number {
    if (result >= 0) this.#open.add(result)
    return result
  }
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
