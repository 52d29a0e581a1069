/**
 * Keeps the four ranges (signed and unsigned, 64 and 32 bits) and the known bits of a register in step: what one of
 * them says, the others learn.
 *
 * All functions change the register that they are given: it must be a copy that no state holds yet.
 *
 * Source: reg_bounds_sync and its parts in kernel/bpf/verifier.c of Linux 6.18; precision must be neither more
 * nor less than Linux's where verdicts are to agree.
 */
import { type Register, S32_MAX, S32_MIN, S64_MAX, S64_MIN, U32_MAX, U64_MAX } from './register.ts'
import { tnumIntersect, tnumRange, tnumStep } from './tnum.ts'

const LOW = 0xffff_ffffn
const HIGH = 0xffff_ffff_0000_0000n
const SIGN = 0x8000_0000_0000_0000n
const REST = 0x7fff_ffff_ffff_ffffn

const s64 = (x: bigint): bigint => BigInt.asIntN(64, x)
const u64 = (x: bigint): bigint => BigInt.asUintN(64, x)
const low32 = (x: bigint): number => Number(BigInt.asIntN(32, x))

function fromBits64(r: Register): void {
  const least = s64(r.value | (r.mask & SIGN))
  const most = s64(r.value | (r.mask & REST))
  if (least > r.smin) r.smin = least
  if (most < r.smax) r.smax = most
  if (r.value > r.umin) r.umin = r.value
  const top = r.value | r.mask
  if (top < r.umax) r.umax = top
  const only = onlyCommonValue(r)
  if (only !== undefined) r.setKnownBits(only)
}

/** Where the unsigned range and the known bits have exactly one value in common: that value. */
function onlyCommonValue(r: Register): bigint | undefined {
  const { mask, umin, umax } = r
  // A range without values belongs to a path that cannot be taken; what Linux makes of it then goes the long way.
  if (umin <= umax) {
    // Most masks are all ones from some bit down: then the range is already as good as the bits.
    if (mask === 0n || mask === U64_MAX || (mask & (mask + 1n)) === 0n) return undefined
    // All that the bits allow is in the range.
    if (umin <= r.value && umax >= (r.value | mask)) return undefined
  }
  const next = tnumStep(r, r.umin)
  const startsInside = (r.umin & ~r.mask) === r.value
  const top = r.value | r.mask
  if (startsInside) return next > r.umax ? r.umin : undefined
  if (next === top) return top
  return next <= r.umax && tnumStep(r, next) > r.umax ? next : undefined
}

function fromBits32(r: Register): void {
  const value = low32(r.value)
  const mask = low32(r.mask)
  r.s32min = Math.max(r.s32min, value | (mask & S32_MIN))
  r.s32max = Math.min(r.s32max, value | (mask & S32_MAX))
  r.u32min = Math.max(r.u32min, value >>> 0)
  r.u32max = Math.min(r.u32max, (value | mask) >>> 0)
}

export function updateBounds(r: Register): void {
  fromBits32(r)
  fromBits64(r)
}

const isUnbounded64 = (r: Register): boolean =>
  r.umin === 0n && r.umax === U64_MAX && r.smin === S64_MIN && r.smax === S64_MAX

const isUnbounded32 = (r: Register): boolean =>
  r.u32min === 0 && r.u32max === U32_MAX && r.s32min === S32_MIN && r.s32max === S32_MAX

function deduce32(r: Register): void {
  if (!isUnbounded64(r)) deduceLow(r)
  if ((r.u32min | 0) <= (r.u32max | 0)) {
    r.s32min = Math.max(r.s32min, r.u32min | 0)
    r.s32max = Math.min(r.s32max, r.u32max | 0)
  }
  if (r.s32min >>> 0 <= r.s32max >>> 0) {
    r.u32min = Math.max(r.s32min >>> 0, r.u32min)
    r.u32max = Math.min(r.s32max >>> 0, r.u32max)
  } else if (r.u32max < r.s32min >>> 0) {
    // As in `deduce64`: the unsigned range meets only one end of the signed one.
    r.s32min = r.u32min | 0
    r.u32max = Math.min(r.u32max, r.s32max >>> 0)
  } else if (r.s32max >>> 0 < r.u32min) {
    r.s32max = r.u32max | 0
    r.u32min = Math.max(r.u32min, r.s32min >>> 0)
  }
}

