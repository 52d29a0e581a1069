/**
 * What arithmetic does to a scalar whose exact value is not known.
 *
 * `scalarOperation` changes its first argument, which must be a copy that no state holds. Where an operation can
 * overflow on some values and not on others, the range becomes unbounded; Linux's choices are followed exactly.
 *
 * Source: scalar_min_max_* and adjust_scalar_min_max_vals in kernel/bpf/verifier.c of Linux 6.18.
 */
import { syncBounds, truncate, updateBounds, zeroExtend32 } from './bounds.ts'
import {
  knownScalar,
  type Register,
  S32_MAX,
  S32_MIN,
  S64_MAX,
  S64_MIN,
  U32_MAX,
  U64_MAX,
} from './register.ts'
import {
  tnumAdd,
  tnumAnd,
  tnumLow,
  tnumMultiply,
  tnumNegate,
  tnumOr,
  tnumRange,
  tnumShiftLeft,
  tnumShiftRight,
  tnumShiftRightSigned,
  tnumSubtract,
  tnumXor,
} from './tnum.ts'

export type AluOperation =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'sdiv'
  | 'mod'
  | 'smod'
  | 'or'
  | 'and'
  | 'xor'
  | 'lsh'
  | 'rsh'
  | 'arsh'
  | 'neg'

const LOW = 0xffff_ffffn
const u64 = (x: bigint): bigint => BigInt.asUintN(64, x)
const s64 = (x: bigint): bigint => BigInt.asIntN(64, x)
const fitsS64 = (x: bigint): boolean => x >= S64_MIN && x <= S64_MAX
const fitsS32 = (x: number): boolean => x >= S32_MIN && x <= S32_MAX

const unboundSigned64 = (r: Register): void => {
  r.smin = S64_MIN
  r.smax = S64_MAX
}
const unboundUnsigned64 = (r: Register): void => {
  r.umin = 0n
  r.umax = U64_MAX
}
const unboundSigned32 = (r: Register): void => {
  r.s32min = S32_MIN
  r.s32max = S32_MAX
}
const unboundUnsigned32 = (r: Register): void => {
  r.u32min = 0
  r.u32max = U32_MAX
}

function add(d: Register, s: Register): void {
  const s32min = d.s32min + s.s32min
  const s32max = d.s32max + s.s32max
  d.s32min = s32min
  d.s32max = s32max
  if (!fitsS32(s32min) || !fitsS32(s32max)) unboundSigned32(d)
  const u32min = d.u32min + s.u32min
  const u32max = d.u32max + s.u32max
  d.u32min = u32min >>> 0
  d.u32max = u32max >>> 0
  if (u32min <= U32_MAX && u32max > U32_MAX) unboundUnsigned32(d)
  const smin = d.smin + s.smin
  const smax = d.smax + s.smax
  d.smin = smin
  d.smax = smax
  if (!fitsS64(smin) || !fitsS64(smax)) unboundSigned64(d)
  const umin = d.umin + s.umin
  const umax = d.umax + s.umax
  d.umin = u64(umin)
  d.umax = u64(umax)
  if (umin <= U64_MAX && umax > U64_MAX) unboundUnsigned64(d)
  d.setTnum(tnumAdd(d, s))
}

function subtract(d: Register, s: Register): void {
  const s32min = d.s32min - s.s32max
  const s32max = d.s32max - s.s32min
  d.s32min = s32min
  d.s32max = s32max
  if (!fitsS32(s32min) || !fitsS32(s32max)) unboundSigned32(d)
  const u32min = d.u32min - s.u32max
  const u32max = d.u32max - s.u32min
  d.u32min = u32min >>> 0
  d.u32max = u32max >>> 0
  if (u32min < 0 && u32max >= 0) unboundUnsigned32(d)
  const smin = d.smin - s.smax
  const smax = d.smax - s.smin
  d.smin = smin
  d.smax = smax
  if (!fitsS64(smin) || !fitsS64(smax)) unboundSigned64(d)
  const umin = d.umin - s.umax
  const umax = d.umax - s.umin
  d.umin = u64(umin)
  d.umax = u64(umax)
  if (umin < 0n && umax >= 0n) unboundUnsigned64(d)
  d.setTnum(tnumSubtract(d, s))
}

