/**
 * The C extension: each 16-bit encoding as the row of the instruction table that it stands for.
 *
 * Rows are tried in order. A word that matches a row but has zero where `nonzero` says it must not is reserved,
 * thus illegal. Encodings without a row (those of floating point) are illegal too.
 *
 * Source: The RISC-V Instruction Set Manual, volume I (20240411), chapter 26 and its tables of RVC encodings.
 */

/** A register: a fixed one, bits 11..7, bits 6..2, or the three-bit fields for x8 to x15. */
type RegisterField = number | 'bits11_7' | 'bits6_2' | 'short9_7' | 'short4_2'

export interface CompressedRow {
  readonly name: string
  readonly mask: number
  readonly match: number
  /** The name of the row in `instructions`. */
  readonly expandsTo: string
  readonly rd?: RegisterField
  readonly rs1?: RegisterField
  readonly rs2?: RegisterField
  readonly immediate?: ImmediateField
  /** Reserved where this is zero. */
  readonly nonzero?: 'immediate' | 'bits11_7'
}

/** `[bit of the word, bit of the immediate]`, the first one the sign where the field is signed. */
const immediateFields = {
  addi4spn: { signed: false, bits: '12:5 11:4 10:9 9:8 8:7 7:6 6:2 5:3' },
  word: { signed: false, bits: '12:5 11:4 10:3 6:2 5:6' },
  double: { signed: false, bits: '12:5 11:4 10:3 6:7 5:6' },
  small: { signed: true, bits: '12:5 6:4 5:3 4:2 3:1 2:0' },
  shift: { signed: false, bits: '12:5 6:4 5:3 4:2 3:1 2:0' },
  upper: { signed: true, bits: '12:17 6:16 5:15 4:14 3:13 2:12' },
  addi16sp: { signed: true, bits: '12:9 6:4 5:6 4:8 3:7 2:5' },
  jump: { signed: true, bits: '12:11 11:4 10:9 9:8 8:10 7:6 6:7 5:3 4:2 3:1 2:5' },
  branch: { signed: true, bits: '12:8 11:4 10:3 6:7 5:6 4:2 3:1 2:5' },
  loadWordSp: { signed: false, bits: '12:5 6:4 5:3 4:2 3:7 2:6' },
  loadDoubleSp: { signed: false, bits: '12:5 6:4 5:3 4:8 3:7 2:6' },
  storeWordSp: { signed: false, bits: '12:5 11:4 10:3 9:2 8:7 7:6' },
  storeDoubleSp: { signed: false, bits: '12:5 11:4 10:3 9:8 8:7 7:6' },
} as const

export type ImmediateField = keyof typeof immediateFields

