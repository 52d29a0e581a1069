/**
 * From instruction words to rows and operands.
 *
 * The candidate rows of a word are found by its major opcode and funct3 (for compressed words by quadrant and
 * funct3), then compared in the order of the table.
 */
import type { CompressedRow } from './compressed.ts'
import { compressedImmediate, compressedInstructions, compressedRegister } from './compressed.ts'
import type { Format, InstructionRow } from './instructions.ts'
import { instructions } from './instructions.ts'

export interface Decoded {
  readonly row: InstructionRow
  readonly lengthBytes: 2 | 4
  readonly rd: number
  readonly rs1: number
  readonly rs2: number
  /** For CSR instructions the register's number. */
  readonly immediate: number
}

/** Whether a halfword is a whole instruction. */
export const isCompressed = (halfword: number): boolean => (halfword & 3) !== 3

const key32 = (word: number): number => ((word >>> 2) & 31) | (((word >>> 12) & 7) << 5)
const key16 = (word: number): number => (word & 3) | (((word >>> 13) & 7) << 2)

/** Lists of rows by key, where a row stands under each key that its mask leaves open. */
function index<Row extends { readonly mask: number; readonly match: number }>(
  rows: readonly Row[],
  keys: number,
  wordOf: (key: number) => number,
  keyMask: number,
): readonly (readonly Row[])[] {
  return Array.from({ length: keys }, (_, key) =>
    rows.filter(({ mask, match }) => ((wordOf(key) ^ match) & mask & keyMask) === 0),
  )
}

const rowsByKey = index(instructions, 256, (key) => 3 | ((key & 31) << 2) | ((key >>> 5) << 12), 0x707f)
const compressedByKey = index(compressedInstructions, 32, (key) => (key & 3) | ((key >>> 2) << 13), 0xe003)
const rowByName = new Map(instructions.map((row) => [row.name, row]))
const expansions: ReadonlyMap<CompressedRow, InstructionRow> = new Map(
  compressedInstructions.map((compressed) => {
    const row = rowByName.get(compressed.expandsTo)
    if (row === undefined) throw new Error(`${compressed.name} expands to an unknown ${compressed.expandsTo}`)
    return [compressed, row]
  }),
)

function immediateOf(format: Format, word: number): number {
  switch (format) {
    case 'R':
    case 'none':
      return 0
    case 'I':
      return word >> 20
    case 'shift64':
      return (word >>> 20) & 63
    case 'shift32':
      return (word >>> 20) & 31
    case 'csr':
      return word >>> 20
    case 'S':
      return ((word >> 25) << 5) | ((word >>> 7) & 31)
    case 'B':
      return (
        ((word >> 31) << 12) |
        (((word >>> 7) & 1) << 11) |
        (((word >>> 25) & 63) << 5) |
        (((word >>> 8) & 15) << 1)
      )
    case 'U':
      return word & 0xfffff000
    case 'J':
      return (
        ((word >> 31) << 20) |
        (((word >>> 12) & 255) << 12) |
        (((word >>> 20) & 1) << 11) |
        (((word >>> 21) & 1023) << 1)
      )
  }
}

/**
 * Decodes the instruction at the start of `word` (its first halfword says whether the second one belongs to
 * it), or gives undefined where it is illegal.
 */
export function decode(word: number): Decoded | undefined {
  if (isCompressed(word)) return decodeCompressed(word & 0xffff)
  for (const row of rowsByKey[key32(word)] as readonly InstructionRow[]) {
    if (((word ^ row.match) & row.mask) !== 0) continue
    return {
      row,
      lengthBytes: 4,
      rd: (word >>> 7) & 31,
      rs1: (word >>> 15) & 31,
      rs2: (word >>> 20) & 31,
      immediate: immediateOf(row.format, word),
    }
  }
  return undefined
}

function decodeCompressed(word: number): Decoded | undefined {
  for (const compressed of compressedByKey[key16(word)] as readonly CompressedRow[]) {
    if ((word & compressed.mask) !== compressed.match) continue
    const immediate = compressedImmediate(compressed.immediate, word)
    if (compressed.nonzero === 'immediate' && immediate === 0) return undefined
    if (compressed.nonzero === 'bits11_7' && ((word >>> 7) & 31) === 0) return undefined
    return {
      row: expansions.get(compressed) as InstructionRow,
      lengthBytes: 2,
      rd: compressedRegister(compressed.rd, word),
      rs1: compressedRegister(compressed.rs1, word),
      rs2: compressedRegister(compressed.rs2, word),
      immediate,
    }
  }
  return undefined
}
