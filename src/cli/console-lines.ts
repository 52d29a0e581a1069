/** Cuts a guest's console output into lines. */
export class ConsoleLines {
  readonly #decoder = new TextDecoder()
  readonly #onLine: (line: string) => void
  #partial = ''

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  write(bytes: Uint8Array): void {
    const lines = (this.#partial + this.#decoder.decode(bytes, { stream: true })).split(/\r?\n/)
    this.#partial = lines.pop() ?? ''
    for (const line of lines) this.#onLine(line)
  }

  /** Hands out a last line without an end. */
  end(): void {
    if (this.#partial !== '') this.#onLine(this.#partial)
    this.#partial = ''
  }
}
