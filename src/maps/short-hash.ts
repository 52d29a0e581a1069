/**
 * The hash of keys of 4 and 8 bytes where the seed is random and so the order of keys is nobody's to know: a third of
 * `jhash`'s work. A map with BPF_F_ZERO_SEED hashes as Linux does.
 */
import { BPF_F_ZERO_SEED } from '../abi/index.ts'

export const SHORT_HASH_FIRST = 0x85ebca6b
export const SHORT_HASH_SECOND = 0xc2b2ae35

export const hasShortHash = (keySize: number, flags: number): boolean =>
  (keySize === 4 || keySize === 8) && (flags & BPF_F_ZERO_SEED) === 0

/** Unsigned; `length` is 4 or 8. */
export function shortHash(view: DataView, offset: number, length: number, seed: number): number {
  let hash = Math.imul(view.getInt32(offset, true) ^ seed, SHORT_HASH_FIRST)
  hash ^= hash >>> 15
  if (length === 8) {
    hash = Math.imul(hash ^ view.getInt32(offset + 4, true), SHORT_HASH_SECOND)
    hash ^= hash >>> 13
  }
  return hash >>> 0
}
