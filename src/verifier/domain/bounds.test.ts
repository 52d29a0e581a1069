/**
 * Soundness of what is tracked of scalars: a value that a register may hold stays one that it may hold, whatever is
 * done. The concrete side is written apart from the code under test.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type AluOperation,
  changeByteOrder,
  scalarOperation,
  signExtend32,
  signExtend64,
} from './arithmetic.ts'
import { syncBounds, truncate, zeroExtend32 } from './bounds.ts'
import { decide, JUMP, oppositeOf, refine } from './comparison.ts'
import { type Register, U64_MAX, unknownScalar } from './register.ts'

const u64 = (x: bigint): bigint => BigInt.asUintN(64, x)
const s64 = (x: bigint): bigint => BigInt.asIntN(64, x)
const u32 = (x: bigint): bigint => BigInt.asUintN(32, x)

/** Numbers near the edges as often as any others. */
const word = fc.oneof(
  fc.bigInt({ min: 0n, max: U64_MAX }),
  fc.bigInt({ min: 0n, max: 300n }),
  fc.bigInt({ min: -300n, max: 0n }).map(u64),
  fc.constantFrom(0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 0x1_0000_0000n, 1n << 63n, (1n << 63n) - 1n),
)

interface Known {
  /** What it really holds. */
  readonly value: bigint
  readonly register: Register
}

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b)
const min = (a: bigint, b: bigint): bigint => (a < b ? a : b)

const known: fc.Arbitrary<Known> = fc
  .record({ value: word, mask: word, below: word, above: word, kind: fc.integer({ min: 0, max: 3 }) })
  .map(({ value, mask, below, above, kind }) => {
    const register = unknownScalar()
    if (kind & 1) {
      register.mask = mask
      register.value = value & ~mask
    }
    if (kind & 2) {
      register.umin = value - min(below >> 1n, value)
      register.umax = min(U64_MAX, value + (above >> 1n))
      register.smin = max(-(1n << 63n), s64(value) - (above >> 2n))
      register.smax = min((1n << 63n) - 1n, s64(value) + (below >> 2n))
    }
    syncBounds(register)
    return { value, register }
  })

function expectHolds(r: Register, value: bigint): void {
  const low = Number(u32(value))
  const fits =
    (value & ~r.mask) === r.value &&
    value >= r.umin &&
    value <= r.umax &&
    s64(value) >= r.smin &&
    s64(value) <= r.smax &&
    low >= r.u32min &&
    low <= r.u32max &&
    (low | 0) >= r.s32min &&
    (low | 0) <= r.s32max
  if (!fits) {
    throw new Error(
      `0x${value.toString(16)} is not in (0x${r.value.toString(16)}; 0x${r.mask.toString(16)}) u[${r.umin}, ${r.umax}] s[${r.smin}, ${r.smax}] u32[${r.u32min}, ${r.u32max}] s32[${r.s32min}, ${r.s32max}]`,
    )
  }
}

const OPERATIONS: Readonly<Record<string, (a: bigint, b: bigint, bits: bigint) => bigint>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  lsh: (a, b, bits) => a << (b & (bits - 1n)),
  rsh: (a, b, bits) => a >> (b & (bits - 1n)),
  arsh: (a, b, bits) => BigInt.asIntN(Number(bits), a) >> (b & (bits - 1n)),
  div: (a, b) => (b === 0n ? 0n : a / b),
  mod: (a, b) => (b === 0n ? a : a % b),
}

describe('tracked scalars', () => {
  test('a register that was made from a value holds it', () => {
    fc.assert(fc.property(known, ({ value, register }) => expectHolds(register, value)))
  })

  test.each(Object.keys(OPERATIONS))('%s keeps what may be', (name) => {
    const operation = OPERATIONS[name] as (a: bigint, b: bigint, bits: bigint) => bigint
    fc.assert(
      fc.property(known, known, fc.boolean(), (a, b, is32) => {
        const r = a.register.copy()
        scalarOperation(name as AluOperation, r, b.register, is32)
        const result = is32
          ? u32(operation(u32(a.value), u32(b.value), 32n))
          : u64(operation(a.value, b.value, 64n))
        expectHolds(r, result)
      }),
      { numRuns: 400 },
    )
  })

  test('negation, extension, truncation and byte order keep what may be', () => {
    fc.assert(
      fc.property(known, ({ value, register }) => {
        const negated = register.copy()
        scalarOperation('neg', negated, register, false)
        expectHolds(negated, u64(-value))
        const extended = register.copy()
        zeroExtend32(truncated(extended))
        for (const bytes of [1, 2, 4] as const) {
          const wide = register.copy()
          signExtend64(wide, bytes)
          expectHolds(wide, u64(BigInt.asIntN(bytes * 8, value)))
          const narrow = register.copy()
          truncate(narrow, bytes)
          expectHolds(narrow, BigInt.asUintN(bytes * 8, value))
          if (bytes === 4) continue
          const low = register.copy()
          signExtend32(low, bytes)
          zeroExtend32(low)
          expectHolds(low, u32(BigInt.asIntN(bytes * 8, value)))
        }
        for (const bits of [16, 32, 64]) {
          const swapped = register.copy()
          changeByteOrder(swapped, bits, true)
          const hex = BigInt.asUintN(bits, value)
            .toString(16)
            .padStart(bits / 4, '0')
          expectHolds(swapped, BigInt(`0x${(hex.match(/../g) ?? []).reverse().join('')}`))
        }
      }),
      { numRuns: 300 },
    )
  })
})

const truncated = (r: Register): Register => {
  truncate(r, 4)
  return r
}

const CONDITIONS: Readonly<
  Record<string, readonly [number, (a: bigint, b: bigint, bits: number) => boolean]>
> = {
  '==': [JUMP.EQ, (a, b) => a === b],
  '!=': [JUMP.NE, (a, b) => a !== b],
  '>': [JUMP.GT, (a, b) => a > b],
  '>=': [JUMP.GE, (a, b) => a >= b],
  '<': [JUMP.LT, (a, b) => a < b],
  '<=': [JUMP.LE, (a, b) => a <= b],
  's>': [JUMP.SGT, (a, b, bits) => BigInt.asIntN(bits, a) > BigInt.asIntN(bits, b)],
  's>=': [JUMP.SGE, (a, b, bits) => BigInt.asIntN(bits, a) >= BigInt.asIntN(bits, b)],
  's<': [JUMP.SLT, (a, b, bits) => BigInt.asIntN(bits, a) < BigInt.asIntN(bits, b)],
  's<=': [JUMP.SLE, (a, b, bits) => BigInt.asIntN(bits, a) <= BigInt.asIntN(bits, b)],
  '&': [JUMP.SET, (a, b) => (a & b) !== 0n],
}

describe('comparisons', () => {
  test.each(Object.keys(CONDITIONS))('what %s tells is true', (name) => {
    const [code, holds] = CONDITIONS[name] as (typeof CONDITIONS)[string]
    fc.assert(
      fc.property(known, known, fc.boolean(), (a, b, is32) => {
        const cut = is32 ? u32 : u64
        const isTrue = holds(cut(a.value), cut(b.value), is32 ? 32 : 64)
        const decided = decide(code, a.register, b.register, is32)
        if (decided !== undefined) expect(decided).toBe(isTrue)
        const x = a.register.copy()
        const y = b.register.copy()
        refine(isTrue ? code : oppositeOf(code), x, y, is32)
        expectHolds(x, a.value)
        expectHolds(y, b.value)
      }),
      { numRuns: 400 },
    )
  })
})
