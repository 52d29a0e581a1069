/**
 * Types a script on a guest's console.
 *
 * A console keeps no more than a few lines that nobody has read yet, so the script is typed in pieces: the next one
 * when the guest has nothing left to do but wait for it.
 */

/** Characters that the demo guest's console keeps (RING_SIZE in guest/kernel/console.c), less room for an echo. */
export const MOST_CHARACTERS = 240

export class ScriptFeeder {
  readonly #lines: string[]

  /** A line that is longer than a console keeps, or nothing. */
  static tooLong(script: string): string | undefined {
    return linesOf(script).find((line) => line.length >= MOST_CHARACTERS)
  }

  /** The shell is told to end after the last line. */
  constructor(script: string) {
    this.#lines = [...linesOf(script), 'exit']
  }

  /** The next piece, or undefined after the last one. */
  next(): Uint8Array | undefined {
    let piece = ''
    for (let line = this.#lines[0]; line !== undefined; line = this.#lines[0]) {
      if (piece.length + line.length + 1 > MOST_CHARACTERS) break
      piece += `${line}\n`
      this.#lines.shift()
    }
    return piece === '' ? undefined : new TextEncoder().encode(piece)
  }
}

const linesOf = (script: string): string[] => script.split(/\r?\n/).filter((line) => line.trim() !== '')
