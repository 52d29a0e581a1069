/**
 * Shifts and comparisons of 64-bit values as pairs of 32-bit words.
 *
 * V8 compiles `+ - * & | ^` of a BigUint64Array's elements to machine words, but not (in Node 20) shifts and
 * comparisons, which allocate: 15 to 28 ns each as BigInt, 4 to 6 ns in this form.
 */

/** `rd <<= n`, where `low` is the index of rd's low word and n is 0 to 63. */
export function shiftLeft(w: Int32Array, low: number, n: number): void {
  const lo = w[low] as number
  if (n >= 32) {
    w[low + 1] = lo << (n - 32)
    w[low] = 0
  } else if (n > 0) {
    w[low + 1] = ((w[low + 1] as number) << n) | (lo >>> (32 - n))
    w[low] = lo << n
  }
}

/** `rd >>= n`, unsigned. */
export function shiftRight(w: Int32Array, low: number, n: number): void {
  const hi = w[low + 1] as number
  if (n >= 32) {
    w[low] = hi >>> (n - 32)
    w[low + 1] = 0
  } else if (n > 0) {
    w[low] = ((w[low] as number) >>> n) | (hi << (32 - n))
    w[low + 1] = hi >>> n
  }
}

/** `rd s>>= n`: the sign is shifted in. */
export function shiftRightSigned(w: Int32Array, low: number, n: number): void {
  const hi = w[low + 1] as number
  if (n >= 32) {
    w[low] = hi >> (n - 32)
    w[low + 1] = hi >> 31
  } else if (n > 0) {
    w[low] = ((w[low] as number) >>> n) | (hi << (32 - n))
    w[low + 1] = hi >> n
  }
}

export const equal = (u: Uint32Array, a: number, b: number): boolean => u[a] === u[b] && u[a + 1] === u[b + 1]

/** Unsigned a < b, of 64-bit values given by the index of their low word. */
export function below(u: Uint32Array, a: number, b: number): boolean {
  const high = u[a + 1] as number
  const other = u[b + 1] as number
  return high < other || (high === other && (u[a] as number) < (u[b] as number))
}

/** Signed a < b. */
export function less(w: Int32Array, u: Uint32Array, a: number, b: number): boolean {
  const high = w[a + 1] as number
  const other = w[b + 1] as number
  return high < other || (high === other && (u[a] as number) < (u[b] as number))
}

export function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff)
}

export function swap32(value: number): number {
  return (swap16(value) << 16) | swap16(value >>> 16)
}
