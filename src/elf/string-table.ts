/**
 * String tables as they are made: NUL-terminated strings behind each other, each once.
 *
 * Strings are byte strings here: every character is one byte (0 to 255), so that what is not UTF-8 passes unchanged.
 * For ASCII that is the text itself.
 */

/** `fromCharCode` takes its bytes as arguments, of which there may not be too many. */
const CHUNK = 4096

/** The byte string of bytes. */
export function byteStringOf(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += CHUNK) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + CHUNK) as unknown as number[])
  }
  return text
}

/** The byte string of a text, in UTF-8. */
export const toByteString = (text: string): string => byteStringOf(new TextEncoder().encode(text))

/** The text of a byte string that is UTF-8, for people. */
export const fromByteString = (bytes: string): string =>
  new TextDecoder().decode(Uint8Array.from(bytes, (character) => character.charCodeAt(0)))

/** A string table: read from bytes, or made from nothing. It begins with the empty string. */
export class StringTable {
  #bytes: Uint8Array
  #size: number
  readonly #offsets = new Map<string, number>([['', 0]])
  readonly #texts = new Map<number, string>([[0, '']])

  /** `bytes` begin and end with NUL; strings that are added are not looked for in them. */
  constructor(bytes: Uint8Array = new Uint8Array(1)) {
    this.#bytes = bytes
    this.#size = bytes.length
  }

  get size(): number {
    return this.#size
  }

  /** The string that begins at `offset`; empty outside of the table. */
  at(offset: number): string {
    const known = this.#texts.get(offset)
    if (known !== undefined) return known
    if (offset >= this.#size) return ''
    const end = this.#bytes.indexOf(0, offset)
    const text = byteStringOf(this.#bytes.subarray(offset, end))
    this.#texts.set(offset, text)
    return text
  }

  /** Offset of a string, which is added where it is not there yet. */
  add(text: string): number {
    const known = this.#offsets.get(text)
    if (known !== undefined) return known
    const offset = this.#size
    const size = offset + text.length + 1
    if (size > this.#bytes.length) {
      const more = new Uint8Array(Math.max(size, this.#bytes.length * 2))
      more.set(this.#bytes.subarray(0, offset))
      this.#bytes = more
    }
    for (let i = 0; i < text.length; i++) this.#bytes[offset + i] = text.charCodeAt(i)
    this.#bytes[size - 1] = 0
    this.#size = size
    this.#offsets.set(text, offset)
    this.#texts.set(offset, text)
    return offset
  }

  /** The table; a view of it as it stands. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#size)
  }
}
