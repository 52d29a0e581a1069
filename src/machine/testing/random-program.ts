/**
 * Random programs for a comparison with another machine. A program runs in M-mode at the start of RAM: many
 * short sequences, each on random registers and a scratch area, after each of which all registers and the
 * scratch area go out through the console, as bytes. At the end it ends the machine.
 *
 * Registers x2, x8 and x31 always point into the scratch area, so that loads and stores hit it; x30 is for
 * addresses of atomics; x1 counts traps and sums up their causes.
 */
import { compressedImmediate, compressedInstructions, compressedRegister } from '../cpu/compressed.ts'
import { decode } from '../cpu/decoder.ts'
import { immediateRange } from '../cpu/encode.ts'
import { type InstructionRow, instructions } from '../cpu/instructions.ts'
import { Program } from './program.ts'

export interface RandomProgram {
  readonly program: Program
  /** Rows of both tables that occur in it. */
  readonly used: ReadonlySet<string>
}

const SCRATCH_BYTES = 1024
const POINTERS = [2, 8, 31]
const RESERVED = new Set([0, 1, 30, ...POINTERS])
const UART = 0x1000_0000
const mtvec = 0x305
const mepc = 0x341
const mcause = 0x342
const mscratch = 0x340

/** mulberry32 */
export function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Values at which instructions go wrong, if they do. */
const edges = [
  0n,
  1n,
  -1n,
  2n,
  1n << 31n,
  -(1n << 31n),
  (1n << 32n) - 1n,
  1n << 63n,
  (1n << 63n) - 1n,
  63n,
  32n,
]

export function randomProgram(seed: number, sequences: number, length: number): RandomProgram {
  const random = randomNumbers(seed)
  const below = (n: number) => Math.floor(random() * n)
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T
  const register = () => below(32)
  const target = () => {
    for (;;) {
      const rd = below(32)
      if (!RESERVED.has(rd) || rd === 0) return rd
    }
  }
  const value = () =>
    random() < 0.3
      ? pick(edges)
      : BigInt.asIntN(64, (BigInt(below(2 ** 32)) << 32n) | BigInt(below(2 ** 32))) >> BigInt(below(64))
  const used = new Set<string>()
  const program = new Program()
  let labels = 0

  const immediateOf = (row: InstructionRow) => {
    const [least, greatest, step] = immediateRange[row.format]
    return Math.min(greatest, least + step * below((greatest - least) / step + 1))
  }

  const emitRow = (row: InstructionRow) => {
    used.add(row.name)
    const { semantics, name } = row
    switch (semantics.kind) {
      case 'nothing':
        program.op(name)
        break
      case 'compute':
        program.op(name, { rd: target(), rs1: register(), rs2: register(), immediate: immediateOf(row) })
        break
      case 'load':
        program.op(name, { rd: target(), rs1: pick(POINTERS), immediate: below(1000) - 500 })
        break
      case 'store':
        program.op(name, { rs1: pick(POINTERS), rs2: register(), immediate: below(1000) - 500 })
        break
      case 'branch':
      case 'jump': {
        const label = `skip${labels++}`
        const operands =
          semantics.kind === 'branch'
            ? { rs1: register(), rs2: register() }
            : { rd: random() < 0.5 ? 0 : target() }
        program.jump(name, label, operands)
        for (let i = below(3); i >= 0; i--) emitStraight()
        program.label(label)
        break
      }
      case 'jumpRegister': {
        const label = `skip${labels++}`
        const offset = below(100)
        program.la(30, label).op('addi', { rd: 30, rs1: 30, immediate: -offset })
        // Bit 0 of the sum is ignored.
        program.op(name, { rd: pick([0, 30, 5]), rs1: 30, immediate: offset + below(2) })
        emitStraight()
        program.label(label)
        break
      }
      case 'loadReserved':
      case 'storeConditional':
      case 'amo': {
        program.op('addi', {
          rd: 30,
          rs1: 31,
          immediate: 8 * below(60) + (semantics.bytes === 4 ? 4 * below(2) : 0),
        })
        // A reservation is only certain to hold right behind its load.
        const rs2 = register()
        if (semantics.kind === 'storeConditional')
          program.op(name.replace('sc', 'lr'), { rd: target(), rs1: 30 })
        program.op(name, { rd: target(), rs1: 30, rs2 })
        break
      }
      case 'csr':
        program.op(name, { rd: target(), rs1: register(), immediate: mscratch })
        break
      case 'system':
        // What changes privilege or waits has tests of its own; mret is in the trap handler.
        if (semantics.action === 'ecall' || semantics.action === 'ebreak') program.op(name)
        if (semantics.action === 'fence.i' || semantics.action === 'sfence.vma') program.op(name)
        break
    }
  }

  const straight = instructions.filter(({ semantics }) =>
    ['compute', 'load', 'store', 'amo', 'csr'].includes(semantics.kind),
  )
  const emitStraight = () => emitRow(pick(straight))

  const emitCompressed = () => {
    for (;;) {
      const row = pick(compressedInstructions)
      const word = (below(0x10000) & ~row.mask) | row.match
      const decoded = decode(word)
      if (decoded === undefined || decoded.row.name !== row.expandsTo) continue
      const { kind } = decoded.row.semantics
      if (kind === 'jump' || kind === 'branch') {
        // Over one instruction of two bytes: c.j and c.beqz with an offset of 4.
        used.add(row.name)
        const bits = 0x0010
        const fixed = kind === 'jump' ? row.match | bits : (word & 0xe383) | bits
        if (compressedImmediate(row.immediate, fixed) !== 4)
          throw new Error(`${row.name} has other immediates`)
        program.half(fixed).half(0x0405) // c.addi x8, 1: skipped or undone below
        program.la(8, 'scratch').op('addi', { rd: 8, rs1: 8, immediate: 512 })
        return
      }
      if (kind === 'jumpRegister' || kind === 'system') continue
      if (row.name === 'c.addi16sp') {
        used.add(row.name)
        program
          .half(word)
          .op('addi', { rd: target(), rs1: 2 })
          .la(2, 'scratch')
          .op('addi', { rd: 2, rs1: 2, immediate: 512 })
        return
      }
      const writes = compressedRegister(row.rd, word)
      if (row.rd !== undefined && RESERVED.has(writes) && writes !== 0) continue
      if ((kind === 'load' || kind === 'store') && !POINTERS.includes(decoded.rs1)) continue
      used.add(row.name)
      program.half(word)
      return
    }
  }

  const setUp = () => {
    for (let rd = 1; rd < 32; rd++) if (!RESERVED.has(rd)) program.li(rd, value())
    program.li(1, 0).li(30, 0)
    for (const pointer of POINTERS) {
      program.la(pointer, 'scratch').op('addi', { rd: pointer, rs1: pointer, immediate: 512 })
    }
  }

  program.la(5, 'trap').csrw(mtvec, 5)
  const all = instructions.filter(
    ({ semantics }) => semantics.kind !== 'system' || !['wfi', 'sret', 'mret'].includes(semantics.action),
  )
  let next = 0
  for (let i = 0; i < sequences; i++) {
    setUp()
    for (let j = 0; j < length; j++) {
      const choice = random()
      // Each row in turn, so that a program of some length has them all.
      if (choice < 0.45) emitRow(all[next++ % all.length] as InstructionRow)
      else if (choice < 0.65) emitRow(pick(straight))
      else if (choice < 0.67) program.word(0xffff_ffff)
      else emitCompressed()
    }
    program.align(4).jump('jal', 'dump', { rd: 30 })
  }
  program.finish()
  emitDump(program)
  emitTrapHandler(program)
  program.align(8).label('scratch')
  for (let i = 0; i < SCRATCH_BYTES; i += 8) program.double(value())
  program.label('registers')
  for (let i = 0; i < 32; i++) program.double(0n)
  return { program, used }
}