export const compressedInstructions: readonly CompressedRow[] = [
  {
    name: 'c.addi4spn',
    mask: 0xe003,
    match: 0x0000,
    expandsTo: 'addi',
    rd: 'short4_2',
    rs1: 2,
    immediate: 'addi4spn',
    nonzero: 'immediate',
  },
  {
    name: 'c.lw',
    mask: 0xe003,
    match: 0x4000,
    expandsTo: 'lw',
    rd: 'short4_2',
    rs1: 'short9_7',
    immediate: 'word',
  },
  {
    name: 'c.ld',
    mask: 0xe003,
    match: 0x6000,
    expandsTo: 'ld',
    rd: 'short4_2',
    rs1: 'short9_7',
    immediate: 'double',
  },
  {
    name: 'c.sw',
    mask: 0xe003,
    match: 0xc000,
    expandsTo: 'sw',
    rs2: 'short4_2',
    rs1: 'short9_7',
    immediate: 'word',
  },
  {
    name: 'c.sd',
    mask: 0xe003,
    match: 0xe000,
    expandsTo: 'sd',
    rs2: 'short4_2',
    rs1: 'short9_7',
    immediate: 'double',
  },

  {
    name: 'c.addi',
    mask: 0xe003,
    match: 0x0001,
    expandsTo: 'addi',
    rd: 'bits11_7',
    rs1: 'bits11_7',
    immediate: 'small',
  },
  {
    name: 'c.addiw',
    mask: 0xe003,
    match: 0x2001,
    expandsTo: 'addiw',
    rd: 'bits11_7',
    rs1: 'bits11_7',
    immediate: 'small',
    nonzero: 'bits11_7',
  },
  {
    name: 'c.li',
    mask: 0xe003,
    match: 0x4001,
    expandsTo: 'addi',
    rd: 'bits11_7',
    rs1: 0,
    immediate: 'small',
  },
  {
    name: 'c.addi16sp',
    mask: 0xef83,
    match: 0x6101,
    expandsTo: 'addi',
    rd: 2,
    rs1: 2,
    immediate: 'addi16sp',
    nonzero: 'immediate',
  },
  {
    name: 'c.lui',
    mask: 0xe003,
    match: 0x6001,
    expandsTo: 'lui',
    rd: 'bits11_7',
    immediate: 'upper',
    nonzero: 'immediate',
  },
  {
    name: 'c.srli',
    mask: 0xec03,
    match: 0x8001,
    expandsTo: 'srli',
    rd: 'short9_7',
    rs1: 'short9_7',
    immediate: 'shift',
  },
  {
    name: 'c.srai',
    mask: 0xec03,
    match: 0x8401,
    expandsTo: 'srai',
    rd: 'short9_7',
    rs1: 'short9_7',
    immediate: 'shift',
  },
  {
    name: 'c.andi',
    mask: 0xec03,
    match: 0x8801,
    expandsTo: 'andi',
    rd: 'short9_7',
    rs1: 'short9_7',
    immediate: 'small',
  },
  {
    name: 'c.sub',
    mask: 0xfc63,
    match: 0x8c01,
    expandsTo: 'sub',
    rd: 'short9_7',
    rs1: 'short9_7',
    rs2: 'short4_2',
  },
  {
    name: 'c.xor',
    mask: 0xfc63,
    match: 0x8c21,
    expandsTo: 'xor',
    rd: 'short9_7',
    rs1: 'short9_7',
    rs2: 'short4_2',
  },
  {
    name: 'c.or',
    mask: 0xfc63,
    match: 0x8c41,
    expandsTo: 'or',
    rd: 'short9_7',
    rs1: 'short9_7',
    rs2: 'short4_2',
  },
  {
    name: 'c.and',
    mask: 0xfc63,
    match: 0x8c61,
    expandsTo: 'and',
    rd: 'short9_7',
    rs1: 'short9_7',
    rs2: 'short4_2',
  },
  {
    name: 'c.subw',
    mask: 0xfc63,
    match: 0x9c01,
    expandsTo: 'subw',
    rd: 'short9_7',
    rs1: 'short9_7',
    rs2: 'short4_2',
  },
  {
    name: 'c.addw',
    mask: 0xfc63,
    match: 0x9c21,
    expandsTo: 'addw',
    rd: 'short9_7',
    rs1: 'short9_7',
    rs2: 'short4_2',
  },
  { name: 'c.j', mask: 0xe003, match: 0xa001, expandsTo: 'jal', rd: 0, immediate: 'jump' },
  {
    name: 'c.beqz',
    mask: 0xe003,
    match: 0xc001,
    expandsTo: 'beq',
    rs1: 'short9_7',
    rs2: 0,
    immediate: 'branch',
  },
  {
    name: 'c.bnez',
    mask: 0xe003,
    match: 0xe001,
    expandsTo: 'bne',
    rs1: 'short9_7',
    rs2: 0,
    immediate: 'branch',
  },

  {
    name: 'c.slli',
    mask: 0xe003,
    match: 0x0002,
    expandsTo: 'slli',
    rd: 'bits11_7',
    rs1: 'bits11_7',
    immediate: 'shift',
  },
  {
    name: 'c.lwsp',
    mask: 0xe003,
    match: 0x4002,
    expandsTo: 'lw',
    rd: 'bits11_7',
    rs1: 2,
    immediate: 'loadWordSp',
    nonzero: 'bits11_7',
  },
  {
    name: 'c.ldsp',
    mask: 0xe003,
    match: 0x6002,
    expandsTo: 'ld',
    rd: 'bits11_7',
    rs1: 2,
    immediate: 'loadDoubleSp',
    nonzero: 'bits11_7',
  },
  {
    name: 'c.jr',
    mask: 0xf07f,
    match: 0x8002,
    expandsTo: 'jalr',
    rd: 0,
    rs1: 'bits11_7',
    nonzero: 'bits11_7',
  },
  { name: 'c.mv', mask: 0xf003, match: 0x8002, expandsTo: 'add', rd: 'bits11_7', rs1: 0, rs2: 'bits6_2' },
  { name: 'c.ebreak', mask: 0xffff, match: 0x9002, expandsTo: 'ebreak' },
  { name: 'c.jalr', mask: 0xf07f, match: 0x9002, expandsTo: 'jalr', rd: 1, rs1: 'bits11_7' },
  {
    name: 'c.add',
    mask: 0xf003,
    match: 0x9002,
    expandsTo: 'add',
    rd: 'bits11_7',
    rs1: 'bits11_7',
    rs2: 'bits6_2',
  },
  {
    name: 'c.swsp',
    mask: 0xe003,
    match: 0xc002,
    expandsTo: 'sw',
    rs2: 'bits6_2',
    rs1: 2,
    immediate: 'storeWordSp',
  },
  {
    name: 'c.sdsp',
    mask: 0xe003,
    match: 0xe002,
    expandsTo: 'sd',
    rs2: 'bits6_2',
    rs1: 2,
    immediate: 'storeDoubleSp',
  },
]

export function compressedRegister(field: RegisterField | undefined, word: number): number {
  if (typeof field === 'number') return field
  switch (field) {
    case undefined:
      return 0
    case 'bits11_7':
      return (word >>> 7) & 31
    case 'bits6_2':
      return (word >>> 2) & 31
    case 'short9_7':
      return 8 + ((word >>> 7) & 7)
    case 'short4_2':
      return 8 + ((word >>> 2) & 7)
  }
}

interface ImmediateDecoder {
  readonly signBit: number | undefined
  readonly moves: readonly (readonly [from: number, to: number])[]
}

const immediateDecoders = Object.fromEntries(
  Object.entries(immediateFields).map(([name, { signed, bits }]) => {
    const moves = bits.split(' ').map((pair) => pair.split(':').map(Number) as [number, number])
    return [name, { signBit: signed ? moves[0]?.[1] : undefined, moves }]
  }),
) as unknown as Readonly<Record<ImmediateField, ImmediateDecoder>>

export function compressedImmediate(field: ImmediateField | undefined, word: number): number {
  if (field === undefined) return 0
  const { signBit, moves } = immediateDecoders[field]
  let value = 0
  for (const [from, to] of moves) value |= ((word >>> from) & 1) << to
  return signBit !== undefined && (value >>> signBit) & 1 ? value - 2 * (1 << signBit) : value
}
