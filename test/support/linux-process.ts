/**
 * The system calls of the Linux that runs the tests, as the client wants them: `linux-process.c` makes them.
 *
 * User memory lies in the other process. A view is a copy, made to look shared: what was written into views is
 * sent before anything else happens there, and views of allocations are refreshed after each call. A view of a
 * mapping is read when it is asked for, as the kernel writes there at any time.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Syscalls, UserMemory, UserPointer } from '../../src/abi/index.ts'

const operation = { call: 0n, read: 1n, write: 2n, allocate: 3n, free: 4n }

/** Source: arch/x86/entry/syscalls/syscall_64.tbl. */
const number = {
  read: 0n,
  open: 2n,
  close: 3n,
  poll: 7n,
  mmap: 9n,
  munmap: 11n,
  ioctl: 16n,
  perfEventOpen: 298n,
  bpf: 321n,
}

interface Region {
  readonly bytes: Uint8Array
  /** What the other process is known to hold. */
  readonly sent: Uint8Array
}

export class LinuxProcess implements Syscalls, UserMemory, Disposable {
  readonly memory: UserMemory = this
  readonly #directory: string
  readonly #child: ChildProcess
  readonly #requests: number
  readonly #answers: number
  readonly #allocations = new Map<bigint, Region>()
  readonly #mappings = new Map<bigint, number>()
  #views: (Region & { readonly pointer: bigint })[] = []

  private constructor(directory: string) {
    this.#directory = directory
    const [requests, answers] = ['requests', 'answers'].map((name) => join(directory, name)) as [
      string,
      string,
    ]
    execFileSync('mkfifo', [requests, answers])
    const [input, output] = [openSync(requests, 'r+'), openSync(answers, 'r+')]
    this.#child = spawn(join(directory, 'process'), { stdio: [input, output, 'inherit'] })
    this.#requests = input
    this.#answers = output
  }

  /** The process, or why there is none here. */
  static open(): LinuxProcess | string {
    if (process.platform !== 'linux' || process.arch !== 'x64') return 'needs Linux on x86-64'
    if (process.getuid?.() !== 0) return 'needs root, for bpf(2)'
    const directory = mkdtempSync(join(tmpdir(), 'linux-process-'))
    const source = join(import.meta.dirname, 'linux-process.c')
    try {
      execFileSync('gcc', ['-O1', '-o', join(directory, 'process'), source], { stdio: 'pipe' })
    } catch {
      rmSync(directory, { recursive: true, force: true })
      return 'needs gcc'
    }
    const opened = new LinuxProcess(directory)
    // An unknown command is -EINVAL where there is bpf(2) for us, else -ENOSYS or -EPERM.
    const answer = opened.bpf(-1, 0n, 0)
    if (answer === -22) return opened
    opened[Symbol.dispose]()
    return `bpf(2) answers ${answer}`
  }

  /** Bytes that the client has allocated and not freed. */
  get allocations(): number {
    return this.#allocations.size
  }

  allocate(sizeBytes: number): UserPointer {
    const pointer = this.#request(operation.allocate, [BigInt(sizeBytes)])
    this.#allocations.set(pointer, { bytes: new Uint8Array(sizeBytes), sent: new Uint8Array(sizeBytes) })
    return pointer
  }

