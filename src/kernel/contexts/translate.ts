/** Rewrites a program's accesses of its context to how the context lies in the arena; see layout.ts. */
import { accessSize, CLASS, classOf, MODE, modeOf, type Program, SIZE } from '../../isa/index.ts'
import { contextAccesses } from './context-accesses.ts'
import { type ContextLayout, pointerOffset } from './layout.ts'

/**
 * The program as it runs, slot by slot. `accesses` are the slots whose loads and stores go through the context, where
 * a verifier has told; else they are found out here.
 */
export function translateContext(
  program: Program,
  layout: ContextLayout,
  accesses: ReadonlySet<number> = contextAccesses(program),
): Program {
  return program.map((insn, index) => {
    if (!accesses.has(index) || modeOf(insn.opcode) !== MODE.MEM || accessSize(insn.opcode) !== 4) return insn
    if (classOf(insn.opcode) === CLASS.LDX) {
      const offset = pointerOffset(layout, insn.offset)
      return offset === undefined ? insn : { ...insn, opcode: insn.opcode | SIZE.DW, offset }
    }
    return layout.halves.includes(insn.offset) ? { ...insn, opcode: insn.opcode | SIZE.H } : insn
  })
}
