import { expect, test } from 'vitest'
import { siphash } from './siphash.ts'

const upTo = (count: number) => Uint8Array.from({ length: count }, (_, i) => i)

test("the paper's example (appendix A), and the first of the reference's vectors", () => {
  const key = [0x0706050403020100n, 0x0f0e0d0c0b0a0908n] as const
  expect(siphash(upTo(15), ...key)).toBe(0xa129ca6149be45e5n)
  expect(siphash(upTo(0), ...key)).toBe(0x726fdb47dd0e0e31n)
})
