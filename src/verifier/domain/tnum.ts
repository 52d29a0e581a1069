/**
 * Tracked numbers: 64-bit values of which some bits are known.
 *
 * `value` holds the known bits, `mask` has a one for each unknown bit; `value & mask` is 0. Both are unsigned.
 * Each operation gives a tnum that contains every result of the operation on members of its operands.
 *
 * Source: H. Vishwanathan et al., "Sound, Precise, and Fast Abstract Interpretation with Tristate Numbers" (2022);
 * kernel/bpf/tnum.c of Linux 6.18 for which of several sound answers is given.
 */
import { HalfTnum } from './half-tnum.ts'

export interface Tnum {
  readonly value: bigint
  readonly mask: bigint
}

const ALL = 0xffff_ffff_ffff_ffffn
const LOW = 0xffff_ffffn
const u64 = (x: bigint): bigint => BigInt.asUintN(64, x)

export const TNUM_UNKNOWN: Tnum = { value: 0n, mask: ALL }

export const tnumConst = (value: bigint): Tnum => ({ value: u64(value), mask: 0n })

/** Bits needed to write `x`. */
export function bitLength(x: bigint): number {
  const high = Number(x >> 32n)
  return high !== 0 ? 64 - Math.clz32(high) : 32 - Math.clz32(Number(x & LOW))
}

/** The smallest tnum with all of `min..max` (unsigned). */
export function tnumRange(min: bigint, max: bigint): Tnum {
  const bits = bitLength(min ^ max)
  if (bits > 63) return TNUM_UNKNOWN
  const delta = (1n << BigInt(bits)) - 1n
  return { value: min & ~delta, mask: delta }
}

export const tnumShiftLeft = (a: Tnum, by: number): Tnum => ({
  value: u64(a.value << BigInt(by)),
  mask: u64(a.mask << BigInt(by)),
})

export const tnumShiftRight = (a: Tnum, by: number): Tnum => ({
  value: a.value >> BigInt(by),
  mask: a.mask >> BigInt(by),
})

/** Arithmetic shift of `bits` (32 or 64) wide numbers. */
export function tnumShiftRightSigned(a: Tnum, by: number, bits: 32 | 64): Tnum {
  const shift = (x: bigint): bigint => BigInt.asUintN(bits, BigInt.asIntN(bits, x) >> BigInt(by))
  return { value: shift(a.value), mask: shift(a.mask) }
}

export function tnumAdd(a: Tnum, b: Tnum): Tnum {
  const sumOfMasks = u64(a.mask + b.mask)
  const sumOfValues = u64(a.value + b.value)
  const sigma = u64(sumOfMasks + sumOfValues)
  const mask = (sigma ^ sumOfValues) | a.mask | b.mask
  return { value: sumOfValues & ~mask, mask }
}

export function tnumSubtract(a: Tnum, b: Tnum): Tnum {
  const difference = u64(a.value - b.value)
  const alpha = u64(difference + a.mask)
  const beta = u64(difference - b.mask)
  const mask = (alpha ^ beta) | a.mask | b.mask
  return { value: difference & ~mask, mask }
}

export const tnumNegate = (a: Tnum): Tnum => tnumSubtract(tnumConst(0n), a)

export function tnumAnd(a: Tnum, b: Tnum): Tnum {
  const alpha = a.value | a.mask
  const beta = b.value | b.mask
  const value = a.value & b.value
  return { value, mask: alpha & beta & ~value }
}

export function tnumOr(a: Tnum, b: Tnum): Tnum {
  const value = a.value | b.value
  const mask = a.mask | b.mask
  return { value, mask: mask & ~value }
}

export function tnumXor(a: Tnum, b: Tnum): Tnum {
  const mask = a.mask | b.mask
  return { value: (a.value ^ b.value) & ~mask, mask }
}

/** What a value can be that is in `a` or in `b`. */
export function tnumUnion(a: Tnum, b: Tnum): Tnum {
  const value = a.value & b.value
  const mask = (a.value ^ b.value) | a.mask | b.mask
  return { value: value & ~mask, mask }
}

/**
 * Long multiplication, the partial products of an unknown bit being "either" of two sums: in 32-bit halves, as there are
 * up to 64 of them.
 */
export function tnumMultiply(a: Tnum, b: Tnum): Tnum {
  const sum = new HalfTnum(0n, 0n)
  const multiplicand = new HalfTnum(b.value, b.mask)
  const factor = new HalfTnum(a.value, a.mask)
  while (!factor.isZero) {
    if ((factor.valueLow & 1) !== 0) sum.add(multiplicand, false)
    else if ((factor.maskLow & 1) !== 0) sum.add(multiplicand, true)
    // Whatever is added to what nothing is known of, nothing is known of it.
    if (sum.isUnknown) return TNUM_UNKNOWN
    factor.halve()
    multiplicand.double()
  }
  return sum.whole
}

/** Is every value of `a` and `b` possibly the same? */
export const tnumOverlap = (a: Tnum, b: Tnum): boolean => {
  const common = ~a.mask & ~b.mask
  return (a.value & common) === (b.value & common)
}

/** What is in both; meaningless when nothing is. */
export function tnumIntersect(a: Tnum, b: Tnum): Tnum {
  const mask = a.mask & b.mask
  return { value: (a.value | b.value) & ~mask, mask }
}

/** The low `bytes` bytes, the rest zero. */
export function tnumCast(a: Tnum, bytes: number): Tnum {
  const bits = bytes * 8
  return { value: BigInt.asUintN(bits, a.value), mask: BigInt.asUintN(bits, a.mask) }
}

export const tnumIsAligned = (a: Tnum, size: bigint): boolean => ((a.value | a.mask) & (size - 1n)) === 0n

/** Is every value of `b` also one of `a`? */
export const tnumContains = (a: Tnum, b: Tnum): boolean =>
  (b.mask & ~a.mask) === 0n && a.value === (b.value & ~a.mask)

export const tnumLow = (a: Tnum): Tnum => tnumCast(a, 4)
export const tnumClearLow = (a: Tnum): Tnum => ({ value: a.value & ~LOW, mask: a.mask & ~LOW })
export const tnumWithLow = (a: Tnum, low: Tnum): Tnum => ({
  value: (a.value & ~LOW) | (low.value & LOW),
  mask: (a.mask & ~LOW) | (low.mask & LOW),
})

const U64 = 0xffff_ffff_ffff_ffffn

/** The least value of `t` above `z`; the greatest if there is none. */
export function tnumStep(t: Tnum, z: bigint): bigint {
  const top = t.value | t.mask
  if (z >= top) return top
  if (z < t.value) return t.value
  const distance = z - t.value
  const fixed = distance & ~t.mask & U64
  const carry = fixed === 0n ? 0n : (1n << BigInt(bitLength(fixed))) - 1n
  const filled = (distance | carry | ~t.mask) & U64
  return t.value | ((filled + 1n) & t.mask)
}

/** `(0x0; 0xff)`, as Linux prints it; a number, if it is one. */
export function tnumText(value: bigint, mask: bigint): string {
  if (mask === 0n) return value <= 0xffffn ? `${value}` : `0x${value.toString(16)}`
  return `(0x${value.toString(16)}; 0x${mask.toString(16)})`
}
