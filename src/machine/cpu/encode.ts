/** From rows and operands to instruction words: the inverse of decoder.ts. */
import type { Format, InstructionRow } from './instructions.ts'
import { instructions } from './instructions.ts'

export interface Operands {
  readonly rd?: number
  readonly rs1?: number
  readonly rs2?: number
  /** For CSR instructions the register's number; the source is `rs1`, be it a register or a number. */
  readonly immediate?: number
}

const rowByName: ReadonlyMap<string, InstructionRow> = new Map(instructions.map((row) => [row.name, row]))

/** The range of a format's immediate, and the number that it must be a multiple of. */
export const immediateRange: Readonly<
  Record<Format, readonly [least: number, greatest: number, step: number]>
> = {
  R: [0, 0, 1],
  none: [0, 0, 1],
  I: [-2048, 2047, 1],
  S: [-2048, 2047, 1],
  B: [-4096, 4094, 2],
  U: [-0x8000_0000, 0x7fff_f000, 0x1000],
  J: [-0x10_0000, 0xf_fffe, 2],
  shift64: [0, 63, 1],
  shift32: [0, 31, 1],
  csr: [0, 4095, 1],
}

function immediateBits(format: Format, value: number): number {
  const bits = (from: number, count: number, at: number) => ((value >>> from) & ((1 << count) - 1)) << at
  switch (format) {
    case 'R':
    case 'none':
      return 0
    case 'I':
    case 'csr':
    case 'shift64':
    case 'shift32':
      return bits(0, 12, 20)
    case 'S':
      return bits(5, 7, 25) | bits(0, 5, 7)
    case 'B':
      return bits(12, 1, 31) | bits(5, 6, 25) | bits(1, 4, 8) | bits(11, 1, 7)
    case 'U':
      return value & 0xfffff000
    case 'J':
      return bits(20, 1, 31) | bits(1, 10, 21) | bits(11, 1, 20) | bits(12, 8, 12)
  }
}

const hasRd = (format: Format) => format !== 'S' && format !== 'B' && format !== 'none'
const hasRs1 = (format: Format) => format !== 'U' && format !== 'J' && format !== 'none'
const hasRs2 = (format: Format) => format === 'R' || format === 'S' || format === 'B'

/** The word of an instruction. Throws for an unknown name or an immediate that does not fit. */
export function encodeInstruction(name: string, operands: Operands = {}): number {
  const row = rowByName.get(name)
  if (row === undefined) throw new Error(`no instruction ${name}`)
  const { rd = 0, rs1 = 0, rs2 = 0, immediate = 0 } = operands
  const [least, greatest, step] = immediateRange[row.format]
  if (immediate < least || immediate > greatest || immediate % step !== 0) {
    throw new RangeError(
      `${name}: immediate ${immediate} is not a multiple of ${step} in ${least}..${greatest}`,
    )
  }
  return (
    (row.match |
      (hasRd(row.format) ? rd << 7 : 0) |
      (hasRs1(row.format) ? rs1 << 15 : 0) |
      (hasRs2(row.format) && (row.mask >>> 20) % 32 === 0 ? rs2 << 20 : 0) |
      immediateBits(row.format, immediate)) >>>
    0
  )
}
