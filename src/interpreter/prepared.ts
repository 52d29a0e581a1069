/**
 * A program in the form that the interpreter runs: one flat array per field, indexed by slot.
 *
 * What is worked out once, here, and not at each execution:
 * - Both operand forms become one: where an instruction takes an immediate, `src` is the index of a constant that
 *   lies behind the registers in the register file, so that `r[dst] + r[src]` serves `K` and `X` alike.
 * - Jumps become absolute.
 * - What is no instruction, or names a register that does not exist, becomes opcode 0, which faults when it is
 *   reached; so no index of the loop is ever out of range, whatever the program holds.
 */
import type { FunctionHooks } from '../helpers/index.ts'
import {
  isWide,
  type Program,
  REGISTER_COUNT,
  type Row,
  rowIgnoringReserved,
  wideImmediate,
} from '../isa/index.ts'
import type { ArenaUse } from '../maps/index.ts'
import { foreignOpcode } from './foreign-load.ts'
import { pagedOpcode } from './paged-access.ts'

/**
 * A pointer to the subprogram at slot n, as `lddw_function` loads it, is this plus 8 n: it looks like kernel text
 * and is no arena address.
 */
export const FUNCTION_BASE = 0xffff_ffff_a000_0000n

/** While it runs, the opcode of a local call of a function that something stands for; no instruction has it. */
export const HOOKED_CALL = 0xf5

export interface PreparedProgram {
  /** Slots. */
  readonly length: number
  readonly opcode: Uint8Array
  readonly dst: Uint8Array
  /** A register, or `REGISTER_COUNT` + the index of a constant. */
  readonly src: Uint32Array
  readonly offset: Int16Array
  readonly imm: Int32Array
  /** The slot that a jump or a local call goes to; `length` (which faults) where that lies outside. */
  readonly target: Int32Array
  readonly constants: BigUint64Array
  /** Register files that no run is using: 11 registers, then the constants. */
  readonly idleFiles: RegisterFile[]
  /** Slots where a subprogram begins, the first one included. */
  readonly entries: ReadonlySet<number>
  /** Slot of the subprogram that exceptions go to. */
  readonly exceptionCallback: number | undefined
  readonly arena: ArenaUse | undefined
  /** What stands for its functions; undefined where nothing does. */
  readonly hooks: FunctionHooks | undefined
}

export interface PrepareFacts {
  /** Slots whose loads go where `Environment.readForeign` says. */
  readonly foreignLoads?: ReadonlySet<number> | undefined
  /** Slot of the subprogram that exceptions go to; nothing calls it. */
  readonly exceptionCallback?: number | undefined
  /** The arena map whose pages the program uses. */
  readonly arena?: ArenaUse | undefined
  /** What stands for its functions. */
  readonly hooks?: FunctionHooks | undefined
}

/** The same bytes as unsigned and signed 64-bit values, and as 32-bit halves: word 2n is the low half of rn. */
export interface RegisterFile {
  readonly r: BigUint64Array
  readonly x: BigInt64Array
  readonly w: Int32Array
  readonly u: Uint32Array
}

/** Prepares a program whose 64-bit immediates are resolved: its `map_*` and `btf_id` forms load their number. */
export function prepare(
  program: Program,
  { foreignLoads, exceptionCallback, arena, hooks }: PrepareFacts = {},
): PreparedProgram {
  const { length } = program
  const prepared = {
    length,
    // One more slot, with opcode 0, catches what runs past the end.
    opcode: new Uint8Array(length + 1),
    dst: new Uint8Array(length + 1),
    src: new Uint32Array(length + 1),
    offset: new Int16Array(length + 1),
    imm: new Int32Array(length + 1),
    target: new Int32Array(length + 1),
  }
  const constants: bigint[] = []
  const entries = new Set([0])
  if (exceptionCallback !== undefined) entries.add(exceptionCallback)
  const constant = (value: bigint) => REGISTER_COUNT + constants.push(BigInt.asUintN(64, value)) - 1
  for (let pc = 0; pc < length; pc++) {
    const insn = program[pc]!
    const row: Row | undefined = rowIgnoringReserved(insn)
    if (
      row === undefined ||
      insn.dst >= REGISTER_COUNT ||
      (row.src === 'reg' && insn.src >= REGISTER_COUNT)
    ) {
      continue
    }
    const distance = row.offset === 'jump' ? insn.offset : row.imm === 'jump' ? insn.imm : 0
    const destination = pc + 1 + distance
    const target = destination >= 0 && destination < length ? destination : length
    const isForeign = row.kind === 'load' && foreignLoads?.has(pc) === true
    const isPaged = arena?.slots.has(pc) === true
    const isHooked = row.op === 'local' && hooks?.has(target) === true
    prepared.opcode[pc] = isForeign
      ? foreignOpcode(insn.opcode)
      : isPaged
        ? pagedOpcode(insn.opcode)
        : isHooked
          ? HOOKED_CALL
          : insn.opcode
    prepared.dst[pc] = insn.dst
    prepared.offset[pc] = insn.offset
    prepared.imm[pc] = insn.imm
    prepared.target[pc] = target
    if (row.op === 'local' || row.op === 'function') entries.add(target)
    if (isWide(insn)) {
      const value = row.op === 'function' ? functionAddress(target) : wideImmediate(program, pc)
      prepared.src[pc] = constant(value)
      pc++
    } else if (takesConstant(row)) prepared.src[pc] = constant(BigInt(insn.imm))
    else prepared.src[pc] = insn.src
  }
  return {
    ...prepared,
    constants: BigUint64Array.from(constants),
    idleFiles: [],
    entries,
    exceptionCallback,
    arena,
    hooks,
  }
}

/** Is the second operand the immediate? */
const takesConstant = (row: Row): boolean =>
  row.imm === 'imm' && (row.kind === 'alu' || row.kind === 'jump' || row.kind === 'store')

export const functionAddress = (pc: number): bigint => FUNCTION_BASE + BigInt(pc) * 8n

/** The slot of the subprogram that `address` points to, or undefined where it is none of `program`. */
export function functionAt(program: PreparedProgram, address: bigint): number | undefined {
  const pc = Number(address - FUNCTION_BASE) / 8
  return program.entries.has(pc) ? pc : undefined
}

/** A register file for one run of `program`; give it back with `releaseFile`. */
export function takeFile(program: PreparedProgram): RegisterFile {
  const idle = program.idleFiles.pop()
  if (idle !== undefined) return idle
  const r = new BigUint64Array(REGISTER_COUNT + program.constants.length)
  r.set(program.constants, REGISTER_COUNT)
  const { buffer } = r
  return { r, x: new BigInt64Array(buffer), w: new Int32Array(buffer), u: new Uint32Array(buffer) }
}

export function releaseFile(program: PreparedProgram, file: RegisterFile): void {
  program.idleFiles.push(file)
}
