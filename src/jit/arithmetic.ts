/**
 * What arithmetic, byte-swap and conditional-jump instructions are in WebAssembly, by the `op` of their row.
 *
 * Division has no trap here: by zero gives zero, modulo zero the dividend, and the least number by -1 itself. Where
 * the divisor is a constant, nothing of that is asked at run time.
 */
import { type Code, choose, i32, i64 } from '../wasm/index.ts'

type Word = 'i32' | 'i64'

/** The integer instructions of one width, so that an operation is written once for both. */
interface Width<W extends Word> {
  readonly ops: W extends 'i32' ? typeof i32 : typeof i64
  readonly type: W
  constant(value: bigint): Code<W>
  isZero(value: Code<W>): Code<'i32'>
}

const word: Width<'i32'> = {
  ops: i32,
  type: 'i32',
  constant: (value) => i32.const(Number(BigInt.asIntN(32, value))),
  isZero: (value) => i32.eqz(value),
}
const double: Width<'i64'> = {
  ops: i64,
  type: 'i64',
  constant: (value) => i64.const(value),
  isZero: (value) => i64.eqz(value),
}

interface Operands<W extends Word> {
  readonly a: Code<W>
  readonly b: Code<W>
  /** `b` where it is a constant, signed, in the width of the operation. */
  readonly constant: bigint | undefined
}

type Operation = <W extends Word>(width: Width<W>, operands: Operands<W>) => Code<W>

/** `b` is evaluated twice: it is a local. */
function divide<W extends Word>(
  { type, isZero }: Width<W>,
  b: Operands<W>,
  byZero: Code<W>,
  otherwise: Code<W>,
): Code<W> {
  if (b.constant === 0n) return byZero
  if (b.constant !== undefined) return otherwise
  return choose<W>(type, isZero(b.b), byZero, otherwise)
}

const binary =
  (name: 'add' | 'sub' | 'mul' | 'or' | 'and' | 'xor' | 'shl' | 'shr_u' | 'shr_s'): Operation =>
  <W extends Word>({ ops }: Width<W>, { a, b }: Operands<W>) =>
    (ops as unknown as Record<string, (a: Code<W>, b: Code<W>) => Code<W>>)[name]!(a, b)

const apply = <W extends Word>(width: Width<W>, name: string, a: Code<W>, b: Code<W>): Code<W> =>
  (width.ops as unknown as Record<string, (a: Code<W>, b: Code<W>) => Code<W>>)[name]!(a, b)

const operations: Readonly<Record<string, Operation>> = {
  add: binary('add'),
  sub: binary('sub'),
  mul: binary('mul'),
  or: binary('or'),
  and: binary('and'),
  xor: binary('xor'),
  lsh: binary('shl'),
  rsh: binary('shr_u'),
  arsh: binary('shr_s'),
  mov: (_, { b }) => b,
  neg: (width, { a }) => apply(width, 'sub', width.constant(0n), a),
  div: (width, o) => divide(width, o, width.constant(0n), apply(width, 'div_u', o.a, o.b)),
  mod: (width, o) => divide(width, o, o.a, apply(width, 'rem_u', o.a, o.b)),
  smod: (width, o) => divide(width, o, o.a, apply(width, 'rem_s', o.a, o.b)),
  sdiv: (width, o) => {
    const negated = apply(width, 'sub', width.constant(0n), o.a)
    if (o.constant === -1n) return negated
    const quotient = apply(width, 'div_s', o.a, o.b)
    if (o.constant !== undefined) return divide(width, o, width.constant(0n), quotient)
    const isMinusOne = apply(width, 'eq', o.b, width.constant(-1n)) as unknown as Code<'i32'>
    return divide(width, o, width.constant(0n), choose(width.type, isMinusOne, negated, quotient))
  },
  movsx8: (width, { b }) => (width.ops as typeof i64).extend8_s(b as Code<'i64'>) as Code<typeof width.type>,
  movsx16: (width, { b }) =>
    (width.ops as typeof i64).extend16_s(b as Code<'i64'>) as Code<typeof width.type>,
  movsx32: (_, { b }) => i64.extend32_s(b as Code<'i64'>) as never,
}

