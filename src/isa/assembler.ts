import { buildGrammar, describeEdge, edgesFor, type GrammarNode, type Production } from './grammar.ts'
import { type Instruction, wideInstruction } from './instruction.ts'
import { lex, type Token } from './lexer.ts'
import type { Row } from './row.ts'
import type { Placeholder } from './template.ts'

/** Where a source text is wrong, what could have stood there, and what did. */
export interface AssemblyError {
  readonly kind:
    | 'unexpected-token'
    | 'unexpected-end'
    | 'out-of-range'
    | 'register-mismatch'
    | 'undefined-label'
    | 'duplicate-label'
  /** From 1. */
  readonly line: number
  /** From 1. */
  readonly column: number
  readonly expected: readonly string[]
  readonly found: string
  readonly message: string
}

export type AssembleResult =
  | {
      readonly ok: true
      readonly program: Instruction[]
      /** The slot that each label names. */
      readonly labels: ReadonlyMap<string, number>
      /** Parallel to `program`: the source line (from 1) of each slot. */
      readonly lines: readonly number[]
    }
  | { readonly ok: false; readonly errors: readonly [AssemblyError, ...AssemblyError[]] }

export interface AssembleOptions {
  /** The number of the helper that `call NAME` names, where NAME is no label. */
  readonly helperId?: (name: string) => number | undefined
}

interface Statement {
  readonly line: number
  readonly index: number
  readonly tokens: readonly Token[]
  /** Undefined for data. */
  readonly production: Production | undefined
}

type Fault = Omit<AssemblyError, 'line' | 'message'>

const grammar: GrammarNode = buildGrammar()

/**
 * Assembles a program from text in the kernel's syntax or clang's, freely mixed.
 *
 * One instruction a line, `name:` labels, comments from `;`, `//` or `#`, and `.8byte N` (also `.quad N`) for a raw
 * slot. What listings add is skipped: the index and opcode before an instruction (`12: (bf)`), the target in angle
 * brackets after it. Jumps go to a label, `pc+N`, or `+N` slots past the next instruction. On failure, every
 * wrong line is reported, in order.
 */
export function assemble(source: string, options: AssembleOptions = {}): AssembleResult {
  const errors: AssemblyError[] = []
  const labels = new Map<string, number>()
  const statements: Statement[] = []
  let index = 0
  source.split(/\r?\n/).forEach((text, number) => {
    const line = number + 1
    const report = (fault: Fault) => errors.push(finish(fault, line))
    const tokens = lex(skipListing(text))
    if (!Array.isArray(tokens)) {
      report({ kind: 'unexpected-token', ...tokens, expected: ['an instruction'] })
      return
    }
    const body = takeLabels(tokens, index, labels, report)
    if (body.length === 0) return
    const production = body[0]!.text === '.8byte' || body[0]!.text === '.quad' ? undefined : match(body)
    if (production !== undefined && 'kind' in production) {
      report(production)
      return
    }
    statements.push({ line, index, tokens: body, production })
    index += production?.row.kind === 'wide' ? 2 : 1
  })
  const program: Instruction[] = []
  const lines: number[] = []
  for (const statement of statements) {
    const emitted = emit(statement, labels, options)
    if ('kind' in emitted) errors.push(finish(emitted, statement.line))
    else {
      program.push(...emitted)
      lines.push(...emitted.map(() => statement.line))
    }
  }
  const [first, ...others] = errors.sort((a, b) => a.line - b.line || a.column - b.column)
  if (first !== undefined) return { ok: false, errors: [first, ...others] }
  return { ok: true, program, labels, lines }
}

/** Blanks out what a listing adds, so that columns stay those of the source. */
const skipListing = (line: string): string =>
  line
    .replace(/^\s*\d+:(?:\s*\([0-9a-f]{2}\))?/, (match) => ' '.repeat(match.length))
    .replace(/\s<[^<>]+>\s*$/, (match) => ' '.repeat(match.length))

const finish = (fault: Fault, line: number): AssemblyError => {
  const what: Record<Fault['kind'], string> = {
    'unexpected-token': 'unexpected',
    'unexpected-end': 'unexpected',
    'out-of-range': 'out of range:',
    'register-mismatch': 'not the same register:',
    'undefined-label': 'undefined label',
    'duplicate-label': 'label defined twice:',
  }
  const wanted = fault.expected.length === 0 ? '' : `; expected ${alternatives(fault.expected)}`
  const message = `${line}:${fault.column}: ${what[fault.kind]} ${fault.found}${wanted}`
  return { ...fault, line, message }
}

