/** Waiting for descriptors to become readable. */
import { EINTR, POLLFD_SIZE, POLLIN, type Syscalls } from '../abi/index.ts'
import type { AbortSignalLike } from './abort.ts'
import { SyscallError } from './errors.ts'
import { UserBuffer } from './owner.ts'

/** One poll(2) waits this long at most, so that a reader that was closed meanwhile is noticed. */
const LONGEST_POLL_MS = 250

export class Poller implements Disposable {
  readonly #syscalls: Syscalls
  readonly #fds: readonly number[]
  readonly #buffer: UserBuffer
  #isClosed = false
  #polls = 0

  constructor(syscalls: Syscalls, fds: readonly number[]) {
    this.#syscalls = syscalls
    this.#fds = fds
    this.#buffer = new UserBuffer(syscalls.memory, fds.length * POLLFD_SIZE)
  }

  /** Resolves when one of the descriptors has data, when `signal` aborts, when this is disposed, or in a while. */
  async wait(signal: AbortSignalLike | undefined): Promise<void> {
    if (signal?.aborted || this.#isClosed) return
    const view = new DataView(this.#buffer.bytes.buffer, this.#buffer.bytes.byteOffset)
    for (const [index, fd] of this.#fds.entries()) {
      view.setInt32(index * POLLFD_SIZE, fd, true)
      view.setUint32(index * POLLFD_SIZE + 4, POLLIN, true)
    }
    this.#polls++
    const poll = this.#syscalls
      .poll(this.#buffer.pointer, this.#fds.length, LONGEST_POLL_MS)
      .finally(() => this.#end())
    if (signal === undefined) return check(await poll)
    let abort = () => {}
    const aborted = new Promise<number>((resolve) => {
      abort = () => resolve(0)
      signal.addEventListener('abort', abort)
    })
    try {
      check(await Promise.race([poll, aborted]))
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return
    this.#isClosed = true
    // The kernel may still look at the buffer: the last poll frees it.
    if (this.#polls === 0) this.#buffer[Symbol.dispose]()
  }

  #end(): void {
    this.#polls--
    if (this.#isClosed && this.#polls === 0) this.#buffer[Symbol.dispose]()
  }
}

function check(result: number): void {
  if (result < 0 && result !== -EINTR) throw new SyscallError('poll', result)
}
