/** Checked copies of what a user's pointers and lengths claim. */
import { E2BIG, EFAULT } from '../abi/index.ts'
import type { UserAccess } from './types.ts'

/** A copy of `sizeBytes` bytes, or undefined for -EFAULT. The caller has bounded the size. */
export function readBytes(memory: UserAccess, pointer: bigint, sizeBytes: number): Uint8Array | undefined {
  const bytes = new Uint8Array(sizeBytes)
  return memory.read(pointer, bytes) ? bytes : undefined
}

export function writeU32(memory: UserAccess, pointer: bigint, value: number): boolean {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return memory.write(pointer, bytes)
}

/** Whether all of a range is zero: true, false, or -EFAULT. */
export function isZero(memory: UserAccess, pointer: bigint, sizeBytes: number): boolean | number {
  const bytes = readBytes(memory, pointer, sizeBytes)
  return bytes === undefined ? -EFAULT : bytes.every((byte) => byte === 0)
}

/** Text up to a NUL within `limit` bytes; -E2BIG where there is none, -EFAULT where the memory ends before. */
export function readString(memory: UserAccess, pointer: bigint, limit: number): string | number {
  const bytes: number[] = []
  const one = new Uint8Array(1)
  while (bytes.length < limit) {
    if (!memory.read(pointer + BigInt(bytes.length), one)) return -EFAULT
    if (one[0] === 0) return new TextDecoder().decode(Uint8Array.from(bytes))
    bytes.push(one[0] as number)
  }
  return -E2BIG
}
