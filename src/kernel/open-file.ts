import { EINVAL, ENODEV, ENOTTY } from '../abi/errno.ts'
import type { KernelProcess } from './process.ts'
import { Counted } from './reference.ts'
import type { Mapping } from './types.ts'

export interface MmapRequest {
  readonly lengthBytes: number
  readonly writable: boolean
  readonly shared: boolean
  readonly offsetBytes: number
  /** Where the process wants it; 0n: anywhere. */
  readonly address: bigint
  /** There or nowhere: MAP_FIXED. */
  readonly isFixed: boolean
}

/**
 * An open file description: what descriptors, of one process or several, point to.
 *
 * Each kind overrides what it can do; the defaults are Linux's answers for a file that cannot.
 */
export abstract class OpenFile extends Counted {
  /** Whether calls that need to read, or to write, the object are let through this file. */
  readonly mayRead: boolean = true
  readonly mayWrite: boolean = true
  /** Few files have some. */
  #listeners: Set<() => void> | undefined

  /** Up to `length` bytes; -EAGAIN where it would block. */
  read(_length: number): Uint8Array | number {
    return -EINVAL
  }

  ioctl(_process: KernelProcess, _request: number, _argument: bigint): number {
    return -ENOTTY
  }

  mmap(_request: MmapRequest): Mapping | number {
    return -ENODEV
  }

  /** POLL* that are true now. */
  poll(): number {
    return 0
  }

  /** What /proc/PID/fdinfo says beyond position and flags. */
  describe(): string {
    return ''
  }

  /** Calls `listener` each time `poll` may have something new; returns how to stop that. */
  onWakeUp(listener: () => void): () => void {
    const listeners = this.#listeners ?? new Set()
    this.#listeners = listeners.add(listener)
    return () => listeners.delete(listener)
  }

  protected wakeUp(): void {
    if (this.#listeners !== undefined) for (const listener of [...this.#listeners]) listener()
  }
}
