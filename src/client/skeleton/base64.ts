/** Base64, which the language itself does not have. Source: RFC 4648, section 4. */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

export function encodeBase64(bytes: Uint8Array): string {
  const pieces: string[] = []
  for (let at = 0; at < bytes.length; at += 3) {
    const rest = bytes.length - at
    const word = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0)
    pieces.push(
      ALPHABET.charAt(word >> 18),
      ALPHABET.charAt((word >> 12) & 63),
      rest > 1 ? ALPHABET.charAt((word >> 6) & 63) : '=',
      rest > 2 ? ALPHABET.charAt(word & 63) : '=',
    )
  }
  return pieces.join('')
}

/** The bytes; characters that are not of base64, such as the ends of lines, are left out. */
export function decodeBase64(text: string): Uint8Array {
  const values = new Uint8Array(128).fill(0xff)
  for (let index = 0; index < ALPHABET.length; index++) values[ALPHABET.charCodeAt(index)] = index
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4))
  let length = 0
  let word = 0
  let bits = 0
  for (let at = 0; at < text.length; at++) {
    const value = values[text.charCodeAt(at)] ?? 0xff
    if (value === 0xff) continue
    word = ((word << 6) | value) & 0xffff
    bits += 6
    if (bits < 8) continue
    bits -= 8
    bytes[length++] = word >> bits
  }
  return bytes.slice(0, length)
}
