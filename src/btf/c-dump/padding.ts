/**
 * Holes in a struct, written so that a compiler makes them again.
 *
 * A hole that the next member's alignment makes anyway needs no words. Others are filled with nameless bit fields:
 * `long: 64;` takes room, `long: 0;` goes to the next multiple of 64 bits.
 */

/** Types to pad with, widest first. */
const PADS = [
  { name: 'long', bits: 64 },
  { name: 'int', bits: 32 },
  { name: 'short', bits: 16 },
  { name: 'char', bits: 8 },
] as const

export interface Hole {
  /** Bits from the start of the struct. */
  readonly from: number
  readonly to: number
  /** Alignment of what comes next, in bytes. */
  readonly nextAlign: number
  /** Between two bit fields compilers align nothing. */
  readonly isInBitField: boolean
}

/** Members that fill the hole, such as `long: 0`, without semicolons; none where the compiler fills it. */
export function paddingOf({ from, to, nextAlign, isInBitField }: Hole): readonly string[] {
  if (from >= to) return []
  const lines: string[] = []
  const pad = PADS.find(({ bits }) => roundUp(from, bits) <= to) ?? PADS[3]
  let at = from
  const aligned = roundUp(from, pad.bits)
  if (aligned > from && aligned <= to) {
    const isNextElsewhere = aligned === to && roundUp(from, nextAlign * 8) !== aligned
    const isRestTooSmall = aligned !== to && to - aligned <= aligned - from
    if (isInBitField) lines.push(`${pad.name}: ${aligned - from}`)
    else if (isNextElsewhere || isRestTooSmall) lines.push(`${pad.name}: 0`)
    at = aligned
  }
  for (; at + pad.bits <= to; at += pad.bits) lines.push(`${pad.name}: ${pad.bits}`)
  if (at < to) {
    // The narrowest type that holds the rest says best how much it is.
    const rest = to - at
    const narrow = PADS.findLast(({ bits }) => bits >= rest) ?? PADS[0]
    lines.push(`${narrow.name}: ${rest}`)
  }
  return lines
}

const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple
