/**
 * Puts a call of a helper of ours before each instruction of a program, so that the checked interpreter, as it is, shows
 * every step. Jumps and calls go to the call before their target.
 */
import {
  type Instruction,
  instruction,
  isWide,
  type Program,
  type Row,
  rowIgnoringReserved,
} from '../../src/isa/index.ts'

/** A number that no helper has. */
export const OBSERVER = 0x7fff_0000

export interface Instrumented {
  readonly program: Program
  /** Slot of the original instruction that the call at each slot stands before. */
  readonly original: Int32Array
  /** Slot of the call before each original instruction. */
  readonly moved: Int32Array
}

/** Undefined where a jump becomes too long. */
export function instrument(program: Program): Instrumented | undefined {
  const moved = new Int32Array(program.length + 1)
  let at = 0
  for (let slot = 0; slot < program.length; slot++) {
    moved[slot] = at
    const size = isWide(program[slot]) ? 2 : 1
    if (size === 2) moved[slot + 1] = at + 2
    at += 1 + size
    slot += size - 1
  }
  moved[program.length] = at
  const out: Instruction[] = []
  const original = new Int32Array(at)
  for (let slot = 0; slot < program.length; slot++) {
    const insn = program[slot] as Instruction
    original[out.length] = slot
    out.push(instruction({ opcode: 0x85, imm: OBSERVER }))
    const row: Row | undefined = rowIgnoringReserved(insn)
    const distance = (by: number): number => (moved[slot + 1 + by] ?? at) - out.length - 1
    if (row?.offset === 'jump') {
      const offset = distance(insn.offset)
      if (offset !== (offset << 16) >> 16) return undefined
      out.push({ ...insn, offset })
    } else if (row?.imm === 'jump') out.push({ ...insn, imm: distance(insn.imm) })
    else out.push(insn)
    if (isWide(insn)) out.push(program[++slot] as Instruction)
  }
  return { program: out, original, moved }
}