/** Writes registers and scratch area to the console, and goes on at x30. */
function emitDump(program: Program): void {
  program.align(4).label('dump').csrw(mscratch, 31).la(31, 'registers')
  for (let i = 1; i < 30; i++) program.op('sd', { rs1: 31, rs2: i, immediate: 8 * i })
  program.csrr(5, mscratch).op('sd', { rs1: 31, rs2: 5, immediate: 8 * 31 })
  program
    .la(5, 'scratch')
    .li(6, SCRATCH_BYTES + 32 * 8)
    .li(7, UART)
  program
    .label('dumpByte')
    .op('lbu', { rd: 9, rs1: 5 })
    .op('sb', { rs1: 7, rs2: 9 })
    .op('addi', { rd: 5, rs1: 5, immediate: 1 })
    .op('addi', { rd: 6, rs1: 6, immediate: -1 })
    .jump('bne', 'dumpByte', { rs1: 6, rs2: 0 })
    // Pointers in registers differ from sequence to sequence only; leave the scratch area as it is.
    .csrw(mscratch, 0)
    .op('jalr', { rd: 0, rs1: 30 })
}

/** Adds the cause to x1 and goes on behind the instruction, all of which are four bytes long. */
function emitTrapHandler(program: Program): void {
  program
    .align(4)
    .label('trap')
    .csrr(30, mcause)
    .op('slli', { rd: 1, rs1: 1, immediate: 3 })
    .op('add', { rd: 1, rs1: 1, rs2: 30 })
    .csrr(30, mepc)
    .op('addi', { rd: 30, rs1: 30, immediate: 4 })
    .csrw(mepc, 30)
    .op('mret')
}
