/**
 * The assembler of the `.data` files that the bpf_conformance suite is written in: `add32 %r1, 5`,
 * `ldxw %r0, [%r1+2]`, `lock fetch add [%r10-8], %r1`, `call local f`.
 *
 * Rules of the dialect
 * - A register is `%r0` to `%r15`; an operand is a register, a number (hex is unsigned, decimal signed), or memory in
 *   brackets, with a displacement.
 * - A jump goes to a label, or `+N` or `-N` slots past the next instruction. A label is a line `name:`. Where no label
 *   has that name, `exit` is the first exit instruction.
 * - `call N` calls helper N, `call %r1` the helper whose number is in a register, `call local L` a subprogram,
 *   `call runtime N` a kernel function.
 *
 * Source: the README and tests of the suite.
 */
import type { AssembleResult, AssemblyError } from './assembler.ts'
import { type Instruction, wideInstruction } from './instruction.ts'
import type { Row } from './row.ts'
import { rows } from './rows.ts'

type Operand =
  | { readonly kind: 'register'; readonly number: number }
  | { readonly kind: 'memory'; readonly number: number; readonly displacement: bigint }
  | { readonly kind: 'number'; readonly value: bigint; readonly signed: boolean }
  | { readonly kind: 'label'; readonly name: string }

interface Word {
  readonly text: string
  readonly column: number
}

type Fault = Omit<AssemblyError, 'line' | 'message'>

/** The operands of a row in the order of the dialect. */
type Place = 'dst' | 'src' | 'imm' | 'jump' | 'at-dst' | 'at-src'

function places(row: Row): Place[] {
  const jump: Place[] = row.offset === 'jump' || row.imm === 'jump' ? ['jump'] : []
  const value: Place[] = row.src === 'reg' ? ['src'] : row.imm === 'imm' ? ['imm'] : []
  switch (row.kind) {
    case 'load':
      return ['dst', 'at-src']
    case 'store':
    case 'atomic':
      return ['at-dst', ...value]
    case 'packet':
      return row.src === 'reg' ? ['src', 'imm'] : ['imm']
    case 'call':
      return row.dst === 'reg' ? ['dst'] : row.imm === 'jump' ? jump : ['imm']
    case 'cast':
      return ['dst', 'src', 'imm']
    default:
      return [...(row.dst === 'reg' ? (['dst'] as const) : []), ...value, ...jump]
  }
}

const byMnemonic: ReadonlyMap<string, readonly Row[]> = (rows as readonly Row[]).reduce(
  (groups, row) => groups.set(row.mnemonic, [...(groups.get(row.mnemonic) ?? []), row]),
  new Map<string, Row[]>(),
)

/** Other spellings in use. */
const aliases: Readonly<Record<string, string>> = {
  swap16: 'bswap16',
  swap32: 'bswap32',
  swap64: 'bswap64',
  call: 'call helper',
}

/** The most words that a mnemonic has: `lock fetch add32`. */
const MOST_WORDS = 3

interface Statement {
  readonly line: number
  readonly index: number
  readonly row: Row
  readonly operands: readonly Operand[]
  readonly words: readonly Word[]
}

/** Assembles text in this dialect; on failure every wrong line is reported, in order. */
export function assembleMnemonics(source: string): AssembleResult {
  const errors: AssemblyError[] = []
  const labels = new Map<string, number>()
  const statements: Statement[] = []
  let index = 0
  let firstExit: number | undefined
  source.split(/\r?\n/).forEach((text, number) => {
    const line = number + 1
    const words = wordsOf(text)
    const first = words[0]
    if (first === undefined) return
    if (words.length === 1 && first.text.endsWith(':')) {
      const name = first.text.slice(0, -1)
      if (labels.has(name)) errors.push(at(line, { ...fault('duplicate-label', first), expected: [] }))
      labels.set(name, index)
      return
    }
    const parsed = parseStatement(words)
    if ('kind' in parsed) {
      errors.push(at(line, parsed))
      return
    }
    statements.push({ ...parsed, line, index })
    if (parsed.row.kind === 'exit') firstExit ??= index
    index += parsed.row.kind === 'wide' ? 2 : 1
  })
  if (firstExit !== undefined && !labels.has('exit')) labels.set('exit', firstExit)
  const program: Instruction[] = []
  const lines: number[] = []
  for (const statement of statements) {
    const emitted = emit(statement, labels)
    if ('kind' in emitted) errors.push(at(statement.line, emitted))
    else {
      program.push(...emitted)
      lines.push(...emitted.map(() => statement.line))
    }
  }
  const [earliest, ...others] = errors.sort((a, b) => a.line - b.line)
  if (earliest !== undefined) return { ok: false, errors: [earliest, ...others] }
  return { ok: true, program, labels, lines }
}

const wordsOf = (line: string): Word[] =>
  [...line.replace(/#.*$/, '').matchAll(/[^\s,]+/g)].map(({ 0: text, index }) => ({
    text,
    column: index + 1,
  }))

const fault = (kind: Fault['kind'], { column, text }: Word, expected: string[] = []): Fault => ({
  kind,
  column,
  expected,
  found: `\`${text}\``,
})

const at = (line: number, { kind, column, expected, found }: Fault): AssemblyError => {
  const wanted = expected.length === 0 ? '' : `; expected ${expected.join(' or ')}`
  const message = `${line}:${column}: ${kind.replaceAll('-', ' ')} ${found}${wanted}`
  return { kind, line, column, expected, found, message }
}

