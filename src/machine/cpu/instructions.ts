/**
 * The instruction table: RV64IMA, Zicsr, Zifencei and the privileged instructions, one row each.
 *
 * A word belongs to the row when `(word & mask) === match`. The C extension is a second table
 * (compressed.ts), whose rows stand for rows of this one.
 *
 * Source: The RISC-V Instruction Set Manual, volume I (20240411), chapters 2, 4, 6, 7, 13, 14 and the
 * instruction listings of chapter 35; volume II, chapters 3.3 and 10.2 (privileged instructions).
 */
import type { Semantics, Value } from './semantics.ts'

/** How the operands lie in the word. `shift64` and `shift32` are I with a shift amount of 6 and 5 bits. */
export type Format = 'R' | 'I' | 'S' | 'B' | 'U' | 'J' | 'shift64' | 'shift32' | 'csr' | 'none'

export interface InstructionRow {
  readonly name: string
  readonly format: Format
  readonly mask: number
  readonly match: number
  readonly semantics: Semantics
  /** Cold instructions live in a function of their own, which keeps the hot loop small. */
  readonly cold?: true
}

const compute = (value: Value): Semantics => ({ kind: 'compute', value })

const rType = (name: string, match: number, value: Value, cold?: true): InstructionRow => ({
  name,
  format: 'R',
  mask: 0xfe00707f,
  match,
  semantics: compute(value),
  ...(cold === undefined ? {} : { cold }),
})

const iType = (name: string, match: number, value: Value): InstructionRow => ({
  name,
  format: 'I',
  mask: 0x707f,
  match,
  semantics: compute(value),
})

const shift = (format: 'shift64' | 'shift32', name: string, match: number, value: Value): InstructionRow => ({
  name,
  format,
  mask: format === 'shift64' ? 0xfc00707f : 0xfe00707f,
  match,
  semantics: compute(value),
})

const uType = (name: string, match: number, value: Value): InstructionRow => ({
  name,
  format: 'U',
  mask: 0x7f,
  match,
  semantics: compute(value),
})

const load = (name: string, match: number, bytes: 1 | 2 | 4 | 8, signed: boolean): InstructionRow => ({
  name,
  format: 'I',
  mask: 0x707f,
  match,
  semantics: { kind: 'load', bytes, signed },
})

const store = (name: string, match: number, bytes: 1 | 2 | 4 | 8): InstructionRow => ({
  name,
  format: 'S',
  mask: 0x707f,
  match,
  semantics: { kind: 'store', bytes },
})

const branch = (
  name: string,
  match: number,
  comparison: 'eq' | 'ne' | 'lt_s' | 'ge_s' | 'lt_u' | 'ge_u',
): InstructionRow => ({
  name,
  format: 'B',
  mask: 0x707f,
  match,
  semantics: { kind: 'branch', condition: [comparison, 'rs1', 'rs2'] },
})

/** The two widths of an atomic; `aq` and `rl` do not matter to harts that take turns. */
const atomic = (
  name: string,
  funct5: number,
  semantics: (bytes: 4 | 8) => Semantics,
  hasRs2 = true,
): InstructionRow[] =>
  ([4, 8] as const).map((bytes) => ({
    name: `${name}.${bytes === 4 ? 'w' : 'd'}`,
    format: 'R',
    mask: (hasRs2 ? 0xf800707f : 0xf9f0707f) | 0,
    match: (funct5 << 27) | (bytes === 4 ? 0x202f : 0x302f),
    semantics: semantics(bytes),
    cold: true,
  }))

const csr = (
  name: string,
  match: number,
  action: 'write' | 'set' | 'clear',
  immediate: boolean,
): InstructionRow => ({
  name,
  format: 'csr',
  mask: 0x707f,
  match,
  semantics: { kind: 'csr', action, immediate },
  cold: true,
})

const system = (
  name: string,
  match: number,
  action: Extract<Semantics, { kind: 'system' }>['action'],
  mask = 0xffffffff,
): InstructionRow => ({
  name,
  format: 'none',
  mask: mask | 0,
  match,
  semantics: { kind: 'system', action },
  cold: true,
})

