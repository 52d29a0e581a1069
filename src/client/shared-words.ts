/**
 * Words that the kernel writes at any time, and reads behind our back.
 *
 * A position that is read promises the bytes before it, a position that is written says that they have been read:
 * `Atomics` orders both on every architecture, where a plain access would do so on x86-64 alone.
 */
import type { UserMemory, UserPointer } from '../abi/index.ts'

/** A 64-bit number at an address that is a multiple of 8. Exact up to 2^53. */
export function loadPosition(memory: UserMemory, pointer: UserPointer): number {
  const { buffer, byteOffset } = memory.view(pointer, 8)
  return Number(Atomics.load(new BigUint64Array(buffer, byteOffset, 1), 0))
}

export function storePosition(memory: UserMemory, pointer: UserPointer, position: number): void {
  const { buffer, byteOffset } = memory.view(pointer, 8)
  Atomics.store(new BigUint64Array(buffer, byteOffset, 1), 0, BigInt(position))
}

/** A 32-bit number at an address that is a multiple of 4. */
export function loadWord(memory: UserMemory, pointer: UserPointer): number {
  const { buffer, byteOffset } = memory.view(pointer, 4)
  return Atomics.load(new Uint32Array(buffer, byteOffset, 1), 0)
}
