/**
 * Which parts of a subprogram's stack can be locals: those that every access names by a constant distance from r10,
 * always in the same width. V8 keeps locals in registers and forgets what nobody reads; memory it leaves as it is.
 *
 * Rules
 * - For programs that a verifier has accepted: nothing else than a pointer that came from r10 reaches the stack.
 * - Registers, and the slots that pointers are spilled to, are followed through the subprogram: where they may point
 *   to, as a range, and how large numbers are that are added to them.
 * - A helper, and what it gives, reaches from its argument upward. A subprogram that is given a pointer into the stack may reach all of
 *   it, and so may what a pointer is stored to elsewhere: then nothing is a local.
 */
import type { Row } from '../isa/index.ts'
import type { Block, ControlFlow } from './control-flow.ts'
import { STACK_BYTES } from './layout.ts'
import type { Slot } from './program.ts'
import { registerUse } from './registers.ts'

/** A part of the stack that is a local. */
export interface StackPart {
  /** From r10, negative. */
  readonly offset: number
  readonly sizeBytes: number
}

export interface StackSlotOptions {
  readonly argumentCount: (helper: number) => number
  /** The parameters, as bits, of the subprogram at a slot. */
  readonly calleeReads: (entry: number) => number
  /** Whether helpers may be given functions to call. */
  readonly hasCallbacks: boolean
}

type Tracked =
  | { readonly kind: 'number'; readonly low: number; readonly high: number }
  /** Distances from r10. Not certain: it may be something else than a pointer into this stack, too. */
  | { readonly kind: 'stack'; readonly low: number; readonly high: number; readonly isCertain: boolean }
  /** No pointer into this stack. */
  | undefined

const REGISTERS = 11
const SLOTS = STACK_BYTES / 8
/** Beyond what any pointer into the stack can be moved by. */
const FAR = 1 << 20
const ANYWHERE: Tracked = { kind: 'stack', low: -FAR, high: FAR, isCertain: false }

const clamp = (value: number): number => Math.max(-FAR, Math.min(FAR, value))

function numbers(low: number, high: number): Tracked {
  return low < -FAR || high > FAR ? undefined : { kind: 'number', low, high }
}

const slotAt = (offset: number): number => REGISTERS + Math.floor((offset + STACK_BYTES) / 8)

/** What either may be. */
function join(a: Tracked, b: Tracked): Tracked {
  if (a === b) return a
  if (a?.kind === 'stack' || b?.kind === 'stack') {
    if (a?.kind !== 'stack') return { ...(b as Extract<Tracked, { kind: 'stack' }>), isCertain: false }
    if (b?.kind !== 'stack') return a.isCertain ? { ...a, isCertain: false } : a
    const isCertain = a.isCertain && b.isCertain
    return { kind: 'stack', low: Math.min(a.low, b.low), high: Math.max(a.high, b.high), isCertain }
  }
  if (a === undefined || b === undefined) return undefined
  return numbers(Math.min(a.low, b.low), Math.max(a.high, b.high))
}

function same(a: Tracked, b: Tracked): boolean {
  if (a === b) return true
  if (a === undefined || b === undefined || a.kind !== b.kind || a.low !== b.low || a.high !== b.high) {
    return false
  }
  return a.kind === 'number' || a.isCertain === (b as typeof a).isCertain
}

/** A value that keeps growing in a loop goes as far as there is. */
function widen(before: Tracked, after: Tracked): Tracked {
  if (after?.kind === 'number') return undefined
  if (after?.kind !== 'stack' || before?.kind !== 'stack') return after
  const low = after.low < before.low ? -FAR : after.low
  return { ...after, low, high: after.high > before.high ? FAR : after.high }
}

/** Visits of a block after which what still changes there is widened. */
const PATIENCE = 4

/** The parts that are locals, by the slots of the loads and stores of them. */
export function stackSlots(flow: ControlFlow, options: StackSlotOptions): ReadonlyMap<number, StackPart> {
  const analysis = new Analysis(flow, options)
  analysis.solve()
  return analysis.parts()
}

class Analysis {
  readonly #flow: ControlFlow
  readonly #options: StackSlotOptions
  readonly #atStart: (Tracked[] | undefined)[]
  /** Bytes of the stack that have to be in memory. */
  readonly #inMemory = new Uint8Array(STACK_BYTES)
  readonly #parts = new Map<number, StackPart>()
  #isOpen = false
  #isRecording = false

  constructor(flow: ControlFlow, options: StackSlotOptions) {
    this.#flow = flow
    this.#options = options
    this.#atStart = flow.blocks.map(() => undefined)
  }

