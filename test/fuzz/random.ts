/** Numbers that look random and are the same for the same seed: sfc32. */
export class Random {
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number) {
    this.#a = seed | 0
    this.#b = 0x9e37_79b9
    this.#c = 0x243f_6a88
    for (let i = 0; i < 12; i++) this.word()
  }

  /** 32 bits, unsigned. */
  word(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** From 0 up to `limit`, exclusive; 0 where there is no choice. */
  below(limit: number): number {
    return limit <= 1 ? 0 : this.word() % limit
  }

  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0
  }

  pick<T>(all: readonly T[]): T {
    return all[this.below(all.length)] as T
  }
}
