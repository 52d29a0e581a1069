/** Text as bytes of UTF-8. */

const encoder = new TextEncoder()
const MOST_ASCII = 0x7f
/** Longer ones are the encoder's, whose call costs more than to look at so many characters. */
const SHORT = 32

/** The bytes of a text; `padding` zeros behind them. */
export function textBytes(text: string, padding = 0): Uint8Array {
  if (text.length <= SHORT) {
    const bytes = new Uint8Array(text.length + padding)
    for (let i = 0; ; i++) {
      if (i === text.length) return bytes
      const code = text.charCodeAt(i)
      if (code > MOST_ASCII) break
      bytes[i] = code
    }
  }
  const encoded = encoder.encode(text)
  if (padding === 0) return encoded
  const bytes = new Uint8Array(encoded.length + padding)
  bytes.set(encoded)
  return bytes
}
