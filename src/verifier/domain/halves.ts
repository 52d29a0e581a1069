/**
 * The numeric part of one register as 32-bit halves: how bounds are worked out.
 *
 * V8 does the arithmetic of BigInt in calls that allocate, and that of 32-bit integers in place.
 *
 * Rules
 * - All fields are integers of 32 bits with a sign, whatever they stand for: V8 keeps these in the object itself.
 *   Whether a number has a sign is a matter of who compares it.
 * - `read` fills it from a register, `write` puts back what has changed since.
 */
import { type Register, S32_MIN } from './register.ts'

const signed = new BigInt64Array(6)
const unsigned = new BigUint64Array(signed.buffer)
const words = new Int32Array(signed.buffer)

/** `a < b` without a sign. */
export const isBelow32 = (a: number, b: number): boolean => (a ^ S32_MIN) < (b ^ S32_MIN)

/** `a < b` without a sign, of numbers in two halves. */
export const isBelow = (aLow: number, aHigh: number, bLow: number, bHigh: number): boolean =>
  aHigh === bHigh ? isBelow32(aLow, bLow) : isBelow32(aHigh, bHigh)

/** `a < b` with a sign. */
export const isLess = (aLow: number, aHigh: number, bLow: number, bHigh: number): boolean =>
  aHigh === bHigh ? isBelow32(aLow, bLow) : aHigh < bHigh

export class Halves {
  valueLow = 0
  valueHigh = 0
  maskLow = 0
  maskHigh = 0
  uminLow = 0
  uminHigh = 0
  umaxLow = 0
  umaxHigh = 0
  sminLow = 0
  sminHigh = 0
  smaxLow = 0
  smaxHigh = 0
  s32min = 0
  s32max = 0
  u32min = 0
  u32max = 0
  /** A bound became narrower since this was last set to false. */
  isNarrower = false

  read(r: Register): void {
    signed[0] = r.value
    signed[1] = r.mask
    signed[2] = r.umin
    signed[3] = r.umax
    signed[4] = r.smin
    signed[5] = r.smax
    this.valueLow = words[0] as number
    this.valueHigh = words[1] as number
    this.maskLow = words[2] as number
    this.maskHigh = words[3] as number
    this.uminLow = words[4] as number
    this.uminHigh = words[5] as number
    this.umaxLow = words[6] as number
    this.umaxHigh = words[7] as number
    this.sminLow = words[8] as number
    this.sminHigh = words[9] as number
    this.smaxLow = words[10] as number
    this.smaxHigh = words[11] as number
    this.s32min = r.s32min
    this.s32max = r.s32max
    this.u32min = r.u32min | 0
    this.u32max = r.u32max | 0
  }

  /** Into the register that was read last. */
  write(r: Register): void {
    if (change(0, this.valueLow, this.valueHigh)) r.value = unsigned[0] as bigint
    if (change(1, this.maskLow, this.maskHigh)) r.mask = unsigned[1] as bigint
    if (change(2, this.uminLow, this.uminHigh)) r.umin = unsigned[2] as bigint
    if (change(3, this.umaxLow, this.umaxHigh)) r.umax = unsigned[3] as bigint
    if (change(4, this.sminLow, this.sminHigh)) r.smin = signed[4] as bigint
    if (change(5, this.smaxLow, this.smaxHigh)) r.smax = signed[5] as bigint
    r.s32min = this.s32min
    r.s32max = this.s32max
    r.u32min = this.u32min >>> 0
    r.u32max = this.u32max >>> 0
  }

  setValue(low: number, high: number): void {
    this.valueLow = low
    this.valueHigh = high
  }

  setMask(low: number, high: number): void {
    this.maskLow = low
    this.maskHigh = high
  }

  setUmin(low: number, high: number): void {
    if (this.uminLow === low && this.uminHigh === high) return
    this.uminLow = low
    this.uminHigh = high
    this.isNarrower = true
  }

  setUmax(low: number, high: number): void {
    if (this.umaxLow === low && this.umaxHigh === high) return
    this.umaxLow = low
    this.umaxHigh = high
    this.isNarrower = true
  }

  setSmin(low: number, high: number): void {
    if (this.sminLow === low && this.sminHigh === high) return
    this.sminLow = low
    this.sminHigh = high
    this.isNarrower = true
  }

  setSmax(low: number, high: number): void {
    if (this.smaxLow === low && this.smaxHigh === high) return
    this.smaxLow = low
    this.smaxHigh = high
    this.isNarrower = true
  }

  setS32min(word: number): void {
    if (this.s32min === word) return
    this.s32min = word
    this.isNarrower = true
  }

  setS32max(word: number): void {
    if (this.s32max === word) return
    this.s32max = word
    this.isNarrower = true
  }

  setU32min(word: number): void {
    if (this.u32min === word) return
    this.u32min = word
    this.isNarrower = true
  }

  setU32max(word: number): void {
    if (this.u32max === word) return
    this.u32max = word
    this.isNarrower = true
  }

  /** Each bound at least (`raise`) or at most (`lower`) what is given. */
  raiseUmin(low: number, high: number): void {
    if (isBelow(this.uminLow, this.uminHigh, low, high)) this.setUmin(low, high)
  }

  lowerUmax(low: number, high: number): void {
    if (isBelow(low, high, this.umaxLow, this.umaxHigh)) this.setUmax(low, high)
  }

  raiseSmin(low: number, high: number): void {
    if (isLess(this.sminLow, this.sminHigh, low, high)) this.setSmin(low, high)
  }

  lowerSmax(low: number, high: number): void {
    if (isLess(low, high, this.smaxLow, this.smaxHigh)) this.setSmax(low, high)
  }

  raiseS32min(word: number): void {
    if (this.s32min < word) this.setS32min(word)
  }

  lowerS32max(word: number): void {
    if (word < this.s32max) this.setS32max(word)
  }

  raiseU32min(word: number): void {
    if (isBelow32(this.u32min, word)) this.setU32min(word)
  }

  lowerU32max(word: number): void {
    if (isBelow32(word, this.u32max)) this.setU32max(word)
  }

  /** The numeric part is exactly this. */
  setKnown(low: number, high: number): void {
    this.setValue(low, high)
    this.setMask(0, 0)
    this.setUmin(low, high)
    this.setUmax(low, high)
    this.setSmin(low, high)
    this.setSmax(low, high)
    this.s32min = low
    this.s32max = low
    this.u32min = low
    this.u32max = low
  }
}

/** Puts the halves where a whole number is made of them; false: they were there already. */
function change(i: number, low: number, high: number): boolean {
  if (words[2 * i] === low && words[2 * i + 1] === high) return false
  words[2 * i] = low
  words[2 * i + 1] = high
  return true
}

export const lowOf = (x: bigint): number => Number(BigInt.asIntN(32, x))
export const highOf = (x: bigint): number => Number(BigInt.asIntN(32, x >> 32n))

/** A whole number without a sign. */
export function wholeOf(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
}
