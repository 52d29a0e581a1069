/**
 * Rotations: a value shifted left by k, and the same value shifted right by the rest of its width, brought together.
 * BPF has no instruction for it, and V8 does not see it in 64 bits: as one instruction, siphash takes 0.6 of the time.
 */
import type { Row } from '../isa/index.ts'
import type { Slot } from './program.ts'
import { registerUse } from './registers.ts'

export interface Rotation {
  /** Names the value that is rotated, unique in its block. */
  readonly value: number
  readonly bits: 32 | 64
  readonly left: number
}

export interface Rotations {
  /** By the slot of the instruction that brings the halves together. */
  readonly joins: ReadonlyMap<number, Rotation>
  /** By the slot of a shift: its operand, before it is shifted, is the value. */
  readonly values: ReadonlyMap<number, { readonly value: number; readonly bits: 32 | 64 }>
}

interface Shift {
  readonly value: number
  readonly left: number
  readonly bits: 32 | 64
  readonly pc: number
}

const NONE: Rotations = { joins: new Map(), values: new Map() }
const JOINS: ReadonlySet<string> = new Set(['or', 'xor', 'add'])

/** The rotations in the instructions of a block. */
export function rotationsOf(slots: readonly Slot[]): Rotations {
  if (!slots.some(({ row }) => row?.kind === 'alu' && row.op === 'rsh')) return NONE
  const joins = new Map<number, Rotation>()
  const values = new Map<number, { value: number; bits: 32 | 64 }>()
  let last = 0
  // What each register holds: a value by name, all of it and its low word, and the shift that it came from.
  const whole = Array.from({ length: 11 }, () => ++last)
  const low = Array.from({ length: 11 }, () => ++last)
  const shifts: (Shift | undefined)[] = Array.from({ length: 11 }, () => undefined)
  const forget = (register: number) => {
    whole[register] = ++last
    low[register] = ++last
    shifts[register] = undefined
  }
  for (const slot of slots) {
    const row: Row | undefined = slot.row
    const { dst, src, constant, pc } = slot
    if (row?.kind !== 'alu') {
      const { writes } = registerUse(
        slot,
        () => 5,
        () => 0,
      )
      for (let n = 0; n < 11; n++) if ((writes >> n) & 1) forget(n)
      // A subprogram that is called may be inlined, with rotations of its own.
      if (row?.kind === 'call') shifts.fill(undefined)
      continue
    }
    const bits = row.bits as 32 | 64
    if (row.op === 'mov' && constant === undefined) {
      const held = shifts[src]
      whole[dst] = bits === 64 ? (whole[src] as number) : ++last
      low[dst] = low[src] as number
      shifts[dst] = held?.bits === bits || bits === 64 ? held : undefined
      continue
    }
    if ((row.op === 'lsh' || row.op === 'rsh') && constant !== undefined) {
      const count = Number(constant)
      const value = (bits === 64 ? whole : low)[dst] as number
      forget(dst)
      if (count > 0 && count < bits) {
        shifts[dst] = {
          value,
          left: row.op === 'lsh' ? count : bits - count,
          bits,
          pc: row.op === 'lsh' ? pc : -pc - 1,
        }
      }
      continue
    }
    const [a, b] = [shifts[dst], constant === undefined ? shifts[src] : undefined]
    const isJoin = JOINS.has(row.op) && a !== undefined && b !== undefined && dst !== src
    // One is a left shift, the other a right one (its slot is kept as a negative number).
    if (
      isJoin &&
      a.value === b.value &&
      a.left === b.left &&
      a.bits === bits &&
      b.bits === bits &&
      a.pc >= 0 !== b.pc >= 0
    ) {
      joins.set(pc, { value: a.value, bits, left: a.left })
      const first = Math.min(slotOf(a), slotOf(b))
      values.set(first, { value: a.value, bits })
    }
    forget(dst)
  }
  return { joins, values }
}

const slotOf = ({ pc }: Shift): number => (pc >= 0 ? pc : -pc - 1)
