/**
 * A program in the form that the compiler works on: one row of the instruction table per slot, jumps absolute.
 *
 * As in the interpreter, reserved fields are left out of account, and a slot that holds no instruction, names a
 * register that does not exist, or lies past the end is one that faults when it is reached.
 */
import {
  type Instruction,
  type InstructionRow,
  isWide,
  type Program,
  REGISTER_COUNT,
  type Row,
  rowIgnoringReserved,
  wideImmediate,
} from '../isa/index.ts'

/** A pointer to the subprogram at slot n is this plus 8 n, in every engine. */
export const FUNCTION_BASE = 0xffff_ffff_a000_0000n

export const functionAddress = (pc: number): bigint => FUNCTION_BASE + BigInt(pc) * 8n

export interface Slot {
  readonly pc: number
  /** Undefined where the slot faults; `opcode` is then what the fault names. */
  readonly row: InstructionRow | undefined
  readonly opcode: number
  readonly dst: number
  readonly src: number
  readonly offset: number
  readonly imm: number
  /** What the second operand is where it is a constant: the immediate, sign-extended, or all 64 bits of it. */
  readonly constant: bigint | undefined
  /** The slot that a jump or local call goes to; the length of the program where that lies outside. */
  readonly target: number
  /** Slot of the next instruction in the text. */
  readonly next: number
}

export interface DecodedProgram {
  readonly length: number
  /** One for each slot, and one past the end, which faults. */
  readonly slots: readonly Slot[]
  /** Slots where a subprogram begins, the first one included. */
  readonly entries: readonly number[]
  /** Slots that something jumps to. */
  readonly targets: ReadonlySet<number>
}

/**
 * Decodes a program whose 64-bit immediates are resolved: its `map_*` and `btf_id` forms load their number.
 * `extraEntries` are subprograms that nothing in the text calls.
 */
export function decodeProgram(program: Program, extraEntries: readonly number[] = []): DecodedProgram {
  const { length } = program
  const slots: Slot[] = []
  const entries = new Set([0, ...extraEntries])
  const targets = new Set<number>()
  for (let pc = 0; pc < length; pc++) {
    const slot = decodeSlot(program, pc, program[pc] as Instruction)
    slots.push(slot)
    const row = slot.row as Row | undefined
    if (row === undefined) continue
    if (row.op === 'local' || row.op === 'function') entries.add(slot.target)
    else if (row.offset === 'jump' || row.imm === 'jump') targets.add(slot.target)
    if (slot.next === pc + 2) slots.push(badSlot(++pc, 0))
  }
  slots.length = length
  slots.push(badSlot(length, 0))
  return { length, slots, entries: [...entries].sort((a, b) => a - b), targets }
}

function decodeSlot(program: Program, pc: number, insn: Instruction): Slot {
  const { length } = program
  const found = rowIgnoringReserved(insn)
  const row: Row | undefined = found
  if (row === undefined || insn.dst >= REGISTER_COUNT) return badSlot(pc, 0)
  if (row.src === 'reg' && insn.src >= REGISTER_COUNT) return badSlot(pc, 0)
  const distance = row.offset === 'jump' ? insn.offset : row.imm === 'jump' ? insn.imm : 0
  const destination = pc + 1 + distance
  const target = destination >= 0 && destination < length ? destination : length
  const isConstant = row.imm === 'imm' && (row.kind === 'alu' || row.kind === 'jump' || row.kind === 'store')
  const wide = row.op === 'function' ? functionAddress(target) : wideImmediate(program, pc)
  const constant = isWide(insn) ? wide : isConstant ? BigInt(insn.imm) : undefined
  // Field by field: a spread costs 3 us an instruction.
  const { opcode, dst, src, offset, imm } = insn
  const next = isWide(insn) ? pc + 2 : pc + 1
  return { pc, row: found, opcode, dst, src, offset, imm, constant, target, next }
}

function badSlot(pc: number, opcode: number): Slot {
  return {
    pc,
    row: undefined,
    opcode,
    dst: 0,
    src: 0,
    offset: 0,
    imm: 0,
    constant: undefined,
    target: pc,
    next: pc + 1,
  }
}
