/** Small changes of a program: other numbers, other registers, other operations, an instruction less or more. */
import {
  CLASS,
  classOf,
  type Instruction,
  instruction,
  isWide,
  type Program,
  type Row,
  rowIgnoringReserved,
  rows,
} from '../../src/isa/index.ts'
import type { Random } from './random.ts'
import { without } from './shrink.ts'
import { type Subject, withProgram } from './subject.ts'

const table = rows as readonly Row[]
const arithmetic = table.filter(({ kind }) => kind === 'alu' || kind === 'swap')

/** Rows with the same operands: one may stand for the other. */
const alike = (row: Row): readonly Row[] =>
  table.filter(
    (other) =>
      other.kind === row.kind &&
      other.src === row.src &&
      other.imm === row.imm &&
      other.offset === row.offset,
  )

function jumpsInto(program: Program, slot: number): number | undefined {
  const insn = program[slot] as Instruction
  const row: Row | undefined = rowIgnoringReserved(insn)
  if (row?.offset === 'jump') return slot + 1 + insn.offset
  if (row?.imm === 'jump') return slot + 1 + insn.imm
  return undefined
}

/** With `added` before slot `at`. */
export function withInserted(subject: Subject, at: number, added: Instruction): Subject {
  const { instructions, functions } = subject
  const moved = (slot: number): number => (slot > at ? slot + 1 : slot)
  const out: Instruction[] = []
  instructions.forEach((insn, slot) => {
    if (slot === at) out.push(added)
    const target = jumpsInto(instructions, slot)
    if (target === undefined) {
      out.push(insn)
      return
    }
    // The instruction itself moved if it stands at or behind the place.
    const distance = moved(target) - (slot >= at ? slot + 1 : slot) - 1
    const row: Row | undefined = rowIgnoringReserved(insn)
    out.push(row?.offset === 'jump' ? { ...insn, offset: distance } : { ...insn, imm: distance })
  })
  return withProgram(
    subject,
    out,
    functions.map((f) => ({ ...f, instruction: moved(f.instruction) })),
  )
}

function changed(subject: Subject, random: Random): Subject | undefined {
  const { instructions } = subject
  const slot = random.below(instructions.length)
  const insn = instructions[slot] as Instruction
  // The second half of a wide instruction is left alone.
  if (insn.opcode === 0) return undefined
  const row: Row | undefined = rowIgnoringReserved(insn)
  if (row === undefined) return undefined
  const replaced = (fields: Partial<Instruction>): Subject =>
    withProgram(
      subject,
      instructions.map((i, n) => (n === slot ? { ...i, ...fields } : i)),
    )
  const kind = classOf(insn.opcode)
  const isMemory = kind === CLASS.LDX || kind === CLASS.ST || kind === CLASS.STX
  switch (random.below(8)) {
    case 0:
    case 1:
      if (row.imm !== 'imm') return undefined
      return replaced({
        imm: random.chance(0.5) ? insn.imm + random.between(-2, 2) : random.immediate(),
      })
    case 2:
      if (!isMemory) return undefined
      return replaced({ offset: insn.offset + random.pick([-8, -4, -1, 1, 4, 8]) })
    case 3: {
      const other = random.pick(alike(row))
      return replaced({
        opcode: other.opcode,
        ...(typeof other.offset === 'number' ? { offset: other.offset } : {}),
        ...(typeof other.imm === 'number' ? { imm: other.imm } : {}),
      })
    }
    case 4: {
      // The same on 32 or 64 bits.
      const flipped =
        kind === CLASS.ALU || kind === CLASS.ALU64
          ? insn.opcode ^ 3
          : kind === CLASS.JMP || kind === CLASS.JMP32
            ? insn.opcode ^ 3
            : undefined
      return flipped === undefined || row.kind === 'call' ? undefined : replaced({ opcode: flipped })
    }
    case 5:
      if (row.dst === 'reg' && random.chance(0.5)) return replaced({ dst: random.below(11) })
      return row.src === 'reg' ? replaced({ src: random.below(11) }) : undefined
    case 6:
      return without(subject, slot, isWide(insn) ? 2 : 1)
    default: {
      const added = random.pick(arithmetic)
      return withInserted(
        subject,
        slot,
        instruction({
          opcode: added.opcode,
          dst: random.below(10),
          src: added.src === 'reg' ? random.below(10) : 0,
          offset: typeof added.offset === 'number' ? added.offset : 0,
          imm: typeof added.imm === 'number' ? added.imm : added.imm === 'imm' ? random.immediate() : 0,
        }),
      )
    }
  }
}

/** The subject with `count` changes. */
export function mutate(subject: Subject, random: Random, count: number): Subject {
  let result = subject
  for (let done = 0, tries = 0; done < count && tries < 40; tries++) {
    const next = changed(result, random)
    if (next === undefined) continue
    result = next
    done++
  }
  return result
}
