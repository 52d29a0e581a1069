/** One function being generated: what is written so far, what it holds, and the choices that all statements share. */
import type { Instruction } from '../../../src/isa/index.ts'
import type { Parameter, Types } from '../fixtures.ts'
import type { Random } from '../random.ts'
import { CONTEXTS, type ContextFields } from './context.ts'
import type { Emitter, Label } from './emitter.ts'
import { type Held, Model, NOTHING, SCALAR } from './held.ts'

export const SLOTS = 12
export const MOV = 0xb7
export const MOV_REGISTER = 0xbf
export const CALL = 0x85
export const EXIT = 0x95
export const JUMP = 0x05
/** Bits of the size field of an opcode, by bytes. */
export const SIZE_BITS: Readonly<Record<number, number>> = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 }

export interface FunctionPlan {
  readonly label: Label
  readonly kind: 'main' | 'local' | 'callback' | 'global'
  /** What r1 to r5 hold when it begins. */
  readonly takes: readonly Held[]
  /** Number of the global function's type. */
  readonly global?: number
  readonly parameters?: readonly Parameter[]
}

/** What all functions of a program share. */
export interface Plan {
  readonly random: Random
  readonly emitter: Emitter
  readonly programType: number
  readonly types: Types
  readonly functions: FunctionPlan[]
  readonly usesBtf: boolean
  /** Statements that may still be written: the program's size. */
  budget: number
}

export class Scene {
  readonly plan: Plan
  readonly self: FunctionPlan
  model = new Model(SLOTS)
  /** Registers and slots that a loop around counts on. */
  readonly pinned = new Set<number>()
  readonly pinnedSlots = new Set<number>()
  depth = 0
  loopDepth = 0

  constructor(plan: Plan, self: FunctionPlan) {
    this.plan = plan
    this.self = self
    self.takes.forEach((held, i) => {
      this.model.registers[i + 1] = held
    })
  }

  get random(): Random {
    return this.plan.random
  }

  get emitter(): Emitter {
    return this.plan.emitter
  }

  get fields(): ContextFields {
    return CONTEXTS[this.plan.programType] as ContextFields
  }

  emit(fields: Partial<Instruction> & { opcode: number }): void {
    this.emitter.emit(fields)
  }

  held(register: number): Held {
    return register === 10 ? { kind: 'stack', offset: 0 } : (this.model.registers[register] as Held)
  }

  set(register: number, held: Held): void {
    this.model.registers[register] = held
  }

  registersOf(...kinds: readonly Held['kind'][]): number[] {
    const found: number[] = []
    for (let i = 0; i < 10; i++) if (kinds.includes((this.model.registers[i] as Held).kind)) found.push(i)
    return found
  }

  /** A register that may be written over; numbers are preferred to pointers. */
  target(...not: readonly number[]): number {
    const free = (i: number) => !this.pinned.has(i) && !not.includes(i)
    const dull = this.registersOf('nothing', 'scalar').filter(free)
    if (dull.length > 0 && this.random.chance(0.93)) return this.random.pick(dull)
    const any = [0, 1, 2, 3, 4, 5, 7, 8, 9].filter(free)
    return any.length > 0 ? this.random.pick(any) : 0
  }

  /** A register that holds a number, made if there is none. */
  scalar(...not: readonly number[]): number {
    const known = this.registersOf('scalar').filter((i) => !not.includes(i))
    if (known.length > 0 && this.random.chance(0.97)) return this.random.pick(known)
    const made = this.target(...not)
    this.emit({ opcode: MOV, dst: made, imm: this.random.immediate() })
    this.set(made, SCALAR)
    return made
  }

  /** A number that may be changed. */
  changeable(...not: readonly number[]): number {
    const known = this.registersOf('scalar').filter((i) => !not.includes(i) && !this.pinned.has(i))
    if (known.length > 0 && this.random.chance(0.95)) return this.random.pick(known)
    const made = this.target(...not)
    if (this.held(made).kind !== 'scalar') {
      this.emit({ opcode: MOV, dst: made, imm: this.random.immediate() })
      this.set(made, SCALAR)
    }
    return made
  }

  move(dst: number, src: number): void {
    if (dst === src) return
    this.emit({ opcode: MOV_REGISTER, dst, src })
    this.set(dst, this.held(src))
  }

  setNumber(dst: number, value: number): void {
    this.emit({ opcode: MOV, dst, imm: value })
    this.set(dst, SCALAR)
  }

  stackPointer(dst: number, offset: number): void {
    this.emit({ opcode: MOV_REGISTER, dst, src: 10 })
    if (offset !== 0) this.emit({ opcode: 0x07, dst, imm: offset })
    this.set(dst, { kind: 'stack', offset })
  }

  call(id: number): void {
    this.emit({ opcode: CALL, imm: id })
    this.afterCall(SCALAR)
  }

  /** What a call leaves: r0, and nothing in r1 to r5. */
  afterCall(returned: Held): void {
    this.set(0, returned)
    for (let i = 1; i <= 5; i++) this.set(i, NOTHING)
  }

  /** Packet pointers are of no use after a helper that may have moved the packet. */
  forgetPackets(): void {
    const forget = (held: Held): Held =>
      held.kind === 'packet' || held.kind === 'packetEnd' || held.kind === 'packetMeta' ? NOTHING : held
    this.model.registers = this.model.registers.map(forget)
    this.model.slots = this.model.slots.map(forget)
  }

  /** Something wrote to the stack from fp+`offset` on. */
  wroteStack(offset: number, bytes: number, held: Held = SCALAR): void {
    for (let at = offset; at < offset + bytes; at++) {
      const slot = Math.trunc((-at - 1) / 8)
      if (at < 0 && slot < SLOTS) this.model.slots[slot] = held
    }
  }

  /** Place for `bytes` on the stack that no loop counts on: its offset. */
  scratch(bytes: number): number {
    const slots = Math.ceil(bytes / 8)
    for (let attempt = 0; attempt < 8; attempt++) {
      const last = this.random.between(slots - 1, SLOTS - 1)
      let isFree = true
      for (let i = last - slots + 1; i <= last; i++) if (this.pinnedSlots.has(i)) isFree = false
      if (isFree) return -8 * (last + 1)
    }
    // Below what is tracked.
    return -8 * (SLOTS + slots)
  }
}