/** The result of a 64-bit arithmetic instruction. */
export function arithmetic64(
  op: string,
  a: Code<'i64'>,
  b: Code<'i64'>,
  constant: bigint | undefined,
): Code<'i64'> {
  const operand = constant === undefined ? b : i64.const(constant)
  return operationOf(op)(double, { a, b: operand, constant })
}

/** The low word of the result of an arithmetic instruction of 32 bits, or of one that `isNarrow` allows. */
export function arithmetic32(
  op: string,
  a: Code<'i32'>,
  b: Code<'i32'>,
  constant: bigint | undefined,
): Code<'i32'> {
  const low = constant === undefined ? undefined : BigInt.asIntN(32, constant)
  const operand = low === undefined ? b : word.constant(low)
  // Nothing is left to be extended.
  if (op === 'movsx32') return operand
  return operationOf(op)(word, { a, b: operand, constant: low })
}

function operationOf(op: string): Operation {
  const operation = operations[op]
  if (operation === undefined) throw new Error(`no code for ${op}`)
  return operation
}

/** `le`, `be` and `bswap` of up to 32 bits: registers and memory are little-endian, so `le` only truncates. */
export function swapLow(op: string, bits: number, low: Code<'i32'>): Code<'i32'> {
  if (op === 'le') return bits === 32 ? low : i32.and(low, i32.const(0xffff))
  if (bits === 32) return swap32(low)
  const high = i32.and(i32.shl(low, i32.const(8)), i32.const(0xff00))
  return i32.or(high, i32.and(i32.shr_u(low, i32.const(8)), i32.const(0xff)))
}

/** The same of 64 bits. */
export function swap64(op: string, value: Code<'i64'>): Code<'i64'> {
  if (op === 'le') return value
  const low = i32.wrap_i64(value)
  const upper = i32.wrap_i64(i64.shr_u(value, i64.const(32n)))
  return i64.or(i64.shl(i64.extend_i32_u(swap32(low)), i64.const(32n)), i64.extend_i32_u(swap32(upper)))
}

const swap32 = (value: Code<'i32'>): Code<'i32'> =>
  i32.or(
    i32.and(i32.rotl(value, i32.const(8)), i32.const(0x00ff00ff)),
    i32.and(i32.rotr(value, i32.const(8)), i32.const(0xff00ff00)),
  )

const comparisons: Readonly<Record<string, keyof typeof i32 & keyof typeof i64>> = {
  jeq: 'eq',
  jne: 'ne',
  jgt: 'gt_u',
  jge: 'ge_u',
  jlt: 'lt_u',
  jle: 'le_u',
  jsgt: 'gt_s',
  jsge: 'ge_s',
  jslt: 'lt_s',
  jsle: 'le_s',
}

/** Whether a conditional jump of 64 bits is taken. */
export function comparison64(
  op: string,
  a: Code<'i64'>,
  b: Code<'i64'>,
  constant: bigint | undefined,
): Code<'i32'> {
  const wide = constant === undefined ? b : i64.const(constant)
  if (op === 'jset') return i64.ne(i64.and(a, wide), i64.const(0n))
  if (constant === 0n && op === 'jeq') return i64.eqz(a)
  return compare(i64, op, a, wide)
}

/** Whether one of 32 bits is. */
export function comparison32(
  op: string,
  a: Code<'i32'>,
  b: Code<'i32'>,
  constant: bigint | undefined,
): Code<'i32'> {
  const low = constant === undefined ? b : word.constant(constant)
  if (op === 'jset') return i32.and(a, low)
  if (constant === 0n && op === 'jeq') return i32.eqz(a)
  return compare(i32, op, a, low)
}

function compare<W extends Word>(
  ops: typeof i32 | typeof i64,
  op: string,
  a: Code<W>,
  b: Code<W>,
): Code<'i32'> {
  const name = comparisons[op]
  if (name === undefined) throw new Error(`no code for ${op}`)
  return (ops as unknown as Record<string, (a: Code<W>, b: Code<W>) => Code<'i32'>>)[name]!(a, b)
}
