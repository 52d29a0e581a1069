/**
 * Unpacking gzip: the kernel gives its configuration only so (`/proc/config.gz`).
 *
 * A plain decoder of one member, bit by bit over canonical Huffman codes, for files of some hundred kilobytes. It
 * checks the structure, not the checksum: the bytes come from the kernel itself.
 *
 * Source: RFC 1951 (DEFLATE), RFC 1952 (gzip).
 */

/** Largest result: a hostile file may otherwise grow a thousandfold. */
const MAX_BYTES = 64 * 1024 * 1024

const FLAG = { HEADER_CRC: 2, EXTRA: 4, NAME: 8, COMMENT: 16 } as const
const HEADER_BYTES = 10

/** Lengths and distances by symbol: a base and so many extra bits. Source: RFC 1951 section 3.2.5. */
const LENGTH_BASES = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
  227, 258,
]
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
const DISTANCE_BASES = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
  6145, 8193, 12289, 16385, 24577,
]
const DISTANCE_BITS = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
]
/** Order in which the lengths of the code for lengths are given. */
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
const MAX_CODE_BITS = 15
const END_OF_BLOCK = 256

/** What the first member of a gzip file holds; `undefined` where it is none or is damaged. */
export function gunzip(bytes: Uint8Array): Uint8Array | undefined {
  const start = bodyStart(bytes)
  return start === undefined ? undefined : new Inflater(bytes.subarray(start)).run()
}

function bodyStart(bytes: Uint8Array): number | undefined {
  const deflate = 8
  if (bytes.length < HEADER_BYTES || bytes[0] !== 0x1f || bytes[1] !== 0x8b || bytes[2] !== deflate)
    return undefined
  const flags = bytes[3] as number
  let at = HEADER_BYTES
  if ((flags & FLAG.EXTRA) !== 0) at += 2 + (bytes[at] ?? 0) + (bytes[at + 1] ?? 0) * 256
  for (const text of [FLAG.NAME, FLAG.COMMENT]) {
    if ((flags & text) === 0) continue
    const end = bytes.indexOf(0, at)
    if (end < 0) return undefined
    at = end + 1
  }
  if ((flags & FLAG.HEADER_CRC) !== 0) at += 2
  return at < bytes.length ? at : undefined
}

/** A canonical code: how many codes there are of each length, and the symbols in the order of their codes. */
interface Code {
  readonly counts: Uint16Array
  readonly symbols: Uint16Array
}

function codeOf(lengths: readonly number[]): Code {
  const counts = new Uint16Array(MAX_CODE_BITS + 1)
  for (const length of lengths) if (length > 0) counts[length] = (counts[length] as number) + 1
  const bySize = lengths.map((length, symbol) => ({ length, symbol })).filter(({ length }) => length > 0)
  bySize.sort((a, b) => a.length - b.length || a.symbol - b.symbol)
  return { counts, symbols: Uint16Array.from(bySize, ({ symbol }) => symbol) }
}

const repeated = (count: number, length: number): number[] => new Array<number>(count).fill(length)

class Inflater {
  readonly #in: Uint8Array
  #bit = 0
  #out = new Uint8Array(1 << 16)
  #length = 0

  constructor(input: Uint8Array) {
    this.#in = input
  }

  run(): Uint8Array | undefined {
    for (let isLast = false; !isLast; ) {
      if (this.#bit >= this.#in.length * 8) return undefined
      isLast = this.#bits(1) === 1
      const kind = this.#bits(2)
      const isWhole = kind === 0 ? this.#stored() : kind === 3 ? false : this.#compressed(kind === 2)
      if (!isWhole) return undefined
    }
    return this.#out.slice(0, this.#length)
  }

  /** The next bits, lowest first; past the end they are 0, and the end is noticed by the caller. */
  #bits(count: number): number {
    let value = 0
    for (let i = 0; i < count; i++, this.#bit++) {
      const byte = this.#in[this.#bit >> 3] ?? 0
      value |= ((byte >> (this.#bit & 7)) & 1) << i
    }
    return value
  }

  get #isPastEnd(): boolean {
    return this.#bit > this.#in.length * 8
  }

  #put(byte: number): boolean {
    if (this.#length === this.#out.length) {
      if (this.#length >= MAX_BYTES) return false
      const more = new Uint8Array(this.#length * 2)
      more.set(this.#out)
      this.#out = more
    }
    this.#out[this.#length++] = byte
    return true
  }

  #stored(): boolean {
    this.#bit = Math.ceil(this.#bit / 8) * 8
    const length = this.#bits(16)
    if (this.#bits(16) !== (length ^ 0xffff)) return false
    for (let i = 0; i < length; i++) if (!this.#put(this.#bits(8))) return false
    return !this.#isPastEnd
  }

  #compressed(isDynamic: boolean): boolean {
    const codes = isDynamic ? this.#readCodes() : FIXED()
    if (codes === undefined) return false
    for (;;) {
      const symbol = this.#symbol(codes.literals)
      if (symbol === undefined || this.#isPastEnd) return false
      if (symbol === END_OF_BLOCK) return true
      if (symbol < END_OF_BLOCK) {
        if (!this.#put(symbol)) return false
      } else if (!this.#copy(symbol - END_OF_BLOCK - 1, codes.distances)) {
        return false
      }
    }
  }

  #copy(lengthSymbol: number, distances: Code): boolean {
    const base = LENGTH_BASES[lengthSymbol]
    if (base === undefined) return false
    const length = base + this.#bits(LENGTH_BITS[lengthSymbol] as number)
    const symbol = this.#symbol(distances) ?? -1
    const from = DISTANCE_BASES[symbol]
    if (from === undefined) return false
    const distance = from + this.#bits(DISTANCE_BITS[symbol] as number)
    if (distance > this.#length) return false
    for (let i = 0; i < length; i++)
      if (!this.#put(this.#out[this.#length - distance] as number)) return false
    return true
  }

  #readCodes() {
    const literalCount = 257 + this.#bits(5)
    const distanceCount = 1 + this.#bits(5)
    const given = 4 + this.#bits(4)
    const lengths = repeated(19, 0)
    for (let i = 0; i < given; i++) lengths[CODE_ORDER[i] as number] = this.#bits(3)
    const code = codeOf(lengths)
    const all: number[] = []
    while (all.length < literalCount + distanceCount) {
      const symbol = this.#symbol(code)
      if (symbol === undefined || this.#isPastEnd) return undefined
      if (symbol < 16) all.push(symbol)
      else if (symbol === 16) all.push(...repeated(3 + this.#bits(2), all.at(-1) ?? 0))
      else all.push(...repeated(symbol === 17 ? 3 + this.#bits(3) : 11 + this.#bits(7), 0))
    }
    return { literals: codeOf(all.slice(0, literalCount)), distances: codeOf(all.slice(literalCount)) }
  }

  /** The next symbol: codes of one length are consecutive numbers, shorter ones come first. */
  #symbol({ counts, symbols }: Code): number | undefined {
    let [code, first, index] = [0, 0, 0]
    for (let bits = 1; bits <= MAX_CODE_BITS; bits++) {
      code |= this.#bits(1)
      const count = counts[bits] as number
      if (code - first < count) return symbols[index + code - first]
      index += count
      first = (first + count) << 1
      code <<= 1
    }
    return undefined
  }
}

/** The code that needs no description. Source: RFC 1951 section 3.2.6. */
const FIXED = () => ({
  literals: codeOf([...repeated(144, 8), ...repeated(112, 9), ...repeated(24, 7), ...repeated(8, 8)]),
  distances: codeOf(repeated(30, 5)),
})
