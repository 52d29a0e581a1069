/**
 * What a comparison of two scalars tells: which way it must go, and what each side can be on either way.
 *
 * Source: is_scalar_branch_taken and regs_refine_cond_op in kernel/bpf/verifier.c of Linux 6.18.
 */
import type { Register } from './register.ts'
import { tnumAnd, tnumConst, tnumIntersect, tnumLow, tnumOr, tnumOverlap, tnumWithLow } from './tnum.ts'

/** Upper bits of jump opcodes; `NOT_SET` is the opposite of `SET`, which has no opcode. */
export const JUMP = {
  JA: 0x00,
  EQ: 0x10,
  GT: 0x20,
  GE: 0x30,
  SET: 0x40,
  NE: 0x50,
  SGT: 0x60,
  SGE: 0x70,
  LT: 0xa0,
  LE: 0xb0,
  SLT: 0xc0,
  SLE: 0xd0,
  NOT_SET: 0x48,
} as const

const OPPOSITE: Readonly<Record<number, number>> = {
  [JUMP.EQ]: JUMP.NE,
  [JUMP.NE]: JUMP.EQ,
  [JUMP.SET]: JUMP.NOT_SET,
  [JUMP.NOT_SET]: JUMP.SET,
  [JUMP.GE]: JUMP.LT,
  [JUMP.GT]: JUMP.LE,
  [JUMP.LE]: JUMP.GT,
  [JUMP.LT]: JUMP.GE,
  [JUMP.SGE]: JUMP.SLT,
  [JUMP.SGT]: JUMP.SLE,
  [JUMP.SLE]: JUMP.SGT,
  [JUMP.SLT]: JUMP.SGE,
}

const SWAPPED: Readonly<Record<number, number>> = {
  [JUMP.EQ]: JUMP.EQ,
  [JUMP.NE]: JUMP.NE,
  [JUMP.SET]: JUMP.SET,
  [JUMP.GE]: JUMP.LE,
  [JUMP.GT]: JUMP.LT,
  [JUMP.LE]: JUMP.GE,
  [JUMP.LT]: JUMP.GT,
  [JUMP.SGE]: JUMP.SLE,
  [JUMP.SGT]: JUMP.SLT,
  [JUMP.SLE]: JUMP.SGE,
  [JUMP.SLT]: JUMP.SGT,
}

/** The comparison that holds where `code` does not. */
export const oppositeOf = (code: number): number => OPPOSITE[code] as number
/** `b op' a` that is `a op b`. */
export const swappedOf = (code: number): number => SWAPPED[code] ?? 0

const LOW = 0xffff_ffffn
const low32 = (x: bigint): number => Number(BigInt.asIntN(32, x))

export const isConst = (r: Register, is32: boolean): boolean => (is32 ? (r.mask & LOW) === 0n : r.mask === 0n)
export const constOf = (r: Register, is32: boolean): bigint => (is32 ? r.value & LOW : r.value)

type Decision = boolean | undefined

function ordered(
  code: number,
  aMin: bigint | number,
  aMax: bigint | number,
  bMin: bigint | number,
  bMax: bigint | number,
): Decision {
  switch (code) {
    case JUMP.GT:
    case JUMP.SGT:
      return aMin > bMax ? true : aMax <= bMin ? false : undefined
    case JUMP.LT:
    case JUMP.SLT:
      return aMax < bMin ? true : aMin >= bMax ? false : undefined
    case JUMP.GE:
    case JUMP.SGE:
      return aMin >= bMax ? true : aMax < bMin ? false : undefined
    default:
      return aMax <= bMin ? true : aMin > bMax ? false : undefined
  }
}

const apart = (
  aMin: bigint | number,
  aMax: bigint | number,
  bMin: bigint | number,
  bMax: bigint | number,
): boolean => aMin > bMax || aMax < bMin

/** Certainly different. */
function differ(a: Register, b: Register, is32: boolean): boolean {
  const apart32 = (): boolean =>
    apart(a.u32min, a.u32max, b.u32min, b.u32max) || apart(a.s32min, a.s32max, b.s32min, b.s32max)
  if (is32) return apart32()
  return apart(a.umin, a.umax, b.umin, b.umax) || apart(a.smin, a.smax, b.smin, b.smax) || apart32()
}

/** True: taken; false: not taken; undefined: both are possible. */
export function decide(code: number, a: Register, b: Register, is32: boolean): Decision {
  switch (code) {
    case JUMP.EQ:
    case JUMP.NE: {
      const onEqual = code === JUMP.EQ
      if (isConst(a, is32) && isConst(b, is32)) return (constOf(a, is32) === constOf(b, is32)) === onEqual
      const ta = is32 ? tnumLow(a) : a
      const tb = is32 ? tnumLow(b) : b
      if (!tnumOverlap(ta, tb)) return !onEqual
      return differ(a, b, is32) ? !onEqual : undefined
    }
    case JUMP.SET: {
      const [x, y] = isConst(b, is32) ? [a, b] : [b, a]
      if (!isConst(y, is32)) return undefined
      const t = is32 ? tnumLow(x) : x
      const bits = constOf(y, is32)
      if (t.value & bits) return true
      if (((t.mask | t.value) & bits) === 0n) return false
      return undefined
    }
    case JUMP.SGT:
    case JUMP.SGE:
    case JUMP.SLT:
    case JUMP.SLE:
      return is32
        ? ordered(code, a.s32min, a.s32max, b.s32min, b.s32max)
        : ordered(code, a.smin, a.smax, b.smin, b.smax)
    default:
      return is32
        ? ordered(code, a.u32min, a.u32max, b.u32min, b.u32max)
        : ordered(code, a.umin, a.umax, b.umin, b.umax)
  }
}

