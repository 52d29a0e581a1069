/**
 * Which registers each instruction reads and writes, as sets of bits, and from that which ones a subprogram reads
 * before it writes them: its parameters.
 *
 * What a program could see of a register that it never wrote, or that a call clobbers, is unspecified (a verifier
 * refuses such programs): a call of a subprogram leaves r1 to r5 as they were, and a callee finds 0 in r0 and r6 to r9.
 */
import type { Row } from '../isa/index.ts'
import { type ControlFlow, controlFlowOf } from './control-flow.ts'
import type { DecodedProgram, Slot } from './program.ts'

const ARGUMENTS = 0b111110
const R0 = 1
/** The helper that leaves r0 as it was where it does not do what it is for. */
export const TAIL_CALL = 12
const R6 = 1 << 6

/** Answers how many arguments a helper takes; 5 where it is not known. */
export type ArgumentCount = (helper: number) => number

export interface RegisterUse {
  readonly reads: number
  readonly writes: number
}

/** `calleeReads` are the parameters of the subprogram at a slot. */
export function registerUse(
  slot: Slot,
  argumentCount: ArgumentCount,
  calleeReads: (entry: number) => number,
): RegisterUse {
  const row: Row | undefined = slot.row
  const dst = 1 << slot.dst
  const src = row?.src === 'reg' ? 1 << slot.src : 0
  switch (row?.kind) {
    case undefined:
    case 'goto':
    case 'may_goto':
      return { reads: 0, writes: 0 }
    case 'alu':
      return { reads: row.op.startsWith('mov') ? src : dst | src, writes: dst }
    case 'cast':
    case 'load':
      return { reads: src, writes: dst }
    case 'swap':
      return { reads: dst, writes: dst }
    case 'wide':
      return { reads: 0, writes: dst }
    case 'jump':
    case 'store':
      return { reads: dst | src, writes: 0 }
    case 'atomic':
      if (row.op === 'cmpxchg') return { reads: dst | src | R0, writes: R0 }
      return { reads: dst | src, writes: isFetch(row) ? src : 0 }
    case 'call':
      if (row.op === 'local') return { reads: calleeReads(slot.target), writes: R0 }
      if (row.op === 'helper') {
        const kept = slot.imm === TAIL_CALL ? R0 : 0
        return { reads: firstArguments(argumentCount(slot.imm)) | kept, writes: R0 }
      }
      return { reads: ARGUMENTS | (row.op === 'indirect' ? dst | R0 : 0), writes: R0 }
    case 'exit':
      return { reads: R0, writes: 0 }
    case 'packet':
      return { reads: R6 | src, writes: R0 | ARGUMENTS }
  }
}

/** Does an atomic instruction leave the old value in its source register? */
export const isFetch = (row: Row): boolean => row.op.startsWith('fetch') || row.op === 'xchg'

const firstArguments = (count: number): number => ((2 << count) - 1) & ARGUMENTS

export interface Subprogram {
  readonly entry: number
  readonly flow: ControlFlow
  /** r1 to r5, as bits, that it reads before it writes them. */
  readonly parameters: number
  /** Whether it reads r10, and so needs a stack. */
  readonly usesStack: boolean
  /** Entries of the subprograms that it calls directly. */
  readonly callees: ReadonlySet<number>
  readonly slotCount: number
}

/**
 * All subprograms of a program, by entry. `taken`: how many arguments some take, whether they look at them or not.
 */
export function subprogramsOf(
  program: DecodedProgram,
  argumentCount: ArgumentCount,
  taken: (entry: number) => number = () => 0,
): ReadonlyMap<number, Subprogram> {
  const flows = new Map(program.entries.map((entry) => [entry, controlFlowOf(program, entry)]))
  const parameters = new Map<number, number>(
    program.entries.map((entry) => [entry, firstArguments(taken(entry))]),
  )
  const calleeReads = (entry: number) => parameters.get(entry) ?? 0
  for (let changed = true; changed; ) {
    changed = false
    for (const [entry, flow] of flows) {
      const read = liveAtEntry(flow, argumentCount, calleeReads) & ARGUMENTS
      const live = read | firstArguments(taken(entry))
      if (live === parameters.get(entry)) continue
      parameters.set(entry, live)
      changed = true
    }
  }
  return new Map(
    [...flows].map(([entry, flow]) => {
      const slots: Slot[] = []
      for (const { slots: inside, exit } of flow.blocks) {
        for (const slot of inside) slots.push(slot)
        if (exit.kind === 'branch') slots.push(exit.slot)
      }
      const usesStack = slots.some(
        (slot) => (registerUse(slot, argumentCount, calleeReads).reads & (1 << 10)) !== 0,
      )
      const callees = new Set(slots.filter(({ row }) => row?.op === 'local').map(({ target }) => target))
      const slotCount = slots.length
      return [entry, { entry, flow, parameters: calleeReads(entry), usesStack, callees, slotCount }]
    }),
  )
}

function liveAtEntry(
  flow: ControlFlow,
  argumentCount: ArgumentCount,
  calleeReads: (entry: number) => number,
): number {
  const effects = flow.blocks.map((block) => {
    let reads = 0
    let writes = 0
    const add = (slot: Slot) => {
      const use = registerUse(slot, argumentCount, calleeReads)
      reads |= use.reads & ~writes
      writes |= use.writes
    }
    block.slots.forEach(add)
    if (block.exit.kind === 'branch') add(block.exit.slot)
    return { reads, writes }
  })
  const live = new Int32Array(flow.blocks.length)
  for (let changed = true; changed; ) {
    changed = false
    for (let number = flow.blocks.length - 1; number >= 0; number--) {
      const { exit } = flow.blocks[number] as (typeof flow.blocks)[number]
      const { reads, writes } = effects[number] as RegisterUse
      const after =
        exit.kind === 'none'
          ? 0
          : exit.kind === 'goto'
            ? live[exit.to]
            : (live[exit.taken] as number) | (live[exit.otherwise] as number)
      const before = reads | ((after as number) & ~writes)
      if (before === live[number]) continue
      live[number] = before
      changed = true
    }
  }
  return live[0] as number
}