  solve(): void {
    const { blocks } = this.#flow
    const start = new Array<Tracked>(REGISTERS + SLOTS).fill(undefined)
    start[10] = { kind: 'stack', low: 0, high: 0, isCertain: true }
    this.#atStart[0] = start
    const visits = blocks.map(() => 0)
    const isDue = blocks.map((_, number) => number === 0)
    for (let number = 0; number < blocks.length; ) {
      if (!isDue[number]) {
        number++
        continue
      }
      isDue[number] = false
      const block = blocks[number] as Block
      const after = this.#through(block)
      let least = number + 1
      for (const to of successorsOf(block)) {
        if (!this.#arrive(to, after, visits)) continue
        isDue[to] = true
        least = Math.min(least, to)
      }
      number = least
    }
    this.#isRecording = true
    for (const block of blocks) if (this.#atStart[block.number] !== undefined) this.#through(block)
  }

  parts(): ReadonlyMap<number, StackPart> {
    if (this.#isOpen) return new Map()
    const parts = this.#parts
    // Accesses that overlap without being of the same bytes are in memory, and what overlaps with those.
    const owner = new Map<number, StackPart>()
    for (const part of parts.values()) {
      for (let n = 0; n < part.sizeBytes; n++) {
        const other = owner.get(part.offset + n)
        if (other === undefined) owner.set(part.offset + n, part)
        else if (other.offset !== part.offset || other.sizeBytes !== part.sizeBytes) this.#remember(part)
      }
    }
    for (let changed = true; changed; ) {
      changed = false
      for (const [pc, part] of parts) {
        if (!this.#isInMemory(part)) continue
        this.#remember(part)
        parts.delete(pc)
        changed = true
      }
    }
    return parts
  }

  #isInMemory({ offset, sizeBytes }: StackPart): boolean {
    const at = offset + STACK_BYTES
    return this.#inMemory.subarray(at, at + sizeBytes).includes(1)
  }

  #remember({ offset, sizeBytes }: StackPart): void {
    this.#inMemory.fill(1, Math.max(0, offset + STACK_BYTES), Math.max(0, offset + STACK_BYTES + sizeBytes))
  }

  /** Whether the start of a block has become less certain. */
  #arrive(to: number, after: readonly Tracked[], visits: number[]): boolean {
    const there = this.#atStart[to]
    if (there === undefined) {
      this.#atStart[to] = [...after]
      return true
    }
    let changed = false
    const isLate = (visits[to] as number) >= PATIENCE
    for (let n = 0; n < there.length; n++) {
      const joined = join(there[n], after[n])
      if (same(joined, there[n])) continue
      there[n] = isLate ? widen(there[n], joined) : joined
      changed = true
    }
    if (changed) visits[to] = (visits[to] as number) + 1
    return changed
  }

  #through({ number, slots }: Block): Tracked[] {
    const state = [...(this.#atStart[number] as Tracked[])]
    for (const slot of slots) this.#step(state, slot)
    return state
  }

  #step(state: Tracked[], slot: Slot): void {
    const row: Row | undefined = slot.row
    const { dst, src, constant } = slot
    switch (row?.kind) {
      case 'alu':
        state[dst] = arithmetic(
          row,
          state[dst],
          constant === undefined ? state[src] : numbers(slot.imm, slot.imm),
        )
        return
      case 'wide':
        // The addresses of maps are large.
        state[dst] = undefined
        return
      case 'cast':
        state[dst] = state[src]?.kind === 'stack' ? ANYWHERE : undefined
        return
      case 'load':
        state[dst] = this.#load(state, slot, row)
        return
      case 'store':
        this.#store(state, slot, row)
        return
      case 'atomic':
        this.#touch(state, state[dst], slot.offset, row.bits / 8)
        if (state[src]?.kind === 'stack') this.#isOpen = true
        break
      case 'call':
        this.#call(state, slot, row)
        break
    }
    const { writes } = registerUse(slot, this.#options.argumentCount, this.#options.calleeReads)
    for (let n = 0; n < REGISTERS; n++) if ((writes >> n) & 1) state[n] = undefined
  }

  #load(state: readonly Tracked[], slot: Slot, row: Row): Tracked {
    const pointer = state[slot.src]
    const sizeBytes = row.bits / 8
    const isSigned = row.op === 'ldsx'
    const small = isSigned || row.bits > 16 ? undefined : numbers(0, 2 ** row.bits - 1)
    if (pointer?.kind !== 'stack') return small
    const place = this.#place(pointer, slot, sizeBytes)
    if (sizeBytes < 8) return small
    if (place !== undefined && place % 8 === 0) return state[slotAt(place)]
    let found: Tracked
    for (const n of slotsOf(pointer, slot.offset, sizeBytes)) {
      if (state[n]?.kind === 'stack') found = found === undefined ? state[n] : join(found, state[n])
    }
    return found === undefined ? undefined : join(found, undefined)
  }

  #store(state: Tracked[], slot: Slot, row: Row): void {
    const pointer = state[slot.dst]
    const sizeBytes = row.bits / 8
    const value = slot.constant === undefined ? state[slot.src] : undefined
    if (pointer?.kind !== 'stack') {
      if (value?.kind === 'stack') this.#isOpen = true
      return
    }
    // Where else it may have been stored to is not known.
    if (value?.kind === 'stack' && !pointer.isCertain) this.#isOpen = true
    const place = this.#place(pointer, slot, sizeBytes)
    if (place !== undefined && place % 8 === 0 && sizeBytes === 8) {
      state[slotAt(place)] = value
      return
    }
    // A part of a number makes another one of it.
    const kept = value?.kind === 'stack' ? value : undefined
    for (const n of slotsOf(pointer, slot.offset, sizeBytes)) state[n] = join(state[n], kept)
  }

