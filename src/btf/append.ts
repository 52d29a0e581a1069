/** Split BTF and what it continues, joined into one. */
import type { Btf } from './btf.ts'

const HEADER_BYTES = 24

/** A section with the types and strings of `base`, whose bytes are `bytes`, and behind them those of `split`. */
export function appendTypes(base: Btf, bytes: Uint8Array, split: Uint8Array): Uint8Array {
  const little = base.byteOrder === 'little'
  const first = sections(bytes, little)
  const second = sections(split, little)
  const typesBytes = first.types.length + second.types.length
  const stringsBytes = first.strings.length + second.strings.length
  const joined = new Uint8Array(HEADER_BYTES + typesBytes + stringsBytes)
  joined.set(bytes.subarray(0, 4))
  const view = new DataView(joined.buffer)
  for (const [i, value] of [HEADER_BYTES, 0, typesBytes, typesBytes, stringsBytes].entries()) {
    view.setUint32(4 + i * 4, value, little)
  }
  let at = HEADER_BYTES
  for (const part of [first.types, second.types, first.strings, second.strings]) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

function sections(bytes: Uint8Array, little: boolean): { types: Uint8Array; strings: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const word = (index: number) => view.getUint32(4 + index * 4, little)
  const part = (offset: number, length: number) => bytes.subarray(word(0) + offset, word(0) + offset + length)
  return { types: part(word(1), word(2)), strings: part(word(3), word(4)) }
}
