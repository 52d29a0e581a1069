import type { Instruction } from './instruction.ts'
import type { Row } from './row.ts'
import { type InstructionRow, rows } from './rows.ts'

const byOpcode: readonly (readonly InstructionRow[])[] = Array.from({ length: 256 }, (_, opcode) =>
  rows.filter((row) => row.opcode === opcode),
)

/** Is `opcode` that of any instruction? A slot with another one is what Linux calls `unknown opcode`. */
export const isKnownOpcode = (opcode: number): boolean => (byOpcode[opcode]?.length ?? 0) > 0

const fieldFits = (spec: string | number | undefined, value: number): boolean =>
  typeof spec === 'string' || value === (spec ?? 0)

/** Do the fields that `row` fixes or reserves hold what it says? */
export const rowFits = (row: Row, insn: Instruction): boolean =>
  row.opcode === insn.opcode &&
  fieldFits(row.src, insn.src) &&
  fieldFits(row.offset, insn.offset) &&
  fieldFits(row.imm, insn.imm) &&
  fieldFits(row.dst, insn.dst)

/** The row that `insn` is an instance of, or undefined: an unknown opcode, sub-code, or a used reserved field. */
export function rowOf(insn: Instruction): InstructionRow | undefined {
  return byOpcode[insn.opcode]?.find((row) => rowFits(row, insn))
}

/**
 * The row that `insn` selects by its opcode and sub-codes alone, reserved fields left out of account: what a
 * processor that ignores reserved bits would run, and what a message about a reserved field should name.
 */
export function rowIgnoringReserved(insn: Instruction): InstructionRow | undefined {
  const candidates = byOpcode[insn.opcode] ?? []
  const selects = (spec: string | number | undefined, value: number) =>
    typeof spec !== 'number' || spec === value
  return (
    rowOf(insn) ??
    candidates
      .filter(
        (row: Row) =>
          selects(row.src, insn.src) && selects(row.offset, insn.offset) && selects(row.imm, insn.imm),
      )
      .sort((a, b) => fixedFields(b) - fixedFields(a))[0]
  )
}

const fixedFields = (row: Row): number =>
  [row.src, row.offset, row.imm].filter((spec) => typeof spec === 'number').length
