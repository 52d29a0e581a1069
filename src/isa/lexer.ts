/** The words of one line of assembly, in the kernel's syntax or clang's. */
export type Token =
  | { readonly kind: 'register'; readonly text: string; readonly column: number; readonly number: number }
  | { readonly kind: 'number'; readonly text: string; readonly column: number; readonly value: bigint }
  /** `pc+3`: a distance from the next instruction. */
  | { readonly kind: 'pc'; readonly text: string; readonly column: number; readonly value: bigint }
  /** `bpf_map_lookup_elem#1` is named, `kernel-function#17@2` a kfunc (with the index of its BTF descriptor). */
  | {
      readonly kind: 'named' | 'kfunc'
      readonly text: string
      readonly column: number
      readonly name: string
      readonly value: bigint
      readonly index: bigint
    }
  | { readonly kind: 'word' | 'symbol'; readonly text: string; readonly column: number }

export interface LexError {
  readonly column: number
  readonly found: string
}

const integer = '(?:0[xX][0-9a-fA-F]+|[0-9]+)(?![\\w])'
/** In order of precedence: `s>>=` must not be read as a word, nor `-=` as a sign. */
const shapes: readonly (readonly [Token['kind'], RegExp])[] = [
  ['symbol', /s(?:>>=|>=|<=|>|<|\/=|%=)/y],
  ['pc', new RegExp(`pc\\s*[+-]\\s*${integer}`, 'y')],
  ['kfunc', /kernel-function#-?\d+(?:@\d+)?/y],
  ['named', /[A-Za-z_][\w.-]*#-?\d+(?:@\d+)?/y],
  ['register', /[rw](?:1[0-5]|[0-9])(?!\w)/y],
  ['word', /[A-Za-z_.$][\w.$]*/y],
  ['symbol', /<<=|>>=|\+=|-=|\*=|\/=|%=|\|=|&=|\^=|==|!=|<=|>=/y],
  ['number', new RegExp(`(?:[+-]\\s*)*${integer}`, 'y')],
  ['symbol', /[-=<>&*()[\]{},:]/y],
]

/** `+4`, `- 0x8`, `+ -5`: signs, spaces and digits to a number. */
function parseInteger(text: string): bigint {
  const magnitude = BigInt(text.replace(/[+\-\s]/g, ''))
  return (text.match(/-/g)?.length ?? 0) % 2 === 1 ? -magnitude : magnitude
}

function makeToken(kind: Token['kind'], text: string, column: number): Token {
  switch (kind) {
    case 'register':
      return { kind, text, column, number: Number(text.slice(1)) }
    case 'number':
      return { kind, text, column, value: parseInteger(text) }
    case 'pc':
      return { kind, text, column, value: parseInteger(text.slice(2)) }
    case 'named':
    case 'kfunc': {
      const [, name, value, index] = /^(.*)#(-?\d+)(?:@(\d+))?$/.exec(text) as RegExpExecArray
      return { kind, text, column, name: name!, value: BigInt(value!), index: BigInt(index ?? 0) }
    }
    default:
      return { kind, text, column }
  }
}

/**
 * Splits a line into tokens; columns count from 1.
 *
 * `;` and `//` begin a comment, and so does `#` except inside `name#number`.
 */
export function lex(line: string): Token[] | LexError {
  const tokens: Token[] = []
  let at = 0
  while (at < line.length) {
    const rest = line.slice(at)
    const blank = /^\s+/.exec(rest)
    if (blank !== null) {
      at += blank[0].length
      continue
    }
    if (/^(?:;|\/\/|#)/.test(rest)) break
    const token = tokenAt(line, at)
    if (token === undefined) return { column: at + 1, found: rest[0] as string }
    tokens.push(token)
    at += token.text.length
  }
  return tokens
}

function tokenAt(line: string, at: number): Token | undefined {
  for (const [kind, shape] of shapes) {
    shape.lastIndex = at
    const match = shape.exec(line)
    if (match !== null) return makeToken(kind, match[0], at + 1)
  }
  return undefined
}