function multiply(d: Register, s: Register): void {
  d.setTnum(tnumMultiply(d, s))
  const u32max = BigInt(d.u32max) * BigInt(s.u32max)
  const u32min = BigInt(d.u32min) * BigInt(s.u32min)
  if (u32max > LOW || u32min > LOW) unboundUnsigned32(d)
  else {
    d.u32min = Number(u32min)
    d.u32max = Number(u32max)
  }
  const products32 = [
    BigInt(d.s32min) * BigInt(s.s32min),
    BigInt(d.s32min) * BigInt(s.s32max),
    BigInt(d.s32max) * BigInt(s.s32min),
    BigInt(d.s32max) * BigInt(s.s32max),
  ].map(Number)
  if (products32.every(fitsS32)) {
    d.s32min = Math.min(...products32)
    d.s32max = Math.max(...products32)
  } else unboundSigned32(d)
  const umax = d.umax * s.umax
  const umin = d.umin * s.umin
  if (umax > U64_MAX || umin > U64_MAX) unboundUnsigned64(d)
  else {
    d.umin = umin
    d.umax = umax
  }
  const products = [d.smin * s.smin, d.smin * s.smax, d.smax * s.smin, d.smax * s.smax]
  if (products.every(fitsS64)) {
    d.smin = least(products)
    d.smax = greatest(products)
  } else unboundSigned64(d)
}

function least(values: readonly bigint[]): bigint {
  let found = values[0] as bigint
  for (const value of values) if (value < found) found = value
  return found
}

function greatest(values: readonly bigint[]): bigint {
  let found = values[0] as bigint
  for (const value of values) if (value > found) found = value
  return found
}

/** After a bitwise operation: signed bounds follow from unsigned ones unless they cross the sign. */
function signedFromUnsigned32(d: Register): void {
  if ((d.u32min | 0) <= (d.u32max | 0)) {
    d.s32min = d.u32min | 0
    d.s32max = d.u32max | 0
  } else unboundSigned32(d)
}

function signedFromUnsigned64(d: Register): void {
  if (s64(d.umin) <= s64(d.umax)) {
    d.smin = s64(d.umin)
    d.smax = s64(d.umax)
  } else unboundSigned64(d)
}

/** The low half is exactly `value`; nothing new is known of the rest. */
export function setKnown32(d: Register, value: bigint): void {
  d.value = (d.value & ~LOW) | (value & LOW)
  d.mask &= ~LOW
  const low = Number(BigInt.asIntN(32, value))
  d.s32min = low
  d.s32max = low
  d.u32min = low >>> 0
  d.u32max = low >>> 0
}

function bitwise(op: 'and' | 'or' | 'xor', d: Register, s: Register): void {
  const known32 = (d.mask & LOW) === 0n && (s.mask & LOW) === 0n
  const known64 = d.mask === 0n && s.mask === 0n
  d.setTnum(op === 'and' ? tnumAnd(d, s) : op === 'or' ? tnumOr(d, s) : tnumXor(d, s))
  const low = Number(d.value & LOW)
  const top = Number((d.value | d.mask) & LOW)
  if (known32) setKnown32(d, d.value & LOW)
  else {
    if (op === 'and') {
      d.u32min = low
      d.u32max = Math.min(d.u32max, s.u32max)
    } else {
      d.u32min = op === 'or' ? Math.max(d.u32min, s.u32min) : low
      d.u32max = top
    }
    signedFromUnsigned32(d)
  }
  if (known64) {
    d.setKnownBits(d.value)
    return
  }
  if (op === 'and') {
    d.umin = d.value
    if (s.umax < d.umax) d.umax = s.umax
  } else {
    if (op === 'xor') d.umin = d.value
    else if (s.umin > d.umin) d.umin = s.umin
    d.umax = d.value | d.mask
  }
  signedFromUnsigned64(d)
}

function unbound64(d: Register): void {
  unboundSigned64(d)
  unboundUnsigned64(d)
}

function lowShiftLeft(d: Register, by: number): void {
  unboundSigned32(d)
  if (by > 31 || d.u32max > 0x8000_0000 >>> by) unboundUnsigned32(d)
  else {
    d.u32min = (d.u32min << by) >>> 0
    d.u32max = (d.u32max << by) >>> 0
  }
}