/** `-1` where the divisor is zero (volume I, table 11). */
const ALL_ONES = -1n
const rs1Word: Value = ['sext32', 'rs1']
const rs2Word: Value = ['sext32', 'rs2']
const rs1UWord: Value = ['zext32', 'rs1']
const rs2UWord: Value = ['zext32', 'rs2']

export const instructions: readonly InstructionRow[] = [
  // RV32I, RV64I
  uType('lui', 0x37, 'imm'),
  uType('auipc', 0x17, 'pc+imm'),
  { name: 'jal', format: 'J', mask: 0x7f, match: 0x6f, semantics: { kind: 'jump' } },
  { name: 'jalr', format: 'I', mask: 0x707f, match: 0x67, semantics: { kind: 'jumpRegister' } },
  branch('beq', 0x0063, 'eq'),
  branch('bne', 0x1063, 'ne'),
  branch('blt', 0x4063, 'lt_s'),
  branch('bge', 0x5063, 'ge_s'),
  branch('bltu', 0x6063, 'lt_u'),
  branch('bgeu', 0x7063, 'ge_u'),
  load('lb', 0x0003, 1, true),
  load('lh', 0x1003, 2, true),
  load('lw', 0x2003, 4, true),
  load('ld', 0x3003, 8, true),
  load('lbu', 0x4003, 1, false),
  load('lhu', 0x5003, 2, false),
  load('lwu', 0x6003, 4, false),
  store('sb', 0x0023, 1),
  store('sh', 0x1023, 2),
  store('sw', 0x2023, 4),
  store('sd', 0x3023, 8),
  iType('addi', 0x0013, ['add', 'rs1', 'imm']),
  iType('slti', 0x2013, ['lt_s', 'rs1', 'imm']),
  iType('sltiu', 0x3013, ['lt_u', 'rs1', 'imm']),
  iType('xori', 0x4013, ['xor', 'rs1', 'imm']),
  iType('ori', 0x6013, ['or', 'rs1', 'imm']),
  iType('andi', 0x7013, ['and', 'rs1', 'imm']),
  shift('shift64', 'slli', 0x1013, ['shl', 'rs1', 'imm']),
  shift('shift64', 'srli', 0x5013, ['shr_u', 'rs1', 'imm']),
  shift('shift64', 'srai', 0x40005013, ['shr_s', 'rs1', 'imm']),
  rType('add', 0x0033, ['add', 'rs1', 'rs2']),
  rType('sub', 0x40000033, ['sub', 'rs1', 'rs2']),
  rType('sll', 0x1033, ['shl', 'rs1', 'rs2']),
  rType('slt', 0x2033, ['lt_s', 'rs1', 'rs2']),
  rType('sltu', 0x3033, ['lt_u', 'rs1', 'rs2']),
  rType('xor', 0x4033, ['xor', 'rs1', 'rs2']),
  rType('srl', 0x5033, ['shr_u', 'rs1', 'rs2']),
  rType('sra', 0x40005033, ['shr_s', 'rs1', 'rs2']),
  rType('or', 0x6033, ['or', 'rs1', 'rs2']),
  rType('and', 0x7033, ['and', 'rs1', 'rs2']),
  iType('addiw', 0x001b, ['sext32', ['add', 'rs1', 'imm']]),
  shift('shift32', 'slliw', 0x101b, ['sext32', ['shl', 'rs1', 'imm']]),
  shift('shift32', 'srliw', 0x501b, ['sext32', ['shr_u', rs1UWord, 'imm']]),
  shift('shift32', 'sraiw', 0x4000501b, ['shr_s', rs1Word, 'imm']),
  rType('addw', 0x003b, ['sext32', ['add', 'rs1', 'rs2']]),
  rType('subw', 0x4000003b, ['sext32', ['sub', 'rs1', 'rs2']]),
  rType('sllw', 0x103b, ['sext32', ['shl', 'rs1', ['and', 'rs2', 31n]]]),
  rType('srlw', 0x503b, ['sext32', ['shr_u', rs1UWord, ['and', 'rs2', 31n]]]),
  rType('sraw', 0x4000503b, ['shr_s', rs1Word, ['and', 'rs2', 31n]]),
  { name: 'fence', format: 'none', mask: 0x707f, match: 0x0f, semantics: { kind: 'nothing' } },
  system('fence.i', 0x100f, 'fence.i', 0x707f),
  system('ecall', 0x73, 'ecall'),
  system('ebreak', 0x100073, 'ebreak'),

  // M
  rType('mul', 0x2000033, ['mul', 'rs1', 'rs2']),
  rType('mulh', 0x2001033, ['mulh', 'rs1', 'rs2'], true),
  rType('mulhsu', 0x2002033, ['mulhsu', 'rs1', 'rs2'], true),
  rType('mulhu', 0x2003033, ['mulhu', 'rs1', 'rs2'], true),
  rType(
    'div',
    0x2004033,
    [
      'if',
      ['eq', 'rs2', 0n],
      ALL_ONES,
      // The one overflow: the most negative number by -1, which is itself.
      ['if', ['eq', 'rs2', -1n], ['sub', 0n, 'rs1'], ['div_s', 'rs1', 'rs2']],
    ],
    true,
  ),
  rType('divu', 0x2005033, ['if', ['eq', 'rs2', 0n], ALL_ONES, ['div_u', 'rs1', 'rs2']], true),
  rType('rem', 0x2006033, ['if', ['eq', 'rs2', 0n], 'rs1', ['rem_s', 'rs1', 'rs2']], true),
  rType('remu', 0x2007033, ['if', ['eq', 'rs2', 0n], 'rs1', ['rem_u', 'rs1', 'rs2']], true),
  rType('mulw', 0x200003b, ['sext32', ['mul', 'rs1', 'rs2']]),
  rType(
    'divw',
    0x200403b,
    ['if', ['eq', rs2Word, 0n], ALL_ONES, ['sext32', ['div_s', rs1Word, rs2Word]]],
    true,
  ),
  rType(
    'divuw',
    0x200503b,
    ['if', ['eq', rs2UWord, 0n], ALL_ONES, ['sext32', ['div_u', rs1UWord, rs2UWord]]],
    true,
  ),
  rType(
    'remw',
    0x200603b,
    ['if', ['eq', rs2Word, 0n], rs1Word, ['sext32', ['rem_s', rs1Word, rs2Word]]],
    true,
  ),
  rType(
    'remuw',
    0x200703b,
    ['if', ['eq', rs2UWord, 0n], rs1Word, ['sext32', ['rem_u', rs1UWord, rs2UWord]]],
    true,
  ),

  // A
  ...atomic('lr', 0b00010, (bytes) => ({ kind: 'loadReserved', bytes }), false),
  ...atomic('sc', 0b00011, (bytes) => ({ kind: 'storeConditional', bytes })),
  ...atomic('amoswap', 0b00001, (bytes) => ({ kind: 'amo', bytes, operator: 'swap' })),
  ...atomic('amoadd', 0b00000, (bytes) => ({ kind: 'amo', bytes, operator: 'add' })),
  ...atomic('amoxor', 0b00100, (bytes) => ({ kind: 'amo', bytes, operator: 'xor' })),
  ...atomic('amoand', 0b01100, (bytes) => ({ kind: 'amo', bytes, operator: 'and' })),
  ...atomic('amoor', 0b01000, (bytes) => ({ kind: 'amo', bytes, operator: 'or' })),
  ...atomic('amomin', 0b10000, (bytes) => ({ kind: 'amo', bytes, operator: 'min' })),
  ...atomic('amomax', 0b10100, (bytes) => ({ kind: 'amo', bytes, operator: 'max' })),
  ...atomic('amominu', 0b11000, (bytes) => ({ kind: 'amo', bytes, operator: 'minu' })),
  ...atomic('amomaxu', 0b11100, (bytes) => ({ kind: 'amo', bytes, operator: 'maxu' })),

  // Zicsr
  csr('csrrw', 0x1073, 'write', false),
  csr('csrrs', 0x2073, 'set', false),
  csr('csrrc', 0x3073, 'clear', false),
  csr('csrrwi', 0x5073, 'write', true),
  csr('csrrsi', 0x6073, 'set', true),
  csr('csrrci', 0x7073, 'clear', true),

  // Privileged
  system('sret', 0x10200073, 'sret'),
  system('mret', 0x30200073, 'mret'),
  system('wfi', 0x10500073, 'wfi'),
  system('sfence.vma', 0x12000073, 'sfence.vma', 0xfe007fff),
]
