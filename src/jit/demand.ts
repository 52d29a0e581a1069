/**
 * Which halves of which registers the rest of a subprogram looks at. What only its low word is asked of is kept in 32
 * bits, and so are the phis of loops and the addresses of loads: V8 narrows none of them by itself.
 *
 * A set is a number: bit n for the low word of rn, bit 16 + n for the upper one.
 */
import type { Row } from '../isa/index.ts'
import type { Block, ControlFlow } from './control-flow.ts'
import type { Slot } from './program.ts'
import { type RegisterUse, registerUse } from './registers.ts'

export const lowOf = (register: number): number => 1 << register
export const highOf = (register: number): number => 1 << (16 + register)
const allOf = (register: number): number => lowOf(register) | highOf(register)
const allOfSet = (registers: number): number => registers | (registers << 16)

/** What the analysis has to be told of the program. */
export interface DemandOptions {
  readonly argumentCount: (helper: number) => number
  readonly calleeReads: (entry: number) => number
  /** Whether the access at the slot looks at all of its pointer, and not only at its offset in the arena. */
  readonly usesWholePointer: (slot: Slot) => boolean
  /** Whether the slot leaves a pointer into the arena in r0, or zero: its low word says which. */
  readonly givesPointer: (slot: Slot) => boolean
}

/** Whether a jump asks just whether r0 is zero. */
export function isZeroTest({ dst, constant, row }: Slot): boolean {
  const found: Row | undefined = row
  const isEquality = found?.kind === 'jump' && (found.op === 'jeq' || found.op === 'jne')
  return isEquality && dst === 0 && constant === 0n && found.bits === 64
}

/** 64-bit operations whose low word depends on nothing but the low words of the operands. */
const NARROW: ReadonlySet<string> = new Set(['add', 'sub', 'mul', 'and', 'or', 'xor', 'neg'])

/** Whether the low word of the result can be computed from low words. */
export function isNarrow({ op }: Row, constant: bigint | undefined): boolean {
  if (op.startsWith('mov') || NARROW.has(op)) return true
  return op === 'lsh' && constant !== undefined && constant >= 0n && constant < 32n
}

/** Demand at the beginning of each block, and after each instruction of one when it is asked for. */
export class Demand {
  /** By the number of the block. */
  readonly atStart: readonly number[]
  readonly #options: DemandOptions
  readonly #blocks: readonly Block[]

  constructor({ blocks }: ControlFlow, options: DemandOptions) {
    this.#options = options
    this.#blocks = blocks
    const atStart = blocks.map(() => 0)
    this.atStart = atStart
    const isDue = blocks.map(() => true)
    for (let number = blocks.length - 1; number >= 0; ) {
      if (!isDue[number]) {
        number--
        continue
      }
      isDue[number] = false
      const block = blocks[number] as Block
      let demand = this.atEnd(block)
      for (let i = block.slots.length - 1; i >= 0; i--) demand = this.#before(block.slots[i] as Slot, demand)
      if (demand === atStart[number]) {
        number--
        continue
      }
      atStart[number] = demand
      for (const from of block.predecessors) {
        isDue[from] = true
        number = Math.max(number, from + 1)
      }
      number--
    }
  }

  /** Behind the last instruction, what the jump at the end compares included. */
  atEnd({ slots, exit }: Block): number {
    switch (exit.kind) {
      case 'none':
        return 0
      case 'goto':
        return this.atStart[exit.to] as number
      case 'branch': {
        const after = (this.atStart[exit.taken] as number) | (this.atStart[exit.otherwise] as number)
        const last = slots.at(-1)
        if (last !== undefined && isZeroTest(exit.slot) && this.#options.givesPointer(last)) {
          return after | lowOf(0)
        }
        return this.#before(exit.slot, after)
      }
    }
  }

  /** Behind each instruction of a block, in their order. */
  behind(number: number): readonly number[] {
    const block = this.#blocks[number] as Block
    const { slots } = block
    const behind = slots.map(() => 0)
    let demand = this.atEnd(block)
    for (let i = slots.length - 1; i >= 0; i--) {
      behind[i] = demand
      demand = this.#before(slots[i] as Slot, demand)
    }
    return behind
  }

  #before(slot: Slot, after: number): number {
    const row: Row | undefined = slot.row
    const { dst, src } = slot
    const sourceLow = row?.src === 'reg' ? lowOf(src) : 0
    const source = row?.src === 'reg' ? allOf(src) : 0
    switch (row?.kind) {
      case 'alu': {
        const wanted = after & allOf(dst)
        const rest = after & ~allOf(dst)
        if (wanted === 0) return rest
        const isMove = row.op.startsWith('mov')
        const isLow =
          row.bits === 32 ||
          (isMove && row.op !== 'mov') ||
          ((wanted & highOf(dst)) === 0 && isNarrow(row, slot.constant))
        if (isLow) return rest | (isMove ? 0 : lowOf(dst)) | sourceLow
        return rest | (isMove ? 0 : allOf(dst)) | source
      }
      case 'swap': {
        const wanted = after & allOf(dst)
        const rest = after & ~allOf(dst)
        if (wanted === 0) return rest
        return rest | (row.bits === 64 ? allOf(dst) : lowOf(dst))
      }
      case 'load':
        return (after & ~allOf(dst)) | this.#pointer(slot, src)
      case 'store':
        return after | this.#pointer(slot, dst) | (row.bits === 64 ? source : sourceLow)
      case 'jump':
        return row.bits === 64 ? after | allOf(dst) | source : after | lowOf(dst) | sourceLow
      default: {
        const { reads, writes } = this.#use(slot)
        return (after & ~allOfSet(writes)) | allOfSet(reads)
      }
    }
  }

  #pointer(slot: Slot, register: number): number {
    return this.#options.usesWholePointer(slot) ? allOf(register) : lowOf(register)
  }

  #use(slot: Slot): RegisterUse {
    return registerUse(slot, this.#options.argumentCount, this.#options.calleeReads)
  }
}
