/** Reading NUL-terminated names out of string tables. */

/**
 * Names longer than this are cut: real ones are shorter (the kernel refuses BTF names over 511 bytes), and a
 * hostile table in which every symbol points into one long string must not cost quadratic memory.
 */
export const MAX_NAME_BYTES = 4096

/**
 * The NUL-terminated UTF-8 string at `offset`, cut after `limit` bytes; `undefined` where `offset` is outside
 * or no NUL ends the string before the table does.
 */
export function readCString(table: Uint8Array, offset: number, limit = MAX_NAME_BYTES): string | undefined {
  if (offset < 0 || offset >= table.length) return undefined
  const end = Math.min(table.length, offset + limit)
  let text = ''
  for (let i = offset; i < end; i++) {
    const byte = table[i] as number
    if (byte === 0) return text
    if (byte >= 0x80) return decodeUtf8(table, offset, end)
    text += String.fromCharCode(byte)
  }
  return end === table.length ? undefined : text
}

function decodeUtf8(table: Uint8Array, offset: number, end: number): string | undefined {
  const nul = table.subarray(offset, end).indexOf(0)
  if (nul < 0 && end === table.length) return undefined
  return new TextDecoder().decode(table.subarray(offset, nul < 0 ? end : offset + nul))
}