/** What the 64-bit ranges say of the lower half. */
function deduceLow(r: Register): void {
  const uminLow = low32(r.umin)
  const umaxLow = low32(r.umax)
  const sminLow = low32(r.smin)
  const smaxLow = low32(r.smax)
  const uminHigh = r.umin >> 32n
  const umaxHigh = r.umax >> 32n
  const sminHigh = r.smin >> 32n
  const smaxHigh = r.smax >> 32n
  // Equal upper halves: the lower halves are a range of their own.
  if (uminHigh === umaxHigh) {
    r.u32min = Math.max(r.u32min, uminLow >>> 0)
    r.u32max = Math.min(r.u32max, umaxLow >>> 0)
    if (uminLow <= umaxLow) {
      r.s32min = Math.max(r.s32min, uminLow)
      r.s32max = Math.min(r.s32max, umaxLow)
    }
  }
  if (sminHigh === smaxHigh) {
    if (sminLow >>> 0 <= smaxLow >>> 0) {
      r.u32min = Math.max(r.u32min, sminLow >>> 0)
      r.u32max = Math.min(r.u32max, smaxLow >>> 0)
    }
    if (sminLow <= smaxLow) {
      r.s32min = Math.max(r.s32min, sminLow)
      r.s32max = Math.min(r.s32max, smaxLow)
    }
  }
  // Neighbouring upper halves, lower halves from negative to positive.
  if (BigInt.asUintN(32, uminHigh + 1n) === umaxHigh && uminLow < 0 && umaxLow >= 0) {
    r.s32min = Math.max(r.s32min, uminLow)
    r.s32max = Math.min(r.s32max, umaxLow)
  }
  if (BigInt.asUintN(32, sminHigh + 1n) === BigInt.asUintN(32, smaxHigh) && sminLow < 0 && smaxLow >= 0) {
    r.s32min = Math.max(r.s32min, sminLow)
    r.s32max = Math.min(r.s32max, smaxLow)
  }
}

function deduce64(r: Register): void {
  const signedMin = s64(r.umin)
  const signedMax = s64(r.umax)
  if (signedMin <= signedMax) {
    if (signedMin > r.smin) r.smin = signedMin
    if (signedMax < r.smax) r.smax = signedMax
  }
  const unsignedMin = u64(r.smin)
  const unsignedMax = u64(r.smax)
  if (unsignedMin <= unsignedMax) {
    if (unsignedMin > r.umin) r.umin = unsignedMin
    if (unsignedMax < r.umax) r.umax = unsignedMax
  } else if (r.umax < unsignedMin) {
    // The signed range wraps around in unsigned terms, and the unsigned one meets only one of its ends.
    r.smin = s64(r.umin)
    if (unsignedMax < r.umax) r.umax = unsignedMax
  } else if (unsignedMax < r.umin) {
    r.smax = s64(r.umax)
    if (unsignedMin > r.umin) r.umin = unsignedMin
  }
}

function deduceMixed(r: Register): void {
  if (r.u32min !== 0) {
    const low = BigInt(r.u32min)
    const umin = (r.umin & HIGH) | low
    if (umin > r.umin) r.umin = umin
    const smin = s64((u64(r.smin) & HIGH) | low)
    if (smin > r.smin) r.smin = smin
  }
  if (r.u32max !== U32_MAX) {
    const high = BigInt(r.u32max)
    const umax = (r.umax & HIGH) | high
    if (umax < r.umax) r.umax = umax
    const smax = s64((u64(r.smax) & HIGH) | high)
    if (smax < r.smax) r.smax = smax
  }
  if (r.s32min >= 0 && r.smin >= -0x8000_0000n && r.smax <= 0x7fff_ffffn) {
    r.smin = BigInt(r.s32min)
    r.smax = BigInt(r.s32max)
    r.umin = r.smin
    r.umax = u64(r.smax)
    r.setTnum(tnumIntersect(r, tnumRange(u64(r.smin), u64(r.smax))))
  }
}

function boundBits(r: Register): void {
  const wide = r.umin === 0n && r.umax === U64_MAX ? r : tnumIntersect(r, tnumRange(r.umin, r.umax))
  if (r.u32min === 0 && r.u32max === U32_MAX) {
    r.setTnum(wide)
    return
  }
  const narrow = tnumIntersect(
    { value: wide.value & LOW, mask: wide.mask & LOW },
    tnumRange(BigInt(r.u32min), BigInt(r.u32max)),
  )
  const value = (wide.value & HIGH) | narrow.value
  r.value = value
  r.mask = ((wide.mask & HIGH) | narrow.mask) & ~value
}

