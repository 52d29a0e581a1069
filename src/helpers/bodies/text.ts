/** Helpers over text: numbers and comparison. Source: bpf-helpers(7); kernel/bpf/helpers.c of Linux. */
import { EINVAL, ERANGE } from '../../abi/index.ts'
import { badMemory, failure, u32Of } from '../access.ts'
import type { HelperBody, HelperEnvironment, HelperFault } from '../environment.ts'

const BASE_MASK = 0x1fn
const MOST_DIGITS = 63
const LARGEST_U64 = (1n << 64n) - 1n
const LARGEST_S64 = (1n << 63n) - 1n

/** Gives the characters consumed; stores the number, or 0 where it fails. */
export const strtol: HelperBody = (env, r1, r2, r3, r4) =>
  parseInto(env, r1, r2, r3, r4, ({ magnitude, isNegative }) => {
    if (isNegative) return magnitude > LARGEST_S64 + 1n ? undefined : -magnitude
    return magnitude > LARGEST_S64 ? undefined : magnitude
  })

/** As `strtol`; a minus sign is -EINVAL. */
export const strtoul: HelperBody = (env, r1, r2, r3, r4) =>
  parseInto(env, r1, r2, r3, r4, ({ magnitude, isNegative }) => (isNegative ? -EINVAL : magnitude))

/** -1, 0 or 1. The first string has `r2` bytes and needs no NUL. */
export const strncmp: HelperBody = (env, r1, r2, r3) => {
  const size = u32Of(r2)
  const first = env.arena.check(r1, size, false)
  if (first < 0) return badMemory(1, r1, size, 'read')
  const second = env.arena.check(r3, 1, false)
  if (second < 0) return badMemory(3, r3, 1, 'read')
  const bytes = env.arena.bytes
  for (let index = 0; index < size; index++) {
    if (!env.arena.checkOffset(second + index, 1, false)) return badMemory(3, r3, index + 1, 'read')
    const [a, b] = [bytes[first + index] as number, bytes[second + index] as number]
    if (a !== b) return a < b ? -1n : 1n
    if (a === 0) return 0n
  }
  return 0n
}

interface Parsed {
  readonly magnitude: bigint
  readonly isNegative: boolean
}

/** `narrow` gives the number to store, undefined for -ERANGE, or -errno as a number. */
function parseInto(
  env: HelperEnvironment,
  text: bigint,
  length: bigint,
  flags: bigint,
  result: bigint,
  narrow: (parsed: Parsed) => bigint | number | undefined,
): bigint | HelperFault {
  const size = u32Of(length)
  const start = env.arena.check(text, size, false)
  if (start < 0) return badMemory(1, text, size, 'read')
  const target = env.arena.check(result, 8, true)
  if (target < 0) return badMemory(4, result, 8, 'write')
  env.arena.view.setBigInt64(target, 0n, true)
  const parsed = parse(env.arena.bytes.subarray(start, start + size), flags)
  if (typeof parsed === 'number') return BigInt(parsed)
  const value = narrow(parsed)
  if (value === undefined) return failure(ERANGE)
  if (typeof value === 'number') return BigInt(value)
  env.arena.view.setBigInt64(target, BigInt.asIntN(64, value), true)
  return BigInt(parsed.consumed)
}

/** White space, an optional minus, then digits; base 0 takes it from the prefix. */
function parse(text: Uint8Array, flags: bigint): (Parsed & { readonly consumed: number }) | number {
  const base = Number(flags & BASE_MASK)
  if (text.length === 0 || ![0, 8, 10, 16].includes(base) || (flags & ~BASE_MASK) !== 0n) return -EINVAL
  let start = 0
  while (start < text.length && isSpace(text[start] as number)) start++
  const isNegative = text[start] === 0x2d
  if (isNegative) start++
  if (start === text.length) return -EINVAL
  const digits = text.subarray(start, start + MOST_DIGITS)
  const isHexPrefix = digits[0] === 0x30 && ((digits[1] ?? 0) | 0x20) === 0x78
  let radix = base
  if (base === 0) {
    radix = digits[0] !== 0x30 ? 10 : isHexPrefix && digitOf(digits[2] ?? 0) < 16 ? 16 : 8
  }
  let at = radix === 16 && isHexPrefix ? 2 : 0
  const firstDigit = at
  let magnitude = 0n
  for (; at < digits.length; at++) {
    const digit = digitOf(digits[at] as number)
    if (digit >= radix) break
    magnitude = magnitude * BigInt(radix) + BigInt(digit)
  }
  if (magnitude > LARGEST_U64) return -ERANGE
  if (at === firstDigit) return -EINVAL
  return { magnitude, isNegative, consumed: start + at }
}

function digitOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : 99
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 9 && byte <= 13) || byte === 0xa0
}
