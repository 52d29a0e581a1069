/**
 * Registers whose value is one known number on every path: enough to see that a branch is never taken where a loader
 * has patched a constant into the program (libbpf's `bpf_core_field_exists` and its like leave such dead code, and in
 * it calls and loads that this kernel would refuse).
 */
import {
  CALL_SOURCE,
  type Instruction,
  isWide,
  type Program,
  type Row,
  rowOf,
  wideImmediate,
} from '../isa/index.ts'

/** The unsigned 64-bit value of each register, or undefined where it is not known. */
export type Constants = readonly (bigint | undefined)[]

export const nothingKnown: Constants = new Array(11).fill(undefined)

/** What is known where two paths meet. */
export const meet = (a: Constants, b: Constants): Constants =>
  a.every((value, register) => value === b[register])
    ? a
    : a.map((value, register) => (value === b[register] ? value : undefined))

const set = (known: Constants, register: number, value: bigint | undefined): Constants =>
  known[register] === value ? known : known.with(register, value)

/** What is known after the instruction at `index`, which is no jump. */
export function after(program: Program, index: number, known: Constants): Constants {
  const insn = program[index]!
  const row: Row | undefined = rowOf(insn)
  switch (row?.kind) {
    case 'alu':
      return set(known, insn.dst, arithmetic(row, known[insn.dst], operand(row, insn, known)))
    case 'wide':
      return set(known, insn.dst, row.op === 'imm64' ? wideImmediate(program, index) : undefined)
    case 'call':
    case 'packet':
      return known.map((value, register) => (register <= 5 ? undefined : value))
    case 'atomic':
      return set(set(known, insn.src, undefined), 0, row.op === 'cmpxchg' ? undefined : known[0])
    case 'store':
    case 'may_goto':
      return known
    default:
      return isWide(insn) || row === undefined ? nothingKnown : set(known, insn.dst, undefined)
  }
}

/** What a subprogram knows that is called from where `known` holds: its arguments. */
export const atEntry = (insn: Instruction, known: Constants): Constants =>
  insn.src === CALL_SOURCE.LOCAL
    ? known.map((value, register) => (register >= 1 && register <= 5 ? value : undefined))
    : nothingKnown

const operand = (row: Row, insn: Instruction, known: Constants): bigint | undefined =>
  row.src === 'reg' ? known[insn.src] : BigInt.asUintN(64, BigInt(insn.imm))

function arithmetic(row: Row, left: bigint | undefined, right: bigint | undefined): bigint | undefined {
  if (right === undefined || (left === undefined && row.op !== 'mov')) return undefined
  const { bits } = row
  const a = BigInt.asUintN(bits, left ?? 0n)
  const b = BigInt.asUintN(bits, right)
  const count = b & BigInt(bits - 1)
  const results: Readonly<Record<string, (() => bigint) | undefined>> = {
    mov: () => b,
    add: () => a + b,
    sub: () => a - b,
    mul: () => a * b,
    and: () => a & b,
    or: () => a | b,
    xor: () => a ^ b,
    lsh: () => a << count,
    rsh: () => a >> count,
    arsh: () => BigInt.asIntN(bits, a) >> count,
  }
  const result = results[row.op]?.()
  return result === undefined ? undefined : BigInt.asUintN(bits, result)
}

/** Whether the conditional jump `insn` is taken; undefined where it may go either way. */
export function isTaken(insn: Instruction, known: Constants): boolean | undefined {
  const row: Row | undefined = rowOf(insn)
  if (row?.kind !== 'jump') return undefined
  const left = known[insn.dst]
  const right = operand(row, insn, known)
  if (left === undefined || right === undefined) return undefined
  const a = BigInt.asUintN(row.bits, left)
  const b = BigInt.asUintN(row.bits, right)
  const signedA = BigInt.asIntN(row.bits, a)
  const signedB = BigInt.asIntN(row.bits, b)
  const results: Readonly<Record<string, boolean>> = {
    jeq: a === b,
    jne: a !== b,
    jgt: a > b,
    jge: a >= b,
    jlt: a < b,
    jle: a <= b,
    jset: (a & b) !== 0n,
    jsgt: signedA > signedB,
    jsge: signedA >= signedB,
    jslt: signedA < signedB,
    jsle: signedA <= signedB,
  }
  return results[row.op]
}