/** Nothing is known of all 64 bits, or of the lower half while the upper is 0: there is nothing to learn. */
const isFullyUnknown = (r: Register): boolean =>
  isUnbounded32(r) &&
  ((r.mask === U64_MAX && isUnbounded64(r)) ||
    (r.mask === LOW && r.value === 0n && r.umin === 0n && r.umax === LOW && r.smin === 0n && r.smax === LOW))

/** Exactly known, and no range says otherwise. */
function isKnownAndAllowed(r: Register): boolean {
  if (r.mask !== 0n) return false
  const { value } = r
  if (value < r.umin || value > r.umax) return false
  const signed = s64(value)
  if (signed < r.smin || signed > r.smax) return false
  const low = low32(value)
  return low >= r.s32min && low <= r.s32max && low >>> 0 >= r.u32min && low >>> 0 <= r.u32max
}

/**
 * Two frequent cases first, in which the ranges need not be worked out: measured on the selftests of more than 1,000
 * instructions, they are 393,000 of a million calls.
 */
export function syncBounds(r: Register): void {
  if (isFullyUnknown(r)) return
  if (isKnownAndAllowed(r)) {
    r.setKnownBits(r.value)
    return
  }
  updateBounds(r)
  for (let round = 0; round < 3; round++) {
    const { umin, umax, smin, smax, u32min, u32max, s32min, s32max } = r
    deduce32(r)
    deduce64(r)
    deduceMixed(r)
    const isSettled =
      u32min === r.u32min &&
      u32max === r.u32max &&
      s32min === r.s32min &&
      s32max === r.s32max &&
      umin === r.umin &&
      umax === r.umax &&
      smin === r.smin &&
      smax === r.smax
    if (isSettled) break
  }
  boundBits(r)
  updateBounds(r)
}

/**
 * What is wrong with a register, in Linux's words: nothing can be in an empty range or differ from its known bits. If
 * something is, the path cannot be taken at all.
 */
export function boundsProblem(r: Register): string | undefined {
  if (r.umin > r.umax || r.smin > r.smax || r.u32min > r.u32max || r.s32min > r.s32max) {
    return 'range bounds violation'
  }
  if (r.mask === 0n) {
    const signed = s64(r.value)
    if (r.umin !== r.value || r.umax !== r.value || r.smin !== signed || r.smax !== signed) {
      return 'const tnum out of sync with range bounds'
    }
  }
  if ((r.mask & LOW) === 0n) {
    const low = low32(r.value)
    if (r.u32min !== low >>> 0 || r.u32max !== low >>> 0 || r.s32min !== low || r.s32max !== low) {
      return 'const subreg tnum out of sync with range bounds'
    }
  }
  return undefined
}

/** A 32-bit operation was done: the upper half is zero, the 64-bit ranges follow the 32-bit ones. */
export function zeroExtend32(r: Register): void {
  if ((r.mask & LOW) === LOW && isUnbounded32(r)) {
    r.value = 0n
    r.mask = LOW
    r.umin = 0n
    r.umax = LOW
    r.smin = 0n
    r.smax = LOW
    return
  }
  r.value &= LOW
  r.mask &= LOW
  r.umin = BigInt(r.u32min)
  r.umax = BigInt(r.u32max)
  if (r.s32min >= 0 && r.s32max >= 0) {
    r.smin = BigInt(r.s32min)
    r.smax = BigInt(r.s32max)
  } else {
    r.smin = 0n
    r.smax = LOW
  }
  syncBounds(r)
}

/** Keep the low `size` bytes, as a narrow load or store does. */
export function truncate(r: Register, size: number): void {
  r.value = BigInt.asUintN(size * 8, r.value)
  r.mask = BigInt.asUintN(size * 8, r.mask)
  const most = (1n << BigInt(size * 8)) - 1n
  if ((r.umin & ~most) === (r.umax & ~most)) {
    r.umin &= most
    r.umax &= most
  } else {
    r.umin = 0n
    r.umax = most
  }
  r.smin = r.umin
  r.smax = r.umax
  // A narrow register has no 32-bit bounds but those that follow from its 64-bit ones.
  if (size >= 4) {
    syncBounds(r)
    return
  }
  r.setUnbounded32()
  syncBounds(r)
}
