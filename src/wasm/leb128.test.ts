import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { signedLeb128, signedLeb128Big, unsignedLeb128 } from './leb128.ts'

/** The definition, read backwards: 5.2.2 of the specification, with no bound on the size. */
function value(bytes: readonly number[], signed: boolean): bigint {
  const bits = 7n * BigInt(bytes.length)
  const sum = bytes.reduce((total, byte, i) => total | (BigInt(byte & 0x7f) << (7n * BigInt(i))), 0n)
  return signed ? BigInt.asIntN(Number(bits), sum) : sum
}

/** All bytes but the last go on. */
const wellFormed = (bytes: readonly number[]) =>
  bytes.every((byte, i) => byte >>> 7 === (i < bytes.length - 1 ? 1 : 0))

/** No shorter encoding has the same value. */
const isShortest = (bytes: readonly number[], signed: boolean) => {
  if (bytes.length === 1) return true
  const shorter = bytes.slice(0, -1).map((byte, i, all) => (i === all.length - 1 ? byte & 0x7f : byte))
  return value(shorter, signed) !== value(bytes, signed)
}

describe('LEB128', () => {
  test('unsigned numbers are encoded as themselves, in the fewest bytes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.nat({ max: 2 ** 32 - 1 }), fc.maxSafeNat()), (n) => {
        const bytes = unsignedLeb128(n)
        expect(value(bytes, false)).toBe(BigInt(n))
        expect(wellFormed(bytes) && isShortest(bytes, false)).toBe(true)
      }),
    )
  })

  test('32-bit numbers are encoded as their signed value, in the fewest bytes', () => {
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 32 - 1 }), (n) => {
        const bytes = signedLeb128(n)
        expect(value(bytes, true)).toBe(BigInt(n | 0))
        expect(wellFormed(bytes) && isShortest(bytes, true) && bytes.length <= 5).toBe(true)
      }),
    )
  })

  test('64-bit numbers are encoded as their signed value, in the fewest bytes', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(1n << 63n), max: (1n << 64n) - 1n }), (n) => {
        const bytes = signedLeb128Big(n)
        expect(value(bytes, true)).toBe(BigInt.asIntN(64, n))
        expect(wellFormed(bytes) && isShortest(bytes, true) && bytes.length <= 10).toBe(true)
      }),
    )
  })

  test.each([
    ['-1', () => unsignedLeb128(-1)],
    ['1.5', () => unsignedLeb128(1.5)],
    ['2^32', () => signedLeb128(2 ** 32)],
    ['2^64', () => signedLeb128Big(1n << 64n)],
  ])('%s is out of range', (_, encode) => {
    expect(encode).toThrow(RangeError)
  })
})
