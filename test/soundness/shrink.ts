/** Makes a subject smaller while something about it stays: takes instructions away, and makes numbers simpler. */
import { type Instruction, isWide, type Program, type Row, rowIgnoringReserved } from '../../src/isa/index.ts'
import { type Subject, withProgram } from './subject.ts'

/** Slot that the instruction at `slot` refers to, if any. */
function targetOf(program: Program, slot: number): number | undefined {
  const insn = program[slot] as Instruction
  const row: Row | undefined = rowIgnoringReserved(insn)
  if (row?.offset === 'jump') return slot + 1 + insn.offset
  if (row?.imm === 'jump') return slot + 1 + insn.imm
  return undefined
}

/** Without `count` slots from `from` on; jumps into them go to what follows. Undefined where they cannot be taken out. */
export function without(subject: Subject, from: number, count: number): Subject | undefined {
  const { instructions, functions } = subject
  const end = from + count
  if (end >= instructions.length) return undefined
  const moved = (slot: number): number => (slot >= end ? slot - count : Math.min(slot, from))
  const out: Instruction[] = []
  for (let slot = 0; slot < instructions.length; slot++) {
    if (slot >= from && slot < end) continue
    const insn = instructions[slot] as Instruction
    const target = targetOf(instructions, slot)
    if (target === undefined) {
      out.push(insn)
      continue
    }
    const distance = moved(target) - moved(slot) - 1
    const row: Row | undefined = rowIgnoringReserved(insn)
    out.push(row?.offset === 'jump' ? { ...insn, offset: distance } : { ...insn, imm: distance })
  }
  const kept = functions
    .filter(({ instruction }, n) => {
      const next = functions[n + 1]?.instruction ?? instructions.length
      // All of the function is gone.
      return !(instruction >= from && next <= end)
    })
    .map((f) => ({ ...f, instruction: moved(f.instruction) }))
  return withProgram(subject, out, kept)
}

/** The smallest that was found for which `holds`; the subject itself must hold. */
export function shrink(subject: Subject, holds: (candidate: Subject) => boolean, mostTries = 3000): Subject {
  let best = subject
  let tries = 0
  const attempt = (candidate: Subject | undefined): boolean => {
    if (candidate === undefined || tries++ > mostTries || !holds(candidate)) return false
    best = candidate
    return true
  }
  for (let isSmaller = true; isSmaller && tries < mostTries; ) {
    isSmaller = false
    for (let size = Math.max(1, best.instructions.length >> 1); size >= 1; size >>= 1) {
      for (let from = best.instructions.length - size - 1; from >= 0; from--) {
        const slots = size === 1 && isWide(best.instructions[from]) ? 2 : size
        if (attempt(without(best, from, slots))) {
          isSmaller = true
          from = Math.min(from, best.instructions.length - size)
        }
      }
    }
    for (let slot = 0; slot < best.instructions.length; slot++) {
      const insn = best.instructions[slot] as Instruction
      if (isWide(insn)) {
        slot++
        continue
      }
      const change = (fields: Partial<Instruction>): Subject =>
        withProgram(
          best,
          best.instructions.map((i, n) => (n === slot ? { ...i, ...fields } : i)),
        )
      const row: Row | undefined = rowIgnoringReserved(insn)
      if (row?.imm === 'imm') {
        for (const imm of [0, 1, insn.imm >> 8]) {
          if (Math.abs(imm) < Math.abs(insn.imm) && attempt(change({ imm }))) isSmaller = true
        }
      }
    }
    if (best.flags !== 0 && attempt({ ...best, flags: best.flags & 0x10 })) isSmaller = true
  }
  return best
}
