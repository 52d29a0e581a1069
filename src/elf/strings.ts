/** Reading NUL-terminated names out of string tables. */

/**
 * Names longer than this are cut: real ones are shorter (the kernel refuses BTF names over 511 bytes), and a
 * hostile table in which every symbol points into one long string must not cost quadratic memory.
 */
export const MAX_NAME_BYTES = 2048

const decoder = new TextDecoder()

/**
 * The NUL-terminated UTF-8 string at `offset`, cut after `limit` bytes; `undefined` where `offset` is outside
 * or no NUL ends the string before the table does.
 */
export function readCString(table: Uint8Array, offset: number, limit = MAX_NAME_BYTES): string | undefined {
  if (offset < 0 || offset >= table.length) return undefined
  const end = Math.min(table.length, offset + limit)
  const codes: number[] = []
  let at = offset
  let bits = 0
  for (; at < end; at++) {
    const byte = table[at] as number
    if (byte === 0) break
    codes.push(byte)
    bits |= byte
  }
  if (at === table.length) return undefined
  // For names of ASCII this takes a tenth of the decoder's time, and with bytes in an array a third of that with a view.
  return bits < 0x80 ? String.fromCharCode.apply(null, codes) : decoder.decode(table.subarray(offset, at))
}
