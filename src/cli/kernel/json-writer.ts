/**
 * Writes JSON as bpftool does, piece by piece: compact, or pretty with its own habits (four spaces; the elements of
 * an array stay on one line, its bracket does not; values that JSON does not know, such as 0x1f).
 */

export class JsonWriter {
  readonly #isPretty: boolean
  #text = ''
  #depth = 0
  /** A comma is due before what comes next. */
  #needsComma = false

  constructor(isPretty: boolean) {
    this.#isPretty = isPretty
  }

  /** All that was written, with a newline at the end. */
  get text(): string {
    return `${this.#text}\n`
  }

  get isEmpty(): boolean {
    return this.#text === ''
  }

  object(write: () => void): this {
    return this.#nest('{', write, '}')
  }

  array(write: () => void): this {
    return this.#nest('[', write, ']')
  }

  /** The name of a member; its value is what is written next. */
  name(name: string): this {
    this.#separate()
    this.#newLine()
    this.#text += `${quoted(name)}:${this.#isPretty ? ' ' : ''}`
    this.#needsComma = false
    return this
  }

  string(text: string): this {
    return this.raw(quoted(text))
  }

  number(value: number | bigint): this {
    return this.raw(String(value))
  }

  boolean(value: boolean): this {
    return this.raw(String(value))
  }

  null(): this {
    return this.raw('null')
  }

  /** Text that is JSON already, or that bpftool writes as if it were. */
  raw(text: string): this {
    this.#separate()
    this.#text += text
    this.#needsComma = true
    return this
  }

  /** Members of simple types; undefined ones are left out. */
  members(members: Readonly<Record<string, string | number | bigint | boolean | undefined>>): this {
    for (const [name, value] of Object.entries(members)) {
      if (value === undefined) continue
      this.name(name)
      if (typeof value === 'string') this.string(value)
      else this.raw(String(value))
    }
    return this
  }

  /** `["0x01","0x02"]`. */
  hexBytes(bytes: Uint8Array): this {
    return this.array(() => {
      for (const byte of bytes) this.raw(`"0x${byte.toString(16).padStart(2, '0')}"`)
    })
  }

  #nest(open: string, write: () => void, close: string): this {
    this.#separate()
    this.#text += open
    this.#depth++
    this.#needsComma = false
    write()
    this.#depth--
    // Nothing was written since the opening bracket where no comma would be due.
    if (this.#needsComma) this.#newLine()
    this.#text += close
    this.#needsComma = true
    return this
  }

  #separate(): void {
    if (this.#needsComma) this.#text += ','
    this.#needsComma = false
  }

  #newLine(): void {
    if (this.#isPretty) this.#text += `\n${'    '.repeat(this.#depth)}`
  }
}

/** Escapes quotes, backslashes and control characters, as bpftool does. */
function quoted(text: string): string {
  return `"${text.replace(SPECIAL, escaped)}"`
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what JSON wants escaped
const SPECIAL = /["\\\u0000-\u001f]/g
const short: Readonly<Record<string, string>> = {
  '\n': '\\n',
  '\t': '\\t',
  '\r': '\\r',
  '\f': '\\f',
  '\b': '\\b',
}

function escaped(character: string): string {
  if (character === '"' || character === '\\') return `\\${character}`
  return short[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
