/**
 * What a program writes for whoever looks after it: its own words (stdout), and what went wrong with it (stderr).
 *
 * A stream that is full takes nothing more until it is read. Reading takes the text away.
 *
 * Source: kernel/bpf/stream.c of Linux.
 */
const MOST_BYTES = 100_000

export class ProgramStream {
  #pieces: Uint8Array[] = []
  #bytes = 0

  /** False where there is no room. */
  write(text: string): boolean {
    const piece = new TextEncoder().encode(text)
    if (this.#bytes + piece.length > MOST_BYTES) return false
    this.#pieces.push(piece)
    this.#bytes += piece.length
    return true
  }

  /** The first `length` bytes, which stay until `take`. */
  peek(length: number): Uint8Array {
    const wanted = Math.min(length, this.#bytes)
    const bytes = new Uint8Array(wanted)
    let at = 0
    for (const piece of this.#pieces) {
      if (at >= wanted) break
      const part = piece.subarray(0, wanted - at)
      bytes.set(part, at)
      at += part.length
    }
    return bytes
  }

  take(length: number): void {
    let left = length
    while (left > 0) {
      const piece = this.#pieces.shift()
      if (piece === undefined) return
      const used = Math.min(left, piece.length)
      if (used < piece.length) this.#pieces.unshift(piece.subarray(used))
      left -= used
      this.#bytes -= used
    }
  }
}
