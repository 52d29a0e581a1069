import type { UserMemory, UserPointer } from '../../abi/index.ts'

/**
 * A process's memory for tests: every allocation its own bytes, an unmapped gap behind each.
 *
 * `allocations` and `mappings` are what is live, so that a test can tell that nothing was leaked.
 */
export class FakeMemory implements UserMemory {
  readonly #regions = new Map<bigint, Uint8Array>()
  readonly #mapped = new Set<bigint>()
  #next = 0x10_0000n

  get allocations(): number {
    return this.#regions.size - this.#mapped.size
  }

  get mappings(): number {
    return this.#mapped.size
  }

  allocate(sizeBytes: number): UserPointer {
    return this.#place(new Uint8Array(sizeBytes))
  }

  free(pointer: UserPointer): void {
    if (this.#mapped.has(pointer) || !this.#regions.delete(pointer)) {
      throw new Error(`free of 0x${pointer.toString(16)}, which is not allocated`)
    }
  }

  view(pointer: UserPointer, sizeBytes: number): Uint8Array {
    for (const [base, bytes] of this.#regions) {
      const start = Number(pointer - base)
      if (start >= 0 && start + sizeBytes <= bytes.length) return bytes.subarray(start, start + sizeBytes)
    }
    throw new Error(`${sizeBytes} bytes at 0x${pointer.toString(16)} are not mapped`)
  }

  /** Shows `bytes`, shared, until `unmap`. */
  map(bytes: Uint8Array): UserPointer {
    const pointer = this.#place(bytes)
    this.#mapped.add(pointer)
    return pointer
  }

  unmap(pointer: UserPointer): boolean {
    return this.#mapped.delete(pointer) && this.#regions.delete(pointer)
  }

  #place(bytes: Uint8Array): UserPointer {
    const pointer = this.#next
    this.#next += BigInt((bytes.length + 0x1fff) & ~0xfff)
    this.#regions.set(pointer, bytes)
    return pointer
  }
}