  /** Where an access goes, if that is known and in the stack; notes it. */
  #place(pointer: Extract<Tracked, { kind: 'stack' }>, slot: Slot, sizeBytes: number): number | undefined {
    const offset = pointer.low + slot.offset
    const isExact = pointer.isCertain && pointer.low === pointer.high
    if (isExact && offset >= -STACK_BYTES && offset + sizeBytes <= 0) {
      if (this.#isRecording) this.#parts.set(slot.pc, { offset, sizeBytes })
      return offset
    }
    if (this.#isRecording) {
      this.#remember({ offset, sizeBytes: pointer.high - pointer.low + sizeBytes })
    }
    return undefined
  }

  /** Something reads and writes there that is no load and no store. */
  #touch(state: Tracked[], pointer: Tracked, offset: number, sizeBytes: number): void {
    if (pointer?.kind !== 'stack') return
    if (this.#isRecording) {
      this.#remember({ offset: pointer.low + offset, sizeBytes: pointer.high - pointer.low + sizeBytes })
    }
    for (const n of slotsOf(pointer, offset, sizeBytes)) state[n] = join(state[n], undefined)
  }

  #call(state: Tracked[], slot: Slot, row: Row): void {
    const { reads } = registerUse(slot, this.#options.argumentCount, this.#options.calleeReads)
    const isHelper = row.op !== 'local' && row.op !== 'indirect'
    for (let n = 1; n <= 5; n++) {
      const argument = state[n]
      if (((reads >> n) & 1) !== 0 && argument?.kind === 'stack') {
        if (!isHelper || this.#options.hasCallbacks) this.#isOpen = true
        this.#touch(state, argument, 0, STACK_BYTES)
      }
    }
    for (let n = 1; n <= 5; n++) state[n] = undefined
  }
}

const successorsOf = ({ exit }: Block): readonly number[] =>
  exit.kind === 'none' ? [] : exit.kind === 'goto' ? [exit.to] : [exit.taken, exit.otherwise]

/** The slots, as places in a state, that an access may lie in. */
function* slotsOf(
  pointer: Extract<Tracked, { kind: 'stack' }>,
  offset: number,
  sizeBytes: number,
): Generator<number> {
  const first = Math.max(-STACK_BYTES, pointer.low + offset)
  const end = Math.min(0, pointer.high + offset + sizeBytes)
  for (let n = slotAt(first); first < end && n <= slotAt(end - 1); n++) yield n
}

function arithmetic(row: Row, a: Tracked, b: Tracked): Tracked {
  const { op } = row
  if (row.bits === 32) {
    // No pointer is left of one.
    const result = numberOf(op, 32, a?.kind === 'stack' ? undefined : a, b?.kind === 'stack' ? undefined : b)
    return result?.kind === 'number' && result.low >= 0 ? result : undefined
  }
  if (op === 'mov') return b
  if (a?.kind !== 'stack' && b?.kind !== 'stack') return numberOf(op, 64, a, b)
  if (op.startsWith('mov')) return ANYWHERE
  if (op === 'sub' && a?.kind === 'stack' && b?.kind === 'number') return moved(a, -b.high, -b.low)
  if (op === 'add' && a?.kind === 'stack' && b?.kind === 'number') return moved(a, b.low, b.high)
  if (op === 'add' && b?.kind === 'stack' && a?.kind === 'number') return moved(b, a.low, a.high)
  return ANYWHERE
}

const moved = (pointer: Extract<Tracked, { kind: 'stack' }>, low: number, high: number): Tracked => ({
  ...pointer,
  low: clamp(pointer.low + low),
  high: clamp(pointer.high + high),
})

/** A bound of the result, where there is a small one. */
function numberOf(op: string, bits: 32 | 64, a: Tracked, b: Tracked): Tracked {
  const x = a?.kind === 'number' ? a : undefined
  const y = b?.kind === 'number' ? b : undefined
  const exact = y !== undefined && y.low === y.high && y.low >= 0 ? y.low : undefined
  switch (op) {
    case 'mov':
      return y
    case 'add':
      return x && y && numbers(x.low + y.low, x.high + y.high)
    case 'sub':
      return x && y && numbers(x.low - y.high, x.high - y.low)
    case 'and':
      return exact === undefined ? undefined : numbers(0, exact)
    case 'mod':
      return exact === undefined || exact === 0 ? undefined : numbers(0, exact - 1)
    case 'mul':
      return x && exact !== undefined && x.low >= 0 ? numbers(x.low * exact, x.high * exact) : undefined
    case 'lsh':
      return x && exact !== undefined && exact < 20 && x.low >= 0
        ? numbers(x.low * 2 ** exact, x.high * 2 ** exact)
        : undefined
    case 'rsh':
      if (exact === undefined || exact >= bits) return undefined
      if (x && x.low >= 0) return numbers(Math.floor(x.low / 2 ** exact), Math.floor(x.high / 2 ** exact))
      return numbers(0, 2 ** (bits - exact) - 1)
    default:
      return undefined
  }
}
