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

  /** Goes on with the line that was written last, if that is `position`; answers whether. */
  reopenLine(position: number): boolean {
    const last = this.#parts.length - 1
    if (last < 0 || last + 1 !== position) return false
    // The caller's buffer keeps the blank when the log goes back to before what follows.
    this.#parts[last] = `${(this.#parts[last] as string).slice(0, -1)} `
    return true
  }

  rewind(position: number): void {
    if (position < this.#parts.length) this.#parts.length = position
  }

  get text(): string {
    return this.#parts.join('')
  }
}
