/**
 * The text that BPF_PROG_LOAD leaves in the caller's buffer.
 *
 * At level 1 only the path that failed is kept: going back to an earlier branch takes what was written since away.
 */
export class VerifierLog {
  /** 0: nothing is kept but the last lines. 1, 2, 4: see `ProgramInput.logLevel`. */
  readonly level: number
  #parts: string[] = []

  constructor(level: number) {
    this.level = level
  }

  /** What `rewind` goes back to. */
  get position(): number {
    return this.#parts.length
  }

  write(text: string): void {
    if (this.level !== 0) this.#parts.push(text)
  }

  rewind(position: number): void {
    if (position < this.#parts.length) this.#parts.length = position
  }

  get text(): string {
    return this.#parts.join('')
  }
}
