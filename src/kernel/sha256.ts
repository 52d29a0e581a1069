/**
 * SHA-256 of a few bytes at a time, synchronously: what program tags are made of.
 *
 * Source: FIPS 180-4, sections 4.1.2, 4.2.2, 5.1.1, 5.3.3 and 6.2.
 */

/** The first `bits` bits of the fractional part of the `root`-th root of `prime`, here 32. */
function fractionBits(prime: number, root: 2 | 3): number {
  // Integer root of prime * 2^(32 * root), by bisection; its low 32 bits are the fraction.
  const scaled = BigInt(prime) << BigInt(32 * root)
  let low = 0n
  let high = 1n << 40n
  while (high - low > 1n) {
    const middle = (low + high) / 2n
    if (middle ** BigInt(root) <= scaled) low = middle
    else high = middle
  }
  return Number(BigInt.asUintN(32, low))
}

function firstPrimes(count: number): number[] {
  const primes: number[] = []
  for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n)
  return primes
}

const primes = firstPrimes(64)
const roundConstants: readonly number[] = primes.map((prime) => fractionBits(prime, 3))
const initialState: readonly number[] = primes.slice(0, 8).map((prime) => fractionBits(prime, 2))

const rotate = (word: number, by: number): number => (word >>> by) | (word << (32 - by))

/** The 32-byte digest of `message`. */
export function sha256(message: Uint8Array): Uint8Array {
  const padded = new Uint8Array(Math.ceil((message.length + 9) / 64) * 64)
  padded.set(message)
  padded[message.length] = 0x80
  const view = new DataView(padded.buffer)
  view.setBigUint64(padded.length - 8, BigInt(message.length) * 8n)

  const state = Int32Array.from(initialState)
  const schedule = new Int32Array(64)
  for (let block = 0; block < padded.length; block += 64) {
    for (let t = 0; t < 16; t++) schedule[t] = view.getInt32(block + 4 * t)
    for (let t = 16; t < 64; t++) {
      const w15 = schedule[t - 15] as number
      const w2 = schedule[t - 2] as number
      const s0 = rotate(w15, 7) ^ rotate(w15, 18) ^ (w15 >>> 3)
      const s1 = rotate(w2, 17) ^ rotate(w2, 19) ^ (w2 >>> 10)
      schedule[t] = (schedule[t - 16] as number) + s0 + (schedule[t - 7] as number) + s1
    }
    let [a, b, c, d, e, f, g, h] = state as unknown as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ]
    for (let t = 0; t < 64; t++) {
      const sum1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
      const choice = (e & f) ^ (~e & g)
      const first = (h + sum1 + choice + (roundConstants[t] as number) + (schedule[t] as number)) | 0
      const sum0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
      const majority = (a & b) ^ (a & c) ^ (b & c)
      h = g
      g = f
      f = e
      e = (d + first) | 0
      d = c
      c = b
      b = a
      a = (first + sum0 + majority) | 0
    }
    const working = [a, b, c, d, e, f, g, h]
    for (let i = 0; i < 8; i++) state[i] = (state[i] as number) + (working[i] as number)
  }

  const digest = new Uint8Array(32)
  const out = new DataView(digest.buffer)
  for (let i = 0; i < 8; i++) out.setInt32(4 * i, state[i] as number)
  return digest
}
