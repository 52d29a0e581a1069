/** Follows what programs print with bpf_printk, line by line. */
import { EAGAIN, EINTR, ENOENT, O_NONBLOCK, type Syscalls } from '../abi/index.ts'
import type { AbortSignalLike } from './abort.ts'
import { openFile } from './calls.ts'
import { SyscallError } from './errors.ts'
import { type Descriptor, UserBuffer } from './owner.ts'
import { Poller } from './poller.ts'

/** Where tracefs is mounted, in the order of trial. */
const PATHS = ['/sys/kernel/tracing/trace_pipe', '/sys/kernel/debug/tracing/trace_pipe']

/** The lines of the trace pipe, as they come or as many as are there; what is read is gone for every reader. */
export class TracePipe implements AsyncIterable<string>, Disposable {
  readonly #syscalls: Syscalls
  readonly #file: Descriptor
  readonly #buffer: UserBuffer
  readonly #poller: Poller
  readonly #decoder = new TextDecoder()
  /** Lines read and not yet handed out. */
  readonly #pending: string[] = []
  #partial = ''
  #isClosed = false

  private constructor(syscalls: Syscalls, file: Descriptor) {
    this.#syscalls = syscalls
    this.#file = file
    this.#buffer = new UserBuffer(syscalls.memory, 4096)
    this.#poller = new Poller(syscalls, [file.fd])
  }

  static open(syscalls: Syscalls): TracePipe | SyscallError {
    let result = -ENOENT
    for (const path of PATHS) {
      const file = openFile(syscalls, path, O_NONBLOCK)
      if (typeof file !== 'number') return new TracePipe(syscalls, file)
      if (file !== -ENOENT) result = file
    }
    return new SyscallError('open', result, PATHS[0])
  }

  /** The whole lines that are there now, without their ends. Reading takes them out of the pipe. */
  *drain(): Generator<string, void> {
    while (!this.#isClosed) {
      for (let line = this.#pending.shift(); line !== undefined; line = this.#pending.shift()) yield line
      const count = this.#syscalls.read(this.#file.fd, this.#buffer.pointer, this.#buffer.sizeBytes)
      if (count === -EINTR) continue
      if (count === 0 || count === -EAGAIN) return
      if (count < 0) throw new SyscallError('read', count, 'trace pipe')
      this.#partial += this.#decoder.decode(this.#buffer.bytes.slice(0, count), { stream: true })
      const lines = this.#partial.split('\n')
      this.#partial = lines.pop() ?? ''
      this.#pending.push(...lines)
    }
  }

  /** Lines as they come, until `signal` aborts or the reader is disposed. */
  async *lines(signal?: AbortSignalLike): AsyncGenerator<string, void> {
    while (!this.#isClosed && !signal?.aborted) {
      for (const line of this.drain()) {
        yield line
        if (signal?.aborted) return
      }
      await this.#poller.wait(signal)
    }
  }

  [Symbol.asyncIterator](): AsyncGenerator<string, void> {
    return this.lines()
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#poller[Symbol.dispose]()
    this.#buffer[Symbol.dispose]()
    this.#file[Symbol.dispose]()
  }
}