function update32(d: Register): void {
  const value = Number(BigInt.asIntN(32, d.value))
  const mask = Number(BigInt.asIntN(32, d.mask))
  d.s32min = Math.max(d.s32min, value | (mask & S32_MIN))
  d.s32max = Math.min(d.s32max, value | (mask & S32_MAX))
  d.u32min = Math.max(d.u32min, value >>> 0)
  d.u32max = Math.min(d.u32max, (value | mask) >>> 0)
}

function shiftLeft(d: Register, by: number, is32: boolean): void {
  const wide = BigInt(by)
  if (is32) {
    lowShiftLeft(d, by)
    d.setTnum(tnumLow(tnumShiftLeft(tnumLow(d), by)))
    unbound64(d)
    update32(d)
    return
  }
  if (by === 32) {
    // Half of a sign extension by two shifts: the lower half's signed range moves up.
    d.smin = BigInt(d.s32min) << 32n
    d.smax = BigInt(d.s32max) << 32n
  } else unboundSigned64(d)
  if (d.umax > 1n << (63n - wide)) unboundUnsigned64(d)
  else {
    d.umin <<= wide
    d.umax <<= wide
  }
  lowShiftLeft(d, by)
  d.setTnum(tnumShiftLeft(d, by))
}

function shiftRight(d: Register, by: number, is32: boolean): void {
  if (is32) {
    unboundSigned32(d)
    d.setTnum(tnumShiftRight(tnumLow(d), by))
    d.u32min >>>= by
    d.u32max >>>= by
    unbound64(d)
    update32(d)
    return
  }
  unboundSigned64(d)
  d.setTnum(tnumShiftRight(d, by))
  d.umin >>= BigInt(by)
  d.umax >>= BigInt(by)
  d.setUnbounded32()
}

function shiftRightSigned(d: Register, by: number, is32: boolean): void {
  if (is32) {
    d.s32min >>= by
    d.s32max >>= by
    d.setTnum(tnumShiftRightSigned(tnumLow(d), by, 32))
    unboundUnsigned32(d)
    unbound64(d)
    update32(d)
    return
  }
  d.smin >>= BigInt(by)
  d.smax >>= BigInt(by)
  d.setTnum(tnumShiftRightSigned(d, by, 64))
  unboundUnsigned64(d)
  d.setUnbounded32()
}

function exact(op: AluOperation, a: bigint, b: bigint): bigint | undefined {
  switch (op) {
    case 'add':
      return a + b
    case 'sub':
      return a - b
    case 'mul':
      return a * b
    case 'and':
      return a & b
    case 'or':
      return a | b
    case 'xor':
      return a ^ b
    case 'neg':
      return -a
    default:
      return undefined
  }
}

/** Forget everything but that it is a scalar. */
export function makeUnknown(d: Register): void {
  d.off = 0
  d.id = 0
  d.refObjId = 0
  d.frame = 0
  d.precise = false
  d.value = 0n
  d.mask = U64_MAX
  d.setUnbounded()
}

/** `d = d op s` on scalars, where the low half only counts if `is32`, and the upper half is then 0. */
export function scalarOperation(op: AluOperation, d: Register, s: Register, is32: boolean): void {
  // Exact operands are most of what loops do; the general way gives the same answer, at ten times the price.
  if (d.mask === 0n && s.mask === 0n && d.umin === d.umax && s.umin === s.umax) {
    const result = exact(op, d.value, s.value)
    if (result !== undefined) {
      d.setKnownBits(is32 ? BigInt.asUintN(32, result) : result)
      return
    }
  }
  switch (op) {
    case 'add':
      add(d, s)
      break
    case 'sub':
      subtract(d, s)
      break
    case 'neg': {
      const operand = d.copy()
      d.setKnownBits(0n)
      subtract(d, operand)
      d.setTnum(tnumNegate(operand))
      break
    }
    case 'mul':
      multiply(d, s)
      break
    case 'and':
    case 'or':
    case 'xor':
      bitwise(op, d, s)
      // What the bits say of the lower half is all that the upper one is made of.
      if (is32) updateBounds(d)
      break
    case 'lsh':
    case 'rsh':
    case 'arsh': {
      const isConst = is32
        ? (s.mask & LOW) === 0n && s.s32min === s.s32max && s.u32min === s.u32max
        : s.mask === 0n && s.smin === s.smax && s.umin === s.umax
      if (!isConst || s.umax >= (is32 ? 32n : 64n)) {
        makeUnknown(d)
        return
      }
      const by = Number(s.umin)
      if (op === 'lsh') shiftLeft(d, by, is32)
      else if (op === 'rsh') shiftRight(d, by, is32)
      else shiftRightSigned(d, by, is32)
      break
    }
    default:
      makeUnknown(d)
      return
  }
  if (is32) zeroExtend32(d)
  else syncBounds(d)
}

