/**
 * Text that a program writes on one walk of an iterator, piece by piece.
 *
 * Rules
 * - There is room for all but the last of its bytes. What does not fit is left out as a whole, and from then on there is
 *   no room for anything: whoever reads takes what was written before (`truncate`) and has the rest written again.
 *
 * Source: fs/seq_file.c of Linux.
 */
const SEQ_BYTES = 32 * 1024

export class SeqText {
  readonly #bytes = new Uint8Array(SEQ_BYTES)
  #count = 0

  /** Bytes written. */
  get count(): number {
    return this.#count
  }

  get hasOverflowed(): boolean {
    return this.#count === SEQ_BYTES
  }

  /** False: it does not fit. */
  write(bytes: Uint8Array): boolean {
    if (!this.#take(bytes.length)) return false
    this.#bytes.set(bytes, this.#count - bytes.length)
    return true
  }

  /** Text of one byte a character. */
  print(text: string): boolean {
    if (!this.#take(text.length)) return false
    for (let i = 0, at = this.#count - text.length; i < text.length; i++)
      this.#bytes[at + i] = text.charCodeAt(i)
    return true
  }

  /** `put` writes to where there is room, and says how much it would have written. False: more than that. */
  writeWith(put: (room: Uint8Array) => number): boolean {
    return this.#take(put(this.#bytes.subarray(this.#count)))
  }

  /** Forgets what came after the first `count` bytes. */
  truncate(count: number): void {
    this.#count = count
  }

  /** Up to `length` of the bytes from `start` on. */
  read(start: number, length: number): Uint8Array {
    return this.#bytes.slice(start, Math.min(start + length, this.#count))
  }

  #take(sizeBytes: number): boolean {
    const end = this.#count + sizeBytes
    this.#count = end < SEQ_BYTES ? end : SEQ_BYTES
    return end < SEQ_BYTES
  }
}
