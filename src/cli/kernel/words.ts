/**
 * The words of a command, in bpftool's grammar: `id 5`, `key hex 01 02 value 7 0 0 0`.
 *
 * Commands read their words front to back. What does not fit ends the command by a `CommandError`, which the one
 * place that runs commands (`run-command.ts`) turns into a message; so a command's own code has only the good case.
 */
import { CliFailure, EXIT_USAGE } from '../failure.ts'

/** Ends a command with a message for people. */
export class CommandError extends Error {
  readonly failure: CliFailure

  constructor(message: string, more: ConstructorParameters<typeof CliFailure>[1] = {}) {
    super(message)
    this.failure = new CliFailure(message, more)
  }
}

export const usageError = (message: string, ...advice: string[]): CommandError =>
  new CommandError(message, { exitCode: EXIT_USAGE, advice })

export class Words {
  readonly #words: readonly string[]
  #at = 0

  constructor(words: readonly string[]) {
    this.#words = words
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#words.length
  }

  /** The word that comes next, left where it is. */
  peek(): string | undefined {
    return this.#words[this.#at]
  }

  /** The next word; `what` says what it should have been. */
  take(what: string): string {
    const word = this.#words[this.#at]
    if (word === undefined) throw usageError(`expected ${what}, found the end of the command`)
    this.#at++
    return word
  }

  /** Takes the next word if it is this one. */
  has(keyword: string): boolean {
    if (this.peek() !== keyword) return false
    this.#at++
    return true
  }

  /** Takes the next word, one of these. */
  oneOf<K extends string>(keywords: readonly K[]): K {
    const word = this.peek()
    const found = keywords.find((keyword) => keyword === word)
    if (found === undefined) {
      throw usageError(
        `expected ${keywords.join(' or ')}, found ${word === undefined ? 'nothing' : `'${word}'`}`,
      )
    }
    this.#at++
    return found
  }

  /** A number of 32 bits, decimal or `0x`. */
  number(what: string): number {
    const word = this.take(what)
    const value = /^(0x[0-9a-f]+|\d+)$/i.test(word) ? Number(word) : Number.NaN
    if (!(value <= 0xffff_ffff)) throw usageError(`${what}: expected a number, found '${word}'`)
    return value
  }

  /** `count` bytes, each a word: decimal, `0x` or octal as in C, or all hexadecimal after `hex`. */
  bytes(what: string, count: number): Uint8Array {
    const isHex = this.has('hex')
    const bytes = new Uint8Array(count)
    for (let index = 0; index < count; index++) {
      const word = this.peek()
      const value = word === undefined ? undefined : byteOf(word, isHex)
      if (value === undefined) {
        const found = word === undefined ? `${index}` : `'${word}' after ${index}`
        throw usageError(
          `${what}: expected ${count} bytes, found ${found}`,
          `a byte is a word: ${what} hex ${'00 '.repeat(Math.min(count, 4)).trim()}${count > 4 ? ' ...' : ''}`,
        )
      }
      bytes[index] = value
      this.#at++
    }
    return bytes
  }

  end(): void {
    const word = this.peek()
    if (word !== undefined) throw usageError(`'${word}' is not understood here`)
  }
}

function byteOf(word: string, isHex: boolean): number | undefined {
  let value = Number.NaN
  if (isHex && /^(0x)?[0-9a-f]{1,2}$/i.test(word)) value = Number.parseInt(word, 16)
  else if (!isHex && /^0x[0-9a-f]{1,2}$/i.test(word)) value = Number(word)
  else if (!isHex && /^0[0-7]*$/.test(word)) value = Number.parseInt(word, 8)
  else if (!isHex && /^[1-9]\d*$/.test(word)) value = Number(word)
  return value <= 0xff ? value : undefined
}
