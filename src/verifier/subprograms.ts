import { E2BIG, EINVAL } from '../abi/index.ts'
import {
  CALL_SOURCE,
  classOf,
  codeOf,
  type Instruction,
  OPCODE,
  type Program,
  WIDE_SOURCE,
} from '../isa/index.ts'
import type { SlotRange } from './facts.ts'
import { type Rejection, reject } from './verdict.ts'

/** Source: `BPF_MAX_SUBPROGS`, Linux. */
const MOST_SUBPROGRAMS = 256

export const isLocalCall = (insn: Instruction): boolean =>
  insn.opcode === OPCODE.CALL && insn.src === CALL_SOURCE.LOCAL

export const isFunctionPointer = (insn: Instruction): boolean =>
  insn.opcode === OPCODE.LD_IMM64 && insn.src === WIDE_SOURCE.FUNCTION

/**
 * Finds where subprograms begin: at slot 0, and where a call or a function pointer goes, and at
 * the exception callback. A subprogram ends where the
 * next one begins.
 */
export function findSubprograms(
  program: Program,
  exceptionCallback?: number,
): readonly SlotRange[] | Rejection {
  const starts = new Set([0])
  for (const [index, insn] of program.entries()) {
    if (!isLocalCall(insn) && !isFunctionPointer(insn)) continue
    const start = index + 1 + insn.imm
    if (start < 0 || start >= program.length) return reject(EINVAL, index, 'call to invalid destination')
    if (!starts.has(start) && starts.size >= MOST_SUBPROGRAMS) {
      return reject(E2BIG, index, 'too many subprograms')
    }
    starts.add(start)
  }
  if (exceptionCallback !== undefined) starts.add(exceptionCallback)
  const sorted = [...starts].sort((a, b) => a - b)
  return sorted.map((start, i) => ({ start, end: sorted[i + 1] ?? program.length }))
}

const CLASS_JMP = 5
const CLASS_JMP32 = 6
const CALL = 0x80
const EXIT = 0x90

/** How far an instruction of a jump class goes, whatever else it is. */
export const jumpDistance = (insn: Instruction): number =>
  insn.opcode === OPCODE.JA32 ? insn.imm : insn.offset

export const isJumpClass = (insn: Instruction): boolean => {
  const kind = classOf(insn.opcode)
  return kind === CLASS_JMP || kind === CLASS_JMP32
}

export const isCallCode = (insn: Instruction): boolean => isJumpClass(insn) && codeOf(insn.opcode) === CALL
export const isExitCode = (insn: Instruction): boolean => isJumpClass(insn) && codeOf(insn.opcode) === EXIT

/** Every jump stays in its subprogram, and no subprogram runs into the next one. */
export function checkSubprograms(program: Program, subprograms: readonly SlotRange[]): Rejection | undefined {
  for (const { start, end } of subprograms) {
    for (let index = start; index < end; index++) {
      const insn = program[index]!
      if (!isJumpClass(insn) || isCallCode(insn) || isExitCode(insn)) continue
      const target = index + 1 + jumpDistance(insn)
      if (target < start || target >= end) {
        return reject(EINVAL, index, `jump out of range from insn ${index} to ${target}`)
      }
    }
    const { opcode } = program[end - 1]!
    if (opcode !== OPCODE.EXIT && opcode !== OPCODE.JA && opcode !== OPCODE.JA32) {
      return reject(EINVAL, end - 1, 'last insn is not an exit or jmp')
    }
  }
  return undefined
}
