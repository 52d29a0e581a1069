/** Sections that consist of 32-bit words, as typed arrays in the host's byte order. */

/** Byte order of typed arrays on this host. */
export const isHostLittleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1

/** `length` bytes at `offset` as words: a view where alignment and byte order allow it, else a copy. */
export function wordsOf(
  bytes: Uint8Array,
  offset: number,
  length: number,
  isHostOrder: boolean,
): Uint32Array {
  const start = bytes.byteOffset + offset
  if (isHostOrder) {
    if (start % 4 === 0) return new Uint32Array(bytes.buffer, start, length / 4)
    // Not bytes.slice: a Node Buffer's shares its bytes.
    return new Uint32Array(new Uint8Array(bytes.subarray(offset, offset + length)).buffer)
  }
  const view = new DataView(bytes.buffer, start, length)
  const words = new Uint32Array(length / 4)
  for (let i = 0; i < words.length; i++) words[i] = view.getUint32(i * 4, !isHostLittleEndian)
  return words
}
