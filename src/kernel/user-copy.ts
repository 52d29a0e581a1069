/** Checked copies of what a user's pointers and lengths claim. */
import { E2BIG, EFAULT } from '../abi/index.ts'
import type { UserAccess } from './types.ts'

/** What is copied at a time: a size is a claim, for which nothing is allocated that the user does not have. */
const PIECE_BYTES = 1 << 20

/** A copy of `sizeBytes` bytes, or undefined for -EFAULT. */
export function readBytes(memory: UserAccess, pointer: bigint, sizeBytes: number): Uint8Array | undefined {
  if (sizeBytes > PIECE_BYTES) return readPieces(memory, pointer, sizeBytes)
  const bytes = new Uint8Array(sizeBytes)
  return memory.read(pointer, bytes) ? bytes : undefined
}

function readPieces(memory: UserAccess, pointer: bigint, sizeBytes: number): Uint8Array | undefined {
  const pieces: Uint8Array[] = []
  for (let at = 0; at < sizeBytes; at += PIECE_BYTES) {
    const piece = new Uint8Array(Math.min(PIECE_BYTES, sizeBytes - at))
    if (!memory.read(pointer + BigInt(at), piece)) return undefined
    pieces.push(piece)
  }
  const bytes = new Uint8Array(sizeBytes)
  for (const [i, piece] of pieces.entries()) bytes.set(piece, i * PIECE_BYTES)
  return bytes
}

export function writeU32(memory: UserAccess, pointer: bigint, value: number): boolean {
  // A view of so small an array costs more than to write its bytes.
  const bytes = new Uint8Array(4)
  for (let i = 0; i < 4; i++) bytes[i] = value >>> (8 * i)
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
