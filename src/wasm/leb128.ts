/**
 * LEB128, the variable-length integers of the WebAssembly binary format: seven bits a byte, least significant
 * first, the top bit set on every byte but the last.
 *
 * Source: WebAssembly Core Specification 2.0, 5.2.2 (Integers).
 */

/** `bytes`, with the unsigned encoding of an integer of 0 to 2^53 - 1. Throws a RangeError on anything else. */
export function unsignedLeb128(value: number, bytes: number[] = []): number[] {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an unsigned integer: ${value}`)
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) + 0x80)
    rest = Math.floor(rest / 0x80)
  }
  bytes.push(rest)
  return bytes
}

/**
 * `bytes`, with the signed encoding of a 32-bit integer; an unsigned one (up to 2^32 - 1) stands for its bit pattern.
 */
export function signedLeb128(value: number, bytes: number[] = []): number[] {
  if (!Number.isInteger(value) || value < -0x8000_0000 || value > 0xffff_ffff) {
    throw new RangeError(`not a 32-bit integer: ${value}`)
  }
  let rest = value | 0
  for (;;) {
    const low = rest & 0x7f
    rest >>= 7
    const isLast = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)
    bytes.push(isLast ? low : low | 0x80)
    if (isLast) return bytes
  }
}

/**
 * `bytes`, with the signed encoding of a 64-bit integer; an unsigned one (up to 2^64 - 1) stands for its bit pattern.
 */
export function signedLeb128Big(value: bigint, bytes: number[] = []): number[] {
  let rest = BigInt.asIntN(64, value)
  if (rest !== value && BigInt.asUintN(64, value) !== value) {
    throw new RangeError(`not a 64-bit integer: ${value}`)
  }
  if (rest >= -0x8000_0000n && rest <= 0x7fff_ffffn) return signedLeb128(Number(rest), bytes)
  for (;;) {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    const isLast = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)
    bytes.push(isLast ? low : low | 0x80)
    if (isLast) return bytes
  }
}
