/**
 * A program's use of an arena map, once it is accepted: its pointers are the low 32 bits of user space's addresses.
 *
 * A cast from user space's address takes the upper 32 bits off, and arithmetic on such pointers is done on 32 bits. A
 * cast the other way, which adds them, is the engine's, as the accesses are.
 *
 * Source: bpf_do_misc_fixups() of kernel/bpf/verifier.c of Linux.
 */
import { BPF_F_NO_USER_CONV } from '../../abi/index.ts'
import { CLASS, classOf, type Instruction, type Program } from '../../isa/index.ts'
import type { ArenaMap } from '../../maps/index.ts'
import type { ProgramFacts } from '../../verifier/index.ts'

const MOV64_X = 0xbf
const MOV32_X = 0xbc
const CAST_OFFSET = 1
/** From address space 1 to 0. */
const FROM_USER = 1

const isCast = ({ opcode, offset, imm }: Instruction): boolean =>
  opcode === MOV64_X && offset === CAST_OFFSET && imm !== 0

export function translateArena(program: Program, map: ArenaMap, facts: ProgramFacts): Program {
  const castsNothing = (map.definition.flags & BPF_F_NO_USER_CONV) !== 0
  return program.map((insn, slot) => {
    if (isCast(insn) && (insn.imm === FROM_USER || castsNothing)) {
      return { ...insn, opcode: MOV32_X, offset: 0, imm: 0 }
    }
    if (!facts.arenaArithmetic.has(slot) || classOf(insn.opcode) !== CLASS.ALU64) return insn
    return { ...insn, opcode: (insn.opcode & ~CLASS.ALU64) | CLASS.ALU }
  })
}
