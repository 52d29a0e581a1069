/** A reproducible source of choices: the same seed gives the same programs and the same inputs. */

const EDGES: readonly bigint[] = [
  0n,
  1n,
  2n,
  7n,
  8n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1_0000_0000n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
]

export class Random {
  #a: number
  #b: number
  #c: number
  #d = 1

  /** `stream` tells apart what is drawn for one seed. */
  constructor(seed: number, stream = 0) {
    this.#a = 0x9e37_79b9 ^ seed
    this.#b = 0x243f_6a88 ^ Math.floor(seed / 2 ** 32)
    this.#c = 0xb7e1_5162 ^ stream
    for (let i = 0; i < 12; i++) this.u32()
  }

  /** sfc32. */
  u32(): number {
    const t = (this.#a + this.#b + this.#d) | 0
    this.#d = (this.#d + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + t
    this.#c |= 0
    return t >>> 0
  }

  /** 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor((this.u32() / 2 ** 32) * count)
  }

  /** Both ends included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1)
  }

  chance(probability: number): boolean {
    return this.u32() / 2 ** 32 < probability
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T
  }

  /** One of `[weight, value]`. */
  weighted<T>(from: readonly (readonly [number, T])[]): T {
    let at = this.below(from.reduce((sum, [weight]) => sum + weight, 0))
    for (const [weight, value] of from) {
      if (at < weight) return value
      at -= weight
    }
    throw new Error('no choice')
  }

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32())
  }

  /** 64 bits; numbers near the edges as often as any others. */
  value(): bigint {
    switch (this.below(5)) {
      case 0:
        return this.u64()
      case 1:
        return BigInt.asUintN(64, BigInt(this.between(-40, 300)))
      case 2:
        return BigInt.asUintN(64, this.pick(EDGES) + BigInt(this.between(-2, 2)))
      case 3:
        return BigInt(this.u32())
      default:
        return this.u64() >> BigInt(this.below(64))
    }
  }

  /** 32 bits, signed, as an immediate holds them. */
  immediate(): number {
    return Number(BigInt.asIntN(32, this.value()))
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count)
    const view = new DataView(bytes.buffer)
    let at = 0
    for (; at + 8 <= count; at += 8) view.setBigUint64(at, this.value(), true)
    for (; at < count; at++) bytes[at] = this.u32()
    return bytes
  }
}