const alternatives = (expected: readonly string[]): string => {
  const shown = expected.length > 12 ? [...expected.slice(0, 12), '...'] : [...expected]
  return shown.length === 1 ? shown[0]! : `${shown.slice(0, -1).join(', ')} or ${shown.at(-1)}`
}

const quote = (token: Token): string => `\`${token.text}\``

function takeLabels(
  tokens: readonly Token[],
  index: number,
  labels: Map<string, number>,
  report: (fault: Fault) => void,
): readonly Token[] {
  const [name, colon] = tokens
  if (name === undefined || colon?.text !== ':' || (name.kind !== 'word' && name.kind !== 'register'))
    return tokens
  if (labels.has(name.text)) {
    report({ kind: 'duplicate-label', column: name.column, expected: [], found: quote(name) })
  }
  labels.set(name.text, index)
  return takeLabels(tokens.slice(2), index, labels, report)
}

/** Finds the row whose syntax the tokens follow. */
function match(tokens: readonly Token[]): Production | Fault {
  let node = grammar
  for (const token of tokens) {
    const next = edgesFor(token)
      .map((edge) => node.edges.get(edge))
      .find((found) => found !== undefined)
    if (next === undefined) return unexpected('unexpected-token', node, token.column, quote(token))
    node = next
  }
  const last = tokens.at(-1)!
  if (node.productions.length === 0) {
    return unexpected('unexpected-end', node, last.column + last.text.length, 'end of line')
  }
  const fits = node.productions.find((production) => wrongLiteral(tokens, production) === undefined)
  if (fits !== undefined) return fits
  const { token, value } = wrongLiteral(tokens, node.productions[0]!)!
  const expected = [token.kind === 'register' ? `\`${token.text[0]}${value}\`` : `\`${value}\``]
  return { kind: 'unexpected-token', column: token.column, expected, found: quote(token) }
}

function unexpected(kind: Fault['kind'], node: GrammarNode, column: number, found: string): Fault {
  const expected = [...node.edges.keys()].map(describeEdge)
  if (node.productions.length > 0) expected.push('end of line')
  return { kind, column, expected, found }
}

/** The first token that differs from a value which the syntax fixes (`r0` in `r0 = *(u8 *)skb[0]`). */
function wrongLiteral(
  tokens: readonly Token[],
  { slots }: Production,
): { token: Token; value: number } | undefined {
  for (const [i, token] of tokens.entries()) {
    const slot = slots[i]
    if (slot === undefined || !('fixed' in slot)) continue
    const value =
      token.kind === 'register' ? token.number : 'value' in token ? Number(token.value) : undefined
    if (value !== slot.fixed) return { token, value: slot.fixed }
  }
  return undefined
}

const range = {
  imm: [-(1n << 31n), (1n << 32n) - 1n],
  offset: [-(1n << 15n), (1n << 15n) - 1n],
  distance: [-(1n << 31n), (1n << 31n) - 1n],
  half: [0n, (1n << 16n) - 1n],
  wide: [-(1n << 63n), (1n << 64n) - 1n],
} as const satisfies Record<string, readonly [bigint, bigint]>

/** The values of one statement's fields, gathered token by token. */
class Fields {
  readonly #values = new Map<Placeholder | 'btf', bigint>()
  readonly #line: Statement
  readonly #labels: ReadonlyMap<string, number>
  fault: Fault | undefined

  constructor(line: Statement, labels: ReadonlyMap<string, number>) {
    this.#line = line
    this.#labels = labels
  }

  get(field: Placeholder | 'btf'): number {
    return Number(this.#values.get(field) ?? 0n)
  }

  wide(field: Placeholder): bigint {
    return this.#values.get(field) ?? 0n
  }

  read(field: Placeholder, token: Token, row: Row): void {
    if (token.kind === 'register' && field !== 'j') this.#register(field, token)
    else if (field === 'j') this.#jump(token, row)
    else if ('value' in token) {
      const limits =
        field === 'o'
          ? range.offset
          : field === 'I'
            ? range.wide
            : /[ab]/.test(field)
              ? range.half
              : range.imm
      this.#set(field, token.value, limits, token)
      if ('index' in token) this.#set('btf', token.index, range.half, token)
    }
  }

  #register(field: Placeholder, token: Token & { kind: 'register' }): void {
    const before = this.#values.get(field)
    const value = BigInt(token.number)
    if (before !== undefined && before !== value) {
      const expected = [`\`${token.text[0]}${before}\``]
      this.#fail({ kind: 'register-mismatch', column: token.column, expected, found: quote(token) })
    }
    this.#values.set(field, value)
  }