function parseOperand({ text }: Word): Operand {
  const register = /^%r(\d|1[0-5])$/.exec(text)
  if (register !== null) return { kind: 'register', number: Number(register[1]) }
  const memory = /^\[%r(\d|1[0-5])([+-].+)?\]$/.exec(text)
  const displacement = memory?.[2] === undefined ? 0n : parseNumber(memory[2])
  if (memory !== null && displacement !== undefined) {
    return { kind: 'memory', number: Number(memory[1]), displacement }
  }
  const value = parseNumber(text)
  if (value !== undefined) return { kind: 'number', value, signed: /^[+-]/.test(text) }
  return { kind: 'label', name: text }
}

function parseNumber(text: string): bigint | undefined {
  const match = /^([+-]?)(0[xX][0-9a-fA-F]+|\d+)$/.exec(text)
  if (match === null) return undefined
  const magnitude = BigInt(match[2]!)
  return match[1] === '-' ? -magnitude : magnitude
}

function parseStatement(words: readonly Word[]): Omit<Statement, 'line' | 'index'> | Fault {
  for (let count = Math.min(MOST_WORDS, words.length); count > 0; count--) {
    const name = words
      .slice(0, count)
      .map(({ text }) => text)
      .join(' ')
    const candidates = [
      ...(byMnemonic.get(aliases[name] ?? name) ?? []),
      ...(name === 'call' || name === 'call helper' ? (byMnemonic.get('callx') ?? []) : []),
    ]
    if (candidates.length === 0) continue
    const rest = words.slice(count)
    const operands = rest.map(parseOperand)
    const row = candidates.find((candidate) => takes(candidate, operands))
    if (row !== undefined) return { row, operands, words: rest }
    const expected = candidates.map((candidate) =>
      [name, places(candidate).map(describePlace).join(', ')].join(' '),
    )
    const wrong = rest.find(
      (_, i) => !candidates.some((candidate) => fits(places(candidate)[i], operands[i]!)),
    )
    return fault('unexpected-token', wrong ?? words[0]!, expected)
  }
  return fault('unexpected-token', words[0]!, ['a mnemonic'])
}

const takes = (row: Row, operands: readonly Operand[]): boolean => {
  const wanted = places(row)
  return wanted.length === operands.length && wanted.every((place, i) => fits(place, operands[i]!))
}

function fits(place: Place | undefined, operand: Operand): boolean {
  switch (place) {
    case 'dst':
    case 'src':
      return operand.kind === 'register'
    case 'at-dst':
    case 'at-src':
      return operand.kind === 'memory'
    case 'imm':
      return operand.kind === 'number'
    case 'jump':
      return operand.kind === 'label' || (operand.kind === 'number' && operand.signed)
    case undefined:
      return false
  }
}

const describePlace = (place: Place): string =>
  ({ dst: '%rN', src: '%rN', 'at-dst': '[%rN+N]', 'at-src': '[%rN+N]', imm: 'N', jump: 'LABEL' })[place]

/** Hexadecimal numbers may fill the field as unsigned ones. */
const inRange = (value: bigint, bits: number, text: string): boolean =>
  /0[xX]/.test(text)
    ? value > -(1n << BigInt(bits - 1)) && value < 1n << BigInt(bits)
    : BigInt.asIntN(bits, value) === value

function emit(
  { row, operands, words, index }: Statement,
  labels: ReadonlyMap<string, number>,
): readonly Instruction[] | Fault {
  const fixed = (spec: string | number | undefined) => (typeof spec === 'number' ? spec : 0)
  const insn = {
    opcode: row.opcode,
    dst: 0,
    src: fixed(row.src),
    offset: fixed(row.offset),
    imm: fixed(row.imm),
  }
  let wide = 0n
  for (const [i, place] of places(row).entries()) {
    const operand = operands[i]!
    const word = words[i]!
    if (operand.kind === 'register' || operand.kind === 'memory') {
      if (place === 'dst' || place === 'at-dst') insn.dst = operand.number
      else insn.src = operand.number
      if (operand.kind === 'register') continue
      if (!inRange(operand.displacement, 16, word.text)) return fault('out-of-range', word, ['16 bits'])
      insn.offset = Number(BigInt.asIntN(16, operand.displacement))
      continue
    }
    let value = 0n
    if (operand.kind === 'number') value = operand.value
    else {
      const target = labels.get(operand.name)
      if (target === undefined) return fault('undefined-label', word)
      value = BigInt(target - index - 1)
    }
    const isOffset = place === 'jump' && row.offset === 'jump'
    const bits = row.kind === 'wide' ? 64 : isOffset ? 16 : 32
    const isUnsignedDecimal = row.kind === 'wide' && value >= 0n && value < 1n << 64n
    if (!isUnsignedDecimal && !inRange(value, bits, word.text))
      return fault('out-of-range', word, [`${bits} bits`])
    if (row.kind === 'wide') wide = value
    else if (isOffset) insn.offset = Number(BigInt.asIntN(16, value))
    else insn.imm = Number(BigInt.asIntN(32, value))
  }
  return row.kind === 'wide' ? wideInstruction(insn.dst, insn.src, wide) : [insn]
}
