/** A client in this process: the system calls as functions, over memory that mmap aliases with the arena. */
import { ENOTDIR, O_CLOEXEC, POLLFD_SIZE, type UserPointer } from '../abi/index.ts'
import { bpf } from './bpf/dispatch.ts'
import { DirectoryFile } from './bpffs.ts'
import { ClientMemory } from './client-memory.ts'
import type { KernelCore } from './core.ts'
import { openFile } from './files.ts'
import { perfEventOpen } from './perf-event-open.ts'
import { KernelProcess } from './process.ts'
import { poll } from './syscall-table.ts'
import type { Client, ClientOptions } from './types.ts'

const SYS = { ioctl: 29, read: 63, munmap: 215, mmap: 222 } as const

export class InProcessClient implements Client {
  readonly memory = new ClientMemory()
  readonly #process: KernelProcess

  constructor(core: KernelCore, options: ClientOptions) {
    this.#process = new KernelProcess(core, { comm: 'client', firstFd: 3, ...options, memory: this.memory })
  }

  bpf(cmd: number, attr: UserPointer, sizeBytes: number): number {
    const { timed } = this.#process.core
    timed.runDue()
    const result = bpf(this.#process, cmd | 0, BigInt.asUintN(64, attr), sizeBytes >>> 0)
    timed.runDue()
    return result
  }

  perfEventOpen(attr: UserPointer, pid: number, cpu: number, groupFd: number, flags: bigint): number {
    const { core } = this.#process
    const pointer = BigInt.asUintN(64, attr)
    return perfEventOpen(core, this.#process, pointer, pid, cpu, groupFd, BigInt.asUintN(64, flags))
  }

  ioctl(fd: number, request: number, argument: bigint): number {
    return Number(this.#process.syscall(SYS.ioctl, BigInt(fd), BigInt(request), argument))
  }

  mmap(
    address: UserPointer,
    length: number,
    prot: number,
    flags: number,
    fd: number,
    offset: number,
  ): bigint {
    const [length64, offset64] = [BigInt(length), BigInt(offset)]
    return this.#process.syscall(
      SYS.mmap,
      address,
      length64,
      BigInt(prot),
      BigInt(flags),
      BigInt(fd),
      offset64,
    )
  }

  munmap(address: UserPointer, length: number): number {
    return Number(this.#process.syscall(SYS.munmap, address, BigInt(length)))
  }

  async poll(fds: UserPointer, count: number, timeoutMs: number): Promise<number> {
    let ready = poll(this.#process, fds, count)
    if (ready !== 0 || timeoutMs === 0) return ready
    let expired = false
    let wake = () => {}
    const timer =
      timeoutMs > 0
        ? setTimeout(() => {
            expired = true
            wake()
          }, timeoutMs)
        : undefined
    const stops = this.#watch(fds, count, () => wake())
    // A wake-up only says that it is worth looking.
    while (ready === 0 && !expired) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
      ready = poll(this.#process, fds, count)
    }
    for (const stop of stops) stop()
    clearTimeout(timer)
    return ready
  }

  open(path: string, flags: number): number {
    const file = openFile(this.#process, path, flags)
    return typeof file === 'number' ? file : this.#process.install(file, (flags & O_CLOEXEC) !== 0)
  }

  mkdir(path: string): number {
    return this.#process.core.files.makeDirectory(path)
  }

  rmdir(path: string): number {
    return this.#process.core.files.removeDirectory(path)
  }

  unlink(path: string): number {
    return this.#process.core.files.unlink(path)
  }

  readDirectory(path: string): readonly string[] | number {
    const file = openFile(this.#process, path, 0)
    if (typeof file === 'number') return file
    const names = file instanceof DirectoryFile ? [...file.directory.entries.keys()] : -ENOTDIR
    file.put()
    return names
  }

  read(fd: number, buffer: UserPointer, length: number): number {
    return Number(this.#process.syscall(SYS.read, BigInt(fd), buffer, BigInt(length)))
  }

  close(fd: number): number {
    return this.#process.table.close(fd)
  }

  [Symbol.dispose](): void {
    this.memory.unmapAll()
    this.#process.exit()
  }

  /** Has `wake` called when one of the polled files may have become ready; returns how to end that. */
  #watch(fds: UserPointer, count: number, wake: () => void): (() => void)[] {
    const stops: (() => void)[] = []
    const bytes = this.memory.view(fds, count * POLLFD_SIZE)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let at = 0; at < bytes.length; at += POLLFD_SIZE) {
      const file = this.#process.file(view.getInt32(at, true))
      if (file !== undefined) stops.push(file.onWakeUp(wake))
    }
    return stops
  }
}
