/**
 * SipHash-2-4: a keyed hash that says nothing of its key.
 *
 * Source: Aumasson and Bernstein, SipHash: a fast short-input PRF, sections 2 and 3.
 */
const u64 = (value: bigint): bigint => BigInt.asUintN(64, value)
const rotate = (value: bigint, by: bigint): bigint => u64(value << by) | (value >> (64n - by))

type State = [bigint, bigint, bigint, bigint]

function rounds(v: State, count: number): void {
  for (let i = 0; i < count; i++) {
    v[0] = u64(v[0] + v[1])
    v[1] = rotate(v[1], 13n) ^ v[0]
    v[0] = rotate(v[0], 32n)
    v[2] = u64(v[2] + v[3])
    v[3] = rotate(v[3], 16n) ^ v[2]
    v[0] = u64(v[0] + v[3])
    v[3] = rotate(v[3], 21n) ^ v[0]
    v[2] = u64(v[2] + v[1])
    v[1] = rotate(v[1], 17n) ^ v[2]
    v[2] = rotate(v[2], 32n)
  }
}

/** 64 bits of `bytes` under the key `low`, `high`. */
export function siphash(bytes: Uint8Array, low: bigint, high: bigint): bigint {
  const v: State = [
    low ^ 0x736f6d6570736575n,
    high ^ 0x646f72616e646f6dn,
    low ^ 0x6c7967656e657261n,
    high ^ 0x7465646279746573n,
  ]
  // The last word ends with the length.
  const padded = new Uint8Array((bytes.length & ~7) + 8)
  padded.set(bytes)
  padded[padded.length - 1] = bytes.length
  const view = new DataView(padded.buffer)
  for (let at = 0; at < padded.length; at += 8) {
    const word = view.getBigUint64(at, true)
    v[3] ^= word
    rounds(v, 2)
    v[0] ^= word
  }
  v[2] ^= 0xffn
  rounds(v, 4)
  return v[0] ^ v[1] ^ v[2] ^ v[3]
}
