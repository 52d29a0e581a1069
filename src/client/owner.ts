/**
 * Lifetimes: what is opened is owned by one object, and closed in the reverse order of its opening.
 */
import { type Syscalls, textBytes, type UserMemory, type UserPointer } from '../abi/index.ts'

/** A list of things to dispose of, last first. `release` hands them on, so that a failure path needs no code. */
export class Owner implements Disposable {
  #owned: Disposable[] = []

  own<T extends Disposable>(thing: T): T {
    this.#owned.push(thing)
    return thing
  }

  /** A new owner of everything; this one is left with nothing. */
  release(): Owner {
    const next = new Owner()
    next.#owned = this.#owned
    this.#owned = []
    return next
  }

  [Symbol.dispose](): void {
    for (;;) {
      const last = this.#owned.pop()
      if (last === undefined) return
      last[Symbol.dispose]()
    }
  }
}

/** An open file descriptor; disposing closes it once. */
export class Descriptor implements Disposable {
  readonly fd: number
  readonly #syscalls: Syscalls
  #isOpen = true

  constructor(syscalls: Syscalls, fd: number) {
    this.#syscalls = syscalls
    this.fd = fd
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#syscalls.close(this.fd)
  }
}

/** An allocation of user memory; disposing frees it once. */
export class UserBuffer implements Disposable {
  readonly pointer: UserPointer
  readonly sizeBytes: number
  readonly #memory: UserMemory
  #isAllocated = true

  constructor(memory: UserMemory, sizeBytes: number) {
    this.#memory = memory
    this.sizeBytes = sizeBytes
    this.pointer = memory.allocate(Math.max(sizeBytes, 1))
  }

  /** A buffer that holds `bytes`. */
  static of(memory: UserMemory, bytes: Uint8Array): UserBuffer {
    const buffer = new UserBuffer(memory, bytes.length)
    buffer.bytes.set(bytes)
    return buffer
  }

  /** A buffer that holds `text` and its NUL. */
  static ofString(memory: UserMemory, text: string): UserBuffer {
    return UserBuffer.of(memory, textBytes(text, 1))
  }

  /** A buffer that holds `values` as 64-bit words. */
  static ofWords(memory: UserMemory, values: readonly bigint[]): UserBuffer {
    return UserBuffer.of(memory, new Uint8Array(BigUint64Array.from(values).buffer))
  }

  /** Shared with the kernel; good until memory is next allocated, mapped or unmapped. */
  get bytes(): Uint8Array {
    return this.#memory.view(this.pointer, this.sizeBytes)
  }

  [Symbol.dispose](): void {
    if (!this.#isAllocated) return
    this.#isAllocated = false
    this.#memory.free(this.pointer)
  }
}