  free(pointer: UserPointer): void {
    if (!this.#allocations.delete(pointer)) throw new Error(`free of 0x${pointer.toString(16)}`)
    this.#request(operation.free, [pointer])
  }

  view(pointer: UserPointer, sizeBytes: number): Uint8Array {
    for (const [base, { bytes }] of this.#allocations) {
      const start = Number(pointer - base)
      if (start >= 0 && start + sizeBytes <= bytes.length) return bytes.subarray(start, start + sizeBytes)
    }
    for (const [base, length] of this.#mappings) {
      if (pointer < base || pointer + BigInt(sizeBytes) > base + BigInt(length)) continue
      this.#flush()
      const bytes = this.#fetch(pointer, sizeBytes)
      this.#views.push({ pointer, bytes, sent: bytes.slice() })
      return bytes
    }
    throw new Error(`${sizeBytes} bytes at 0x${pointer.toString(16)} are not mapped`)
  }

  bpf(cmd: number, attr: UserPointer, sizeBytes: number): number {
    return this.#call(number.bpf, BigInt(cmd), attr, BigInt(sizeBytes))
  }

  perfEventOpen(attr: UserPointer, pid: number, cpu: number, groupFd: number, flags: bigint): number {
    return this.#call(number.perfEventOpen, attr, BigInt(pid), BigInt(cpu), BigInt(groupFd), flags)
  }

  ioctl(fd: number, request: number, argument: bigint): number {
    return this.#call(number.ioctl, BigInt(fd), BigInt(request), argument)
  }

  mmap(
    address: UserPointer,
    length: number,
    prot: number,
    flags: number,
    fd: number,
    offset: number,
  ): bigint {
    const args = [length, prot, flags, fd, offset].map(BigInt)
    const result = this.#request(operation.call, [number.mmap, address, ...args])
    if (result > 0n) this.#mappings.set(result, length)
    return result
  }

  munmap(address: UserPointer, length: number): number {
    this.#flush()
    this.#mappings.delete(address)
    return this.#call(number.munmap, address, BigInt(length))
  }

  async poll(fds: UserPointer, count: number, timeoutMs: number): Promise<number> {
    for (const end = Date.now() + timeoutMs; ; ) {
      const result = this.#call(number.poll, fds, BigInt(count), 0n)
      if (result !== 0 || (timeoutMs >= 0 && Date.now() >= end)) return result
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  open(path: string, flags: number): number {
    const bytes = new TextEncoder().encode(`${path}\0`)
    const pointer = this.allocate(bytes.length)
    this.view(pointer, bytes.length).set(bytes)
    const result = this.#call(number.open, pointer, BigInt(flags))
    this.free(pointer)
    return result
  }

  read(fd: number, buffer: UserPointer, length: number): number {
    return this.#call(number.read, BigInt(fd), buffer, BigInt(length))
  }

  close(fd: number): number {
    return this.#call(number.close, BigInt(fd))
  }

  [Symbol.dispose](): void {
    this.#child.kill()
    closeSync(this.#requests)
    closeSync(this.#answers)
    rmSync(this.#directory, { recursive: true, force: true })
  }

  #call(...args: bigint[]): number {
    return Number(this.#request(operation.call, args))
  }

  #request(what: bigint, args: readonly bigint[]): bigint {
    this.#flush()
    for (const [pointer, { bytes, sent }] of this.#allocations) this.#send(pointer, bytes, sent)
    const answer = this.#exchange(what, args)
    if (what === operation.call) {
      for (const [pointer, { bytes, sent }] of this.#allocations) {
        bytes.set(this.#fetch(pointer, bytes.length))
        sent.set(bytes)
      }
    }
    return answer
  }

  /** Sends what was written into views of mappings; the views are good no longer. */
  #flush(): void {
    const views = this.#views
    this.#views = []
    for (const { pointer, bytes, sent } of views) this.#send(pointer, bytes, sent)
  }

  #send(pointer: bigint, bytes: Uint8Array, sent: Uint8Array): void {
    if (Buffer.compare(bytes, sent) === 0) return
    this.#exchange(operation.write, [pointer, BigInt(bytes.length)], bytes)
    sent.set(bytes)
  }

  #fetch(pointer: bigint, length: number): Uint8Array {
    this.#exchange(operation.read, [pointer, BigInt(length)])
    return this.#receive(length)
  }

  #exchange(what: bigint, args: readonly bigint[], bytes?: Uint8Array): bigint {
    const request = new BigInt64Array(8)
    request.set([what, ...args])
    writeAll(this.#requests, new Uint8Array(request.buffer))
    if (bytes !== undefined) writeAll(this.#requests, bytes)
    return new DataView(this.#receive(8).buffer).getBigInt64(0, true)
  }

  #receive(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let done = 0; done < length; ) done += readSync(this.#answers, bytes, done, length - done, null)
    return bytes
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
}
