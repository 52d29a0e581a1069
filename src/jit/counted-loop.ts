/**
 * Loops of one block whose number of iterations is known: a register goes from one constant to another in steps of a
 * third. Several iterations are written out one after the other, with one jump for all of them: V8 looks at its stack
 * limit at each jump back, and unrolls few loops by itself.
 */
import type { Row } from '../isa/index.ts'
import type { Block, ControlFlow } from './control-flow.ts'
import type { Slot } from './program.ts'
import { registerUse } from './registers.ts'
import { type Registers, step, type Value } from './values.ts'

export interface CountedLoop {
  readonly head: Block
  /** Number of the block that comes after the last iteration. */
  readonly exit: number
  /** The register that counts, as it is when the first iteration begins, and what each adds to it. */
  readonly register: number
  readonly start: bigint
  readonly step: bigint
  /** At least 1. */
  readonly iterations: number
}

const MOST_ITERATIONS = 1 << 30
/** Slots of all the iterations that are written out. */
const MOST_SLOTS = 64
const MOST_COPIES = 8

/** How many iterations to write out for each jump back. */
export function copiesOf({ head, iterations }: CountedLoop): number {
  const fit = Math.floor(MOST_SLOTS / Math.max(1, head.slots.length))
  return Math.max(1, Math.min(MOST_COPIES, fit, iterations))
}

/** The loop that begins at `head`, if it is one of these. `known` is what is known at the start of each block. */
export function countedLoop(
  flow: ControlFlow,
  head: Block,
  known: readonly (Registers | undefined)[],
): CountedLoop | undefined {
  const { exit, number, predecessors } = head
  if (exit.kind !== 'branch') return undefined
  const goesBack = (to: number) => to === number || isLatch(flow, to, number)
  const takenGoesBack = goesBack(exit.taken)
  if (takenGoesBack === goesBack(exit.otherwise)) return undefined
  const { slot } = exit
  const row: Row = slot.row as Row
  if (row.kind !== 'jump' || slot.constant === undefined || row.bits !== 64) return undefined
  const register = slot.dst
  const amount = stepOf(head.slots, register)
  if (amount === undefined) return undefined
  let start: bigint | undefined
  for (const from of predecessors) {
    if (goesBack(from)) continue
    const value = valueBehind(flow, from, known, register)
    if (value?.kind !== 'constant') return undefined
    const signed = BigInt.asIntN(64, value.value)
    if (start !== undefined && start !== signed) return undefined
    start = signed
  }
  if (start === undefined) return undefined
  const iterations = iterationsOf(takenGoesBack ? row.op : inverse[row.op], start, amount, slot.constant)
  if (iterations === undefined) return undefined
  const after = takenGoesBack ? exit.otherwise : exit.taken
  return { head, exit: after, register, start, step: amount, iterations }
}

/** A block that only leads back. */
function isLatch({ blocks }: ControlFlow, number: number, head: number): boolean {
  const { slots, exit, predecessors } = blocks[number] as Block
  return slots.length === 0 && exit.kind === 'goto' && exit.to === head && predecessors.length === 1
}

/** What the block adds to the register; undefined where it does something else with it. */
function stepOf(slots: readonly Slot[], register: number): bigint | undefined {
  let amount: bigint | undefined
  for (const slot of slots) {
    const row: Row | undefined = slot.row
    // A call would have to be made as often as it is written.
    if (row?.kind === 'call' || row === undefined) return undefined
    const { writes } = registerUse(
      slot,
      () => 5,
      () => 0,
    )
    if (((writes >> register) & 1) === 0) continue
    const isStep = row.kind === 'alu' && row.op === 'add' && row.bits === 64 && slot.constant !== undefined
    if (!isStep || amount !== undefined) return undefined
    amount = slot.constant
  }
  return amount
}

function valueBehind(
  flow: ControlFlow,
  number: number,
  known: readonly (Registers | undefined)[],
  register: number,
): Value {
  const start = known[number]
  if (start === undefined) return undefined
  const values = [...start]
  for (const slot of (flow.blocks[number] as Block).slots) step(values, slot)
  return values[register]
}

const inverse: Readonly<Record<string, string | undefined>> = {
  jeq: 'jne',
  jne: 'jeq',
  jgt: 'jle',
  jle: 'jgt',
  jge: 'jlt',
  jlt: 'jge',
  jsgt: 'jsle',
  jsle: 'jsgt',
  jsge: 'jslt',
  jslt: 'jsge',
}

/** How often a block runs that goes on while `register op end` holds behind it; undefined where that is not plain. */
function iterationsOf(op: string | undefined, start: bigint, step: bigint, end: bigint): number | undefined {
  if (op === undefined || step === 0n) return undefined
  const isUnsigned = op === 'jlt' || op === 'jle' || op === 'jgt' || op === 'jge'
  if (isUnsigned && (start < 0n || end < 0n)) return undefined
  const up = step > 0n
  const distance = up ? end - start : start - end
  const size = up ? step : -step
  let count: bigint
  switch (op) {
    case 'jne':
      if (distance % size !== 0n) return undefined
      count = distance / size
      if (count < 1n) return undefined
      break
    case up ? 'jlt' : 'jgt':
    case up ? 'jslt' : 'jsgt':
      count = (distance + size - 1n) / size
      break
    case up ? 'jle' : 'jge':
    case up ? 'jsle' : 'jsge':
      count = distance / size + 1n
      break
    default:
      return undefined
  }
  if (distance < 0n) count = 1n
  if (count < 1n) count = 1n
  // Going down past zero would begin again at the top.
  const last = start + count * step
  if (isUnsigned && last < 0n) return undefined
  return count <= BigInt(MOST_ITERATIONS) ? Number(count) : undefined
}
