/** Text at the bottom of a terminal that is drawn over and over. */
import type { OutputStream } from './host.ts'

export class LiveRegion {
  readonly #stream: OutputStream
  #lines: readonly string[] = []

  /** `stream` is a terminal. */
  constructor(stream: OutputStream) {
    this.#stream = stream
  }

  /** Replaces what was drawn. Lines are cut to the terminal's width, and what does not fit its height is left out. */
  draw(lines: readonly string[]): void {
    const columns = this.#stream.columns ?? 80
    const rows = this.#stream.rows ?? 24
    const shown = lines.slice(0, rows - 1).map((line) => cut(line, columns - 1))
    this.#stream.write(`${this.#erase()}${shown.map((line) => `${line}\n`).join('')}`)
    this.#lines = shown
  }

  /** Writes lines above the region, where they stay. */
  above(text: string): void {
    const again = this.#lines.map((line) => `${line}\n`).join('')
    this.#stream.write(`${this.#erase()}${text}${again}`)
  }

  /** Takes the region away. */
  clear(): void {
    this.#stream.write(this.#erase())
    this.#lines = []
  }

  #erase(): string {
    return this.#lines.length === 0 ? '' : `\x1b[${this.#lines.length}A\x1b[J`
  }
}

const ESCAPE = '\x1b'
const COLOUR_CODE = new RegExp(`${ESCAPE}\\[[0-9;]*m`, 'g')

/** The first `width` characters, colour codes not counted; codes that follow are kept, as they end a colour. */
function cut(line: string, width: number): string {
  let room = width
  let kept = ''
  let at = 0
  for (const code of [...line.matchAll(COLOUR_CODE), undefined]) {
    const text = line.slice(at, code?.index)
    kept += text.slice(0, room) + (code?.[0] ?? '')
    room = Math.max(0, room - text.length)
    at = (code?.index ?? 0) + (code?.[0].length ?? 0)
  }
  return kept
}
