/** This process's memory, as far as it was asked for here: allocations and mappings. */
import type { UserMemory, UserPointer } from '../../abi/index.ts'
import { Heap } from './heap.ts'
import type { Libc } from './libc.ts'
import { Mappings } from './mappings.ts'

export class LinuxMemory implements UserMemory {
  readonly mappings: Mappings
  readonly #heap: Heap
  #isClosed = false

  constructor(libc: Libc) {
    this.#heap = new Heap(libc.addressOf)
    this.mappings = new Mappings(libc)
  }

  /** Allocations that have not been freed. */
  get allocations(): number {
    return this.#heap.allocations
  }

  allocate(sizeBytes: number): UserPointer {
    if (this.#isClosed) throw new Error('allocate: these system calls have been closed')
    return BigInt(this.#heap.allocate(sizeBytes))
  }

  free(pointer: UserPointer): void {
    // What was left when everything was closed is gone already.
    if (this.#isClosed) return
    if (!this.#heap.free(Number(pointer))) {
      throw new Error(`free of 0x${pointer.toString(16)}, which was not allocated`)
    }
  }

  view(pointer: UserPointer, sizeBytes: number): Uint8Array {
    const address = Number(pointer)
    const view = this.#heap.view(address, sizeBytes) ?? this.mappings.view(address, sizeBytes)
    if (view === undefined) {
      throw new RangeError(`${sizeBytes} bytes at 0x${pointer.toString(16)} are not mapped`)
    }
    return view
  }

  /** Whether the kernel may be given this range: all of it lies in one allocation or mapping. */
  holds(pointer: UserPointer, sizeBytes: number): boolean {
    const address = Number(pointer)
    return this.#heap.holds(address, sizeBytes) || this.mappings.holds(address, sizeBytes)
  }

  close(): void {
    this.#isClosed = true
    this.mappings.unmapAll()
    this.#heap.clear()
  }
}
