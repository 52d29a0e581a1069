/**
 * The Internet's checksum: a sum of 16-bit words in one's complement, kept in 32 bits until it is folded.
 *
 * Words are little endian, as the CPU that computes them has it; only what is stored is compared.
 *
 * Source: RFC 1071; csum_partial(), csum_fold(), csum_add(), csum_sub() of include/net/checksum.h of Linux.
 */

export function addChecksums(a: number, b: number): number {
  const sum = (a >>> 0) + (b >>> 0)
  return ((sum >>> 0) + (sum > 0xffff_ffff ? 1 : 0)) >>> 0
}

export const subtractChecksum = (from: number, checksum: number): number => addChecksums(from, ~checksum)

/** `seed` plus the words of `bytes`; a last odd byte counts as the low half of a word. */
export function checksumOf(bytes: Uint8Array, seed = 0): number {
  let sum = 0
  for (let at = 0; at + 1 < bytes.length; at += 2) {
    sum += (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
  }
  if (bytes.length % 2 === 1) sum += bytes[bytes.length - 1] as number
  const high = Math.floor(sum / 2 ** 32)
  return addChecksums(addChecksums(sum >>> 0, high), seed)
}

/** 32 bits to 16, not yet complemented. */
export function halveChecksum(checksum: number): number {
  let sum = (checksum & 0xffff) + (checksum >>> 16)
  sum = (sum & 0xffff) + (sum >>> 16)
  return sum & 0xffff
}

/** What stands in a header. */
export const foldChecksum = (checksum: number): number => ~halveChecksum(checksum) & 0xffff