const maxOf = (a: bigint, b: bigint): bigint => (a > b ? a : b)
const minOf = (a: bigint, b: bigint): bigint => (a < b ? a : b)
const signed = (x: bigint): bigint => BigInt.asIntN(64, x)
const wrap = (x: bigint): bigint => BigInt.asUintN(64, x)

function refineEqual(a: Register, b: Register, is32: boolean): void {
  if (is32) {
    a.u32min = b.u32min = Math.max(a.u32min, b.u32min)
    a.u32max = b.u32max = Math.min(a.u32max, b.u32max)
    a.s32min = b.s32min = Math.max(a.s32min, b.s32min)
    a.s32max = b.s32max = Math.min(a.s32max, b.s32max)
    const low = tnumIntersect(tnumLow(a), tnumLow(b))
    a.setTnum(tnumWithLow(a, low))
    b.setTnum(tnumWithLow(b, low))
    return
  }
  a.umin = b.umin = maxOf(a.umin, b.umin)
  a.umax = b.umax = minOf(a.umax, b.umax)
  a.smin = b.smin = maxOf(a.smin, b.smin)
  a.smax = b.smax = minOf(a.smax, b.smax)
  const both = tnumIntersect(a, b)
  a.setTnum(both)
  b.setTnum(both)
}

function refineNotEqual(a: Register, b: Register, is32: boolean): void {
  const [x, y] = isConst(b, is32) ? [a, b] : [b, a]
  if (!isConst(y, is32)) return
  const value = constOf(y, is32)
  if (is32) {
    const low = low32(value)
    if (x.u32min === low >>> 0) x.u32min = (x.u32min + 1) >>> 0
    if (x.u32max === low >>> 0) x.u32max = (x.u32max - 1) >>> 0
    if (x.s32min === low) x.s32min = (x.s32min + 1) | 0
    if (x.s32max === low) x.s32max = (x.s32max - 1) | 0
    return
  }
  if (x.umin === value) x.umin = wrap(x.umin + 1n)
  if (x.umax === value) x.umax = wrap(x.umax - 1n)
  if (x.smin === signed(value)) x.smin = signed(x.smin + 1n)
  if (x.smax === signed(value)) x.smax = signed(x.smax - 1n)
}

function refineBits(code: number, a: Register, b: Register, is32: boolean): void {
  const [x, y] = isConst(b, is32) ? [a, b] : [b, a]
  if (!isConst(y, is32)) return
  const bits = constOf(y, is32)
  if (code === JUMP.SET) {
    if (bits === 0n || (bits & (bits - 1n)) !== 0n) return
    if (is32) x.setTnum(tnumWithLow(x, tnumOr(tnumLow(x), tnumConst(bits))))
    else x.setTnum(tnumOr(x, tnumConst(bits)))
    return
  }
  const keep = tnumConst(~bits)
  const before = x.tnum
  x.setUnbounded()
  if (is32) x.setTnum(tnumWithLow(before, tnumAnd(tnumLow(before), keep)))
  else x.setTnum(tnumAnd(before, keep))
}

/** Narrows both registers (copies that no state holds) by what holds where `a op b`; bounds are to be synced after. */
export function refine(code: number, a: Register, b: Register, is32: boolean): void {
  switch (code) {
    case JUMP.GE:
    case JUMP.GT:
    case JUMP.SGE:
    case JUMP.SGT:
      refine(swappedOf(code), b, a, is32)
      return
    case JUMP.EQ:
      refineEqual(a, b, is32)
      return
    case JUMP.NE:
      refineNotEqual(a, b, is32)
      return
    case JUMP.SET:
    case JUMP.NOT_SET:
      refineBits(code, a, b, is32)
      return
    case JUMP.LE:
      if (is32) {
        a.u32max = Math.min(a.u32max, b.u32max)
        b.u32min = Math.max(a.u32min, b.u32min)
      } else {
        a.umax = minOf(a.umax, b.umax)
        b.umin = maxOf(a.umin, b.umin)
      }
      return
    case JUMP.LT:
      if (is32) {
        a.u32max = Math.min(a.u32max, (b.u32max - 1) >>> 0)
        b.u32min = Math.max((a.u32min + 1) >>> 0, b.u32min)
      } else {
        a.umax = minOf(a.umax, wrap(b.umax - 1n))
        b.umin = maxOf(wrap(a.umin + 1n), b.umin)
      }
      return
    case JUMP.SLE:
      if (is32) {
        a.s32max = Math.min(a.s32max, b.s32max)
        b.s32min = Math.max(a.s32min, b.s32min)
      } else {
        a.smax = minOf(a.smax, b.smax)
        b.smin = maxOf(a.smin, b.smin)
      }
      return
    case JUMP.SLT:
      if (is32) {
        a.s32max = Math.min(a.s32max, (b.s32max - 1) | 0)
        b.s32min = Math.max((a.s32min + 1) | 0, b.s32min)
      } else {
        a.smax = minOf(a.smax, signed(b.smax - 1n))
        b.smin = maxOf(signed(a.smin + 1n), b.smin)
      }
      return
  }
}
