/**
 * Bob Jenkins' lookup3 hash as Linux's hash maps use it, so that with BPF_F_ZERO_SEED keys come in the same
 * order as there.
 *
 * Source: https://burtleburtle.net/bob/c/lookup3.c (hashlittle); the start value is that of
 * include/linux/jhash.h. For lengths that are a multiple of 4, jhash2 of Linux gives the same on a little-endian
 * machine.
 */

const GOLDEN = 0xdeadbeef

/** Hash of `length` bytes at `offset`, unsigned. */
export function jhash(view: DataView, offset: number, length: number, seed: number): number {
  let a = (GOLDEN + length + seed) | 0
  let b = a
  let c = a
  let at = offset
  let left = length
  while (left > 12) {
    a = (a + view.getInt32(at, true)) | 0
    b = (b + view.getInt32(at + 4, true)) | 0
    c = (c + view.getInt32(at + 8, true)) | 0
    a = ((a - c) | 0) ^ ((c << 4) | (c >>> 28))
    c = (c + b) | 0
    b = ((b - a) | 0) ^ ((a << 6) | (a >>> 26))
    a = (a + c) | 0
    c = ((c - b) | 0) ^ ((b << 8) | (b >>> 24))
    b = (b + a) | 0
    a = ((a - c) | 0) ^ ((c << 16) | (c >>> 16))
    c = (c + b) | 0
    b = ((b - a) | 0) ^ ((a << 19) | (a >>> 13))
    a = (a + c) | 0
    c = ((c - b) | 0) ^ ((b << 4) | (b >>> 28))
    b = (b + a) | 0
    at += 12
    left -= 12
  }
  if (left === 0) return c >>> 0
  a = (a + tail(view, at, left)) | 0
  b = (b + tail(view, at + 4, left - 4)) | 0
  c = (c + tail(view, at + 8, left - 8)) | 0

  c = ((c ^ b) - ((b << 14) | (b >>> 18))) | 0
  a = ((a ^ c) - ((c << 11) | (c >>> 21))) | 0
  b = ((b ^ a) - ((a << 25) | (a >>> 7))) | 0
  c = ((c ^ b) - ((b << 16) | (b >>> 16))) | 0
  a = ((a ^ c) - ((c << 4) | (c >>> 28))) | 0
  b = ((b ^ a) - ((a << 14) | (a >>> 18))) | 0
  c = ((c ^ b) - ((b << 24) | (b >>> 8))) | 0
  return c >>> 0
}

/** The little-endian word at `at` of which only the first `left` bytes count. */
function tail(view: DataView, at: number, left: number): number {
  if (left >= 4) return view.getInt32(at, true)
  if (left <= 0) return 0
  let word = view.getUint8(at)
  if (left > 1) word |= view.getUint8(at + 1) << 8
  if (left > 2) word |= view.getUint8(at + 2) << 16
  return word
}