  #jump(token: Token, row: Row): void {
    const limits = row.imm === 'jump' ? range.distance : range.offset
    if ('value' in token) this.#set('j', token.value, limits, token)
    else {
      const target = this.#labels.get(token.text)
      if (target === undefined) {
        this.#fail({ kind: 'undefined-label', column: token.column, expected: [], found: quote(token) })
        return
      }
      this.#set('j', BigInt(target - this.#line.index - 1), limits, token)
    }
  }

  #set(
    field: Placeholder | 'btf',
    value: bigint,
    [least, most]: readonly [bigint, bigint],
    token: Token,
  ): void {
    this.#values.set(field, value)
    if (value >= least && value <= most) return
    const found = 'value' in token ? quote(token) : `${quote(token)} (${value} instructions away)`
    this.#fail({ kind: 'out-of-range', column: token.column, expected: [`${least} to ${most}`], found })
  }

  #fail(fault: Fault): void {
    this.fault ??= fault
  }
}

function emit(
  statement: Statement,
  labels: ReadonlyMap<string, number>,
  options: AssembleOptions,
): readonly Instruction[] | Fault {
  if (statement.production === undefined) return emitData(statement)
  const { row, slots } = statement.production
  const helper = helperByName(statement, labels, options)
  if (helper !== undefined) return [helper]
  const fields = new Fields(statement, labels)
  for (const [i, token] of statement.tokens.entries()) {
    const slot = slots[i]
    if (slot !== undefined && 'field' in slot) fields.read(slot.field, token, row)
  }
  return fields.fault ?? encodeRow(row, fields)
}

function encodeRow(row: Row, fields: Fields): readonly Instruction[] {
  const fixed = (spec: string | number | undefined) => (typeof spec === 'number' ? spec : 0)
  const src = row.src === 'reg' ? fields.get('s') : fixed(row.src)
  if (row.kind === 'wide') {
    const low = BigInt(row.imm === 'jump' ? fields.get('j') : fields.get('i'))
    const value = row.op === 'imm64' ? fields.wide('I') : (fields.wide('h') << 32n) | BigInt.asUintN(32, low)
    return wideInstruction(fields.get('d'), src, value)
  }
  const offsets = { offset: () => fields.get('o'), jump: () => fields.get('j'), btf: () => fields.get('btf') }
  const offset = typeof row.offset === 'string' ? offsets[row.offset]() : fixed(row.offset)
  const given = (['i', 'x', 'p', 'n', 'k'] as const).reduce((sum, field) => sum + fields.get(field), 0)
  const imms = { imm: () => given + fields.get('a') * 0x10000 + fields.get('b'), jump: () => fields.get('j') }
  const imm = typeof row.imm === 'string' ? imms[row.imm]() : fixed(row.imm)
  return [{ opcode: row.opcode, dst: fields.get('d'), src, offset: (offset << 16) >> 16, imm: imm | 0 }]
}

/** `call NAME`, where NAME is no label but a helper. */
function helperByName(
  { tokens, production }: Statement,
  labels: ReadonlyMap<string, number>,
  { helperId }: AssembleOptions,
): Instruction | undefined {
  const target = tokens[1]
  if (production?.row.name !== 'call_local' || target?.kind !== 'word' || labels.has(target.text))
    return undefined
  const imm = helperId?.(target.text)
  return imm === undefined ? undefined : { opcode: production.row.opcode, dst: 0, src: 0, offset: 0, imm }
}

function emitData({ tokens }: Statement): readonly Instruction[] | Fault {
  const [directive, value, extra] = tokens
  if (value?.kind !== 'number') {
    const at = value ?? { column: directive!.column + directive!.text.length, text: 'end of line' }
    return { kind: 'unexpected-token', column: at.column, expected: ['a number'], found: `\`${at.text}\`` }
  }
  if (extra !== undefined) {
    return { kind: 'unexpected-token', column: extra.column, expected: ['end of line'], found: quote(extra) }
  }
  const [least, most] = range.wide
  if (value.value < least || value.value > most) {
    const expected = [`${least} to ${most}`]
    return { kind: 'out-of-range', column: value.column, expected, found: quote(value) }
  }
  const word = BigInt.asUintN(64, value.value)
  const byte = (at: bigint) => Number((word >> at) & 0xffn)
  return [
    {
      opcode: byte(0n),
      dst: byte(8n) & 0x0f,
      src: byte(8n) >> 4,
      offset: Number(BigInt.asIntN(16, word >> 16n)),
      imm: Number(BigInt.asIntN(32, word >> 32n)),
    },
  ]
}
