/**
 * A process's descriptor table.
 *
 * A slot holds a reference to an open file. Numbers are the lowest free ones from `firstFd` up, as POSIX wants.
 */
import { EBADF, EINVAL, EMFILE } from '../abi/errno.ts'
import type { OpenFile } from './open-file.ts'

interface Slot {
  readonly file: OpenFile
  closeOnExec: boolean
}

/** Descriptors per process; Linux's default hard limit is larger, its soft limit 1024. */
const MOST_DESCRIPTORS = 65_536

export class DescriptorTable {
  readonly firstFd: number
  readonly #slots = new Map<number, Slot>()
  /** No number below is free. */
  #lowestFree: number

  constructor(firstFd: number) {
    this.firstFd = firstFd
    this.#lowestFree = firstFd
  }

  get size(): number {
    return this.#slots.size
  }

  /** The open descriptors' numbers. */
  fds(): number[] {
    return [...this.#slots.keys()]
  }

  get(fd: number): OpenFile | undefined {
    return this.#slots.get(fd)?.file
  }

  /** Takes over the caller's reference to `file`, which is put where no number is free. */
  install(file: OpenFile, closeOnExec: boolean, lowest = this.firstFd): number {
    let fd = Math.max(lowest, this.#lowestFree)
    while (this.#slots.has(fd)) fd++
    if (fd >= this.firstFd + MOST_DESCRIPTORS) {
      file.put()
      return -EMFILE
    }
    if (lowest <= this.#lowestFree) this.#lowestFree = fd + 1
    this.#slots.set(fd, { file, closeOnExec })
    return fd
  }

  duplicate(fd: number, closeOnExec: boolean, lowest?: number): number {
    const file = this.get(fd)
    if (file === undefined) return -EBADF
    if (lowest !== undefined && lowest >= this.firstFd + MOST_DESCRIPTORS) return -EINVAL
    return this.install(file.get(), closeOnExec, lowest)
  }

  /** dup3(2): `to` becomes another name of `fd`'s file. */
  duplicateTo(fd: number, to: number, closeOnExec: boolean): number {
    const file = this.get(fd)
    if (file === undefined) return -EBADF
    if (fd === to) return -EINVAL
    if (to < this.firstFd || to >= this.firstFd + MOST_DESCRIPTORS) return -EBADF
    file.get()
    this.close(to)
    this.#slots.set(to, { file, closeOnExec })
    return to
  }

  close(fd: number): number {
    const slot = this.#slots.get(fd)
    if (slot === undefined) return -EBADF
    this.#slots.delete(fd)
    this.#lowestFree = Math.min(this.#lowestFree, fd)
    slot.file.put()
    return 0
  }

  closeOnExec(fd: number): boolean | undefined {
    return this.#slots.get(fd)?.closeOnExec
  }

  setCloseOnExec(fd: number, closeOnExec: boolean): number {
    const slot = this.#slots.get(fd)
    if (slot === undefined) return -EBADF
    slot.closeOnExec = closeOnExec
    return 0
  }

  /** fork(2): the same numbers, the same files. */
  clone(): DescriptorTable {
    const table = new DescriptorTable(this.firstFd)
    for (const [fd, { file, closeOnExec }] of this.#slots) {
      table.#slots.set(fd, { file: file.get(), closeOnExec })
    }
    table.#lowestFree = this.#lowestFree
    return table
  }

  exec(): void {
    for (const [fd, { closeOnExec }] of [...this.#slots]) if (closeOnExec) this.close(fd)
  }

  closeAll(): void {
    for (const fd of [...this.#slots.keys()]) this.close(fd)
  }
}
