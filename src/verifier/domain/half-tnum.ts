/** A tracked number in 32-bit halves, for sums of many: V8 adds these in place, BigInts in calls. */
import { highOf, isBelow32, lowOf, wholeOf } from './halves.ts'
import type { Tnum } from './tnum.ts'

/** What the sum of two low halves, `sum`, carries over: `a` is one of them. */
const carry = (sum: number, a: number): number => (isBelow32(sum, a) ? 1 : 0)

export class HalfTnum {
  valueLow: number
  valueHigh: number
  maskLow: number
  maskHigh: number

  constructor(value: bigint, mask: bigint) {
    this.valueLow = lowOf(value)
    this.valueHigh = highOf(value)
    this.maskLow = lowOf(mask)
    this.maskHigh = highOf(mask)
  }

  get whole(): Tnum {
    return { value: wholeOf(this.valueLow, this.valueHigh), mask: wholeOf(this.maskLow, this.maskHigh) }
  }

  get isZero(): boolean {
    return (this.valueLow | this.valueHigh | this.maskLow | this.maskHigh) === 0
  }

  get isUnknown(): boolean {
    return (this.maskLow & this.maskHigh) === -1
  }

  /** Adds `b`; `isEither`: or does not. */
  add(b: HalfTnum, isEither: boolean): void {
    const valueLow = (this.valueLow + b.valueLow) | 0
    const valueHigh = (this.valueHigh + b.valueHigh + carry(valueLow, this.valueLow)) | 0
    const masksLow = (this.maskLow + b.maskLow) | 0
    const masksHigh = (this.maskHigh + b.maskHigh + carry(masksLow, this.maskLow)) | 0
    const mostLow = (valueLow + masksLow) | 0
    const mostHigh = (valueHigh + masksHigh + carry(mostLow, valueLow)) | 0
    let maskLow = (mostLow ^ valueLow) | this.maskLow | b.maskLow
    let maskHigh = (mostHigh ^ valueHigh) | this.maskHigh | b.maskHigh
    const sumLow = valueLow & ~maskLow
    const sumHigh = valueHigh & ~maskHigh
    if (isEither) {
      maskLow |= sumLow ^ this.valueLow
      maskHigh |= sumHigh ^ this.valueHigh
      this.valueLow &= sumLow & ~maskLow
      this.valueHigh &= sumHigh & ~maskHigh
    } else {
      this.valueLow = sumLow
      this.valueHigh = sumHigh
    }
    this.maskLow = maskLow
    this.maskHigh = maskHigh
  }

  halve(): void {
    this.valueLow = (this.valueLow >>> 1) | (this.valueHigh << 31)
    this.valueHigh >>>= 1
    this.maskLow = (this.maskLow >>> 1) | (this.maskHigh << 31)
    this.maskHigh >>>= 1
  }

  double(): void {
    this.valueHigh = (this.valueHigh << 1) | (this.valueLow >>> 31)
    this.valueLow <<= 1
    this.maskHigh = (this.maskHigh << 1) | (this.maskLow >>> 31)
    this.maskLow <<= 1
  }
}