/** `d += by`, for registers that stay a fixed distance apart. */
export function addDistance(d: Register, by: number, is32: boolean): void {
  add(d, knownScalar(BigInt(by)))
  if (is32) zeroExtend32(d)
  syncBounds(d)
}

function swapBytes(value: bigint, bytes: number): bigint {
  let result = 0n
  for (let i = 0n; i < BigInt(bytes); i++) result = (result << 8n) | ((value >> (i * 8n)) & 0xffn)
  return result
}

/** Byte swap, or truncation to as many bits where the order is the machine's own. */
export function changeByteOrder(r: Register, bits: number, swaps: boolean): void {
  if (swaps) {
    r.value = swapBytes(r.value, bits / 8)
    r.mask = swapBytes(r.mask, bits / 8)
    r.setUnbounded()
  }
  if (bits < 64) truncate(r, bits / 8)
  else syncBounds(r)
}

const SIGNED_RANGE: Readonly<Record<number, readonly [number, number]>> = {
  1: [-0x80, 0x7f],
  2: [-0x8000, 0x7fff],
  4: [S32_MIN, S32_MAX],
}

/** The low `size` bytes, sign extended to 64 bits. */
export function signExtend64(r: Register, size: 1 | 2 | 4): void {
  const bits = size * 8
  if (r.mask === 0n) {
    r.setKnownBits(BigInt.asIntN(bits, r.value))
    return
  }
  const shift = BigInt(bits)
  if (u64(r.smax) >> shift === u64(r.smin) >> shift) {
    const a = BigInt.asIntN(bits, r.smax)
    const b = BigInt.asIntN(bits, r.smin)
    const min = a < b ? a : b
    const max = a < b ? b : a
    if (max >= 0n === min >= 0n) {
      r.smin = min
      r.smax = max
      r.umin = u64(min)
      r.umax = u64(max)
      r.s32min = Number(BigInt.asIntN(32, min))
      r.s32max = Number(BigInt.asIntN(32, max))
      r.u32min = r.s32min >>> 0
      r.u32max = r.s32max >>> 0
      r.setTnum(tnumRange(r.umin, r.umax))
      return
    }
  }
  const [min, max] = SIGNED_RANGE[size] as readonly [number, number]
  r.smin = BigInt(min)
  r.smax = BigInt(max)
  r.s32min = min
  r.s32max = max
  unboundUnsigned64(r)
  unboundUnsigned32(r)
  r.value = 0n
  r.mask = U64_MAX
}

/** The low `size` bytes, sign extended to 32 bits; the caller zero extends from there. */
export function signExtend32(r: Register, size: 1 | 2): void {
  const bits = size * 8
  if (r.mask === 0n) {
    const value = BigInt.asIntN(bits, r.value)
    const low = Number(value)
    r.value = u64(value)
    r.s32min = low
    r.s32max = low
    r.u32min = low >>> 0
    r.u32max = low >>> 0
    return
  }
  if (r.s32max >>> bits === r.s32min >>> bits) {
    const a = (r.s32max << (32 - bits)) >> (32 - bits)
    const b = (r.s32min << (32 - bits)) >> (32 - bits)
    const min = Math.min(a, b)
    const max = Math.max(a, b)
    if (min >= 0 === max >= 0) {
      r.s32min = min
      r.s32max = max
      r.u32min = min >>> 0
      r.u32max = max >>> 0
      r.setTnum(tnumLow(tnumRange(u64(BigInt(min)), u64(BigInt(max)))))
      return
    }
  }
  const [min, max] = SIGNED_RANGE[size] as readonly [number, number]
  r.s32min = min
  r.s32max = max
  unboundUnsigned32(r)
  r.value = 0n
  r.mask = LOW
}
