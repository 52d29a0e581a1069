/**
 * Follows a run through the graph of the walk that proved its program, and holds everything that the machine has
 * against what the proof claimed there.
 *
 * How a run is covered, and what that makes of pruning:
 *
 * - On the way that the walk itself took, each claim was computed from the one before, so the run must be in it: every
 *   register and slot of every frame (`all`).
 * - Where a path was cut, the run goes on from the saved step that covers it. That one need only admit what may still be
 *   read; and of scalars whose exact value did not matter, nothing. If it happens to admit all that is live, and linked
 *   registers are linked in the run, too, the claims computed from it hold for the run as well (`live`).
 * - Else (`relied on`) what holds is what the rest of the proof relied on: every live pointer is the pointer that it is
 *   said to be, bytes known to be zero are, and at saved steps each scalar that was marked precise is within its claim.
 *   That precision was not forgotten shows in that the run finds a way at all: where the walk took only one side of a
 *   branch, so must the run.
 *
 * More than one step may fit (both sides of a branch go to the same place; a helper may return this or that), so a set
 * of steps is followed; at least one must fit.
 */

import { accessSize, CLASS, classOf, MODE, modeOf } from '../../src/isa/index.ts'
import { BASE, BYTE, baseOf, byteAt } from '../../src/verifier/domain/kinds.ts'
import { ADD_CONST, ADD_CONST32, type Register } from '../../src/verifier/domain/register.ts'
import { EMPTY_SLOT, isSpill, type Slot } from '../../src/verifier/state/state.ts'
import { admitsLow, admitsNumber, admitsPointer, type Objects, regionOf } from './claims.ts'
import type { FrameClaim, Walk, WalkNode } from './walk.ts'

/** What there is in the world of a run, beside the frames. */
export type WorldObjects = Omit<Objects, 'framePointer'>

type Strength = 'all' | 'live' | 'relied on'

const ORDER: Readonly<Record<Strength, number>> = { 'relied on': 0, live: 1, all: 2 }

interface Position {
  readonly node: WalkNode
  readonly strength: Strength
  /** Slots that nothing reads any more, as far as a cut of the path relied on it: what is claimed of them need not hold. */
  readonly unread: ReadonlySet<Slot>
}

const NONE: ReadonlySet<Slot> = new Set()

/** A frame of the run. */
interface RunFrame {
  /** r10. */
  readonly top: bigint
  /** As they were before the call that is being made; for the current frame, as they are. */
  registers: BigUint64Array
  readonly isCallback: boolean
  /** Slot of the call. */
  readonly callsite: number
}

/** A walk being followed: the program's, or that of a global function. */
interface Activation {
  positions: Position[]
  /** Depth of its first frame. */
  readonly base: number
}

/** What the machine holds before an instruction. */
export interface Machine {
  readonly pc: number
  /** Frames below the current one. */
  readonly depth: number
  readonly registers: BigUint64Array
  /** 512 bytes below r10 of a frame. */
  stack(top: bigint): DataView
}

export interface Violation {
  readonly kind: 'path' | 'value' | 'access'
  readonly instruction: number
  readonly text: string
}

const EXIT = 0x95

export class Follower {
  readonly #walk: Walk
  readonly #world: WorldObjects
  readonly #objects: Objects
  readonly #activations: Activation[] = []
  readonly #frames: RunFrame[] = []
  #last: { pc: number; depth: number } | undefined
  violation: Violation | undefined
  valuesHeld = 0

  constructor(walk: Walk, world: WorldObjects) {
    this.#walk = walk
    this.#world = world
    const framePointer = (frame: number): bigint | undefined => this.#frames[this.#base + frame]?.top
    this.#objects = {
      ...world,
      get packet() {
        return world.packet
      },
      framePointer,
    }
  }

  get #base(): number {
    return this.#activations.at(-1)?.base ?? 0
  }

  /** The machine stands before an instruction; false: something is wrong, see `violation`. */
  observe(machine: Machine): boolean {
    if (this.violation !== undefined) return false
    const candidates = this.#candidates(machine)
    if (candidates === undefined) return false
    this.#frames[machine.depth]!.registers = machine.registers
    const next = this.#fitting(candidates, machine)
    if (next === undefined) return false
    this.#activation.positions = next
    this.#last = { pc: machine.pc, depth: machine.depth }
    return this.#accessIsInside(machine)
  }

  get #activation(): Activation {
    return this.#activations.at(-1) as Activation
  }

  #fail(kind: Violation['kind'], instruction: number, text: string): undefined {
    this.violation ??= { kind, instruction, text }
    return undefined
  }

  /** Steps of the walk that may come now, before values are looked at. */
  #candidates(machine: Machine): Position[] | undefined {
    const { pc, depth } = machine
    const last = this.#last
    if (last === undefined) {
      this.#push(machine, false, -1)
      return this.#enter(0, machine)
    }
    const program = this.#walk.proof.program
    const insn = program[last.pc]!
    // A function, and the callback of a helper, may have ended; more than one never does between two instructions.
    let positions = this.#activation.positions
    let isBackInHelper = false
    const ended = last.depth
    const hasEnded = insn.opcode === EXIT || (classOf(insn.opcode) === CLASS.LD && depth < last.depth)
    if (hasEnded) {
      const frame = this.#frames.pop() as RunFrame
      if (frame.isCallback) {
        isBackInHelper = true
        const back = this.#follow(positions, frame.callsite, ended - 1)
        if (back === undefined) return undefined
        // The helper was given what the caller's registers held at the call.
        const at = {
          ...machine,
          pc: frame.callsite,
          depth: ended - 1,
          registers: this.#frames.at(-1)!.registers,
        }
        const fitting = this.#fitting(back, at)
        if (fitting === undefined) return undefined
        positions = fitting
      } else if (ended === this.#base) {
        this.#activations.pop()
        positions = this.#activation.positions
      }
    }
    if (depth > this.#frames.length - 1) {
      const callsite = isBackInHelper ? (positions[0] as Position).node.index : last.pc
      const call = program[callsite]!
      const isCallback = !(call.opcode === 0x85 && call.src === 1)
      this.#push(machine, isCallback, callsite)
      const subprogram = isCallback ? -1 : this.#walk.proof.subprogramAt(callsite + call.imm + 1)
      if (subprogram >= 0 && this.#walk.proof.subprograms[subprogram]!.isGlobal) {
        this.#activation.positions = positions
        return this.#enter(subprogram, machine)
      }
    }
    return this.#follow(positions, pc, depth)
  }

  #push(machine: Machine, isCallback: boolean, callsite: number): void {
    this.#frames.push({
      top: machine.registers[10] as bigint,
      registers: machine.registers,
      isCallback,
      callsite,
    })
  }

  #enter(subprogram: number, machine: Machine): Position[] | undefined {
    const root = this.#walk.roots.get(subprogram)
    if (root === undefined) return this.#fail('path', 0, `function ${subprogram} was never walked`)
    this.#activations.push({ positions: [], base: machine.depth })
    // A global function takes memory wherever it is, of which the caller vouched for so many bytes.
    if (subprogram > 0) {
      const { registers } = root.frames[0] as FrameClaim
      for (let i = 1; i <= 5; i++) {
        const r = registers[i] as Register
        const value = machine.registers[i] as bigint
        if (baseOf(r.kind) !== BASE.MEM || value === 0n) continue
        if (!this.#world.isAccessible(value, r.memSize)) {
          return this.#fail(
            'access',
            machine.pc,
            `r${i} of function ${subprogram} is ${hex(value)}, which is not ${r.memSize} bytes of memory`,
          )
        }
        this.#world.memory.set(value, Math.max(this.#world.memory.get(value) ?? 0, r.memSize))
      }
    }
    return [{ node: root, strength: 'all', unread: NONE }]
  }

  #follow(positions: readonly Position[], pc: number, depth: number): Position[] | undefined {
    const found: Position[] = []
    for (const { node, strength, unread } of positions) {
      for (const next of node.next) {
        if (next.index === pc && next.frames.length === depth - this.#base + 1)
          found.push({ node: next, strength, unread: unreadNext(this.#walk.proof, node, next, unread) })
      }
    }
    if (found.length > 0) return found
    const from = positions.map(({ node }) => node.index)[0] ?? -1
    const strengths = positions.map(({ strength }) => strength).join(', ')
    return this.#fail('path', from, `the walk does not go from ${from} to ${pc} (${strengths})`)
  }

  /** Those of the candidates that admit what the machine holds, moved on to what covers them. */
  #fitting(candidates: readonly Position[], machine: Machine): Position[] | undefined {
    /** By step: several ways may lead to one, of which that with the strongest claims counts. */
    const fitting = new Map<WalkNode, Position>()
    let problem = ''
    const pending = [...candidates]
    for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
      const wrong = this.#disagreement(next, machine)
      if (wrong !== undefined) {
        problem ||= `${wrong} (${next.strength})`
        continue
      }
      const here = this.#settled(next, machine)
      if (typeof here === 'string') {
        problem ||= here
        continue
      }
      const known = fitting.get(here.node)
      if (known !== undefined && ORDER[known.strength] >= ORDER[here.strength]) continue
      fitting.set(here.node, here)
      // Arithmetic may be looked at once more, from a state in which one of two values is known.
      for (const again of here.node.next) {
        if (again.index === here.node.index && isArithmetic(this.#walk.proof.program[again.index]!.opcode)) {
          pending.push({ ...here, node: again })
        }
      }
    }
    if (fitting.size > 0) return [...fitting.values()]
    return this.#fail('value', machine.pc, problem)
  }

  /** Where a run stands that this position admits, and how much may be expected of it from here on. */
  #settled(position: Position, machine: Machine): Position | string {
    const { node, strength } = position
    if (node.coveredBy === undefined) {
      if (strength !== 'relied on') return position
      const live: Position = { ...position, strength: 'live' }
      return this.#disagreement(live, machine) === undefined ? live : position
    }
    const unread = unreadAfterCut(position, node.coveredBy)
    const live: Position = { node: node.coveredBy, strength: 'live', unread }
    if (this.#disagreement(live, machine) === undefined) return live
    const relied: Position = { node: node.coveredBy, strength: 'relied on', unread }
    const wrong = this.#disagreement(relied, machine)
    return wrong === undefined ? relied : `cut at a state that does not cover it: ${wrong}`
  }

  /** The first thing that does not fit, in words. */
  #disagreement({ node, strength, unread }: Position, machine: Machine): string | undefined {
    const { proof } = this.#walk
    const count = node.frames.length
    for (let f = 0; f < count; f++) {
      const claim = node.frames[f] as FrameClaim
      const frame = this.#frames[this.#base + f]
      if (frame === undefined) return `no frame ${f}`
      const registers = f === count - 1 ? machine.registers : frame.registers
      const at = f === count - 1 ? node.index : (node.frames[f + 1] as FrameClaim).callsite
      const live = strength === 'all' ? 0x7ff : (proof.notes.liveRegisters[at] as number) | (1 << 10)
      for (let i = 0; i < 11; i++) {
        if ((live & (1 << i)) === 0) continue
        const r = claim.registers[i] as Register
        if (r.kind === BASE.NOT_INIT) continue
        const value = registers[i] as bigint
        if (r.kind === BASE.SCALAR) {
          if (strength === 'relied on' && node.saved?.frames[f]?.regs[i]?.precise !== true) continue
          this.valuesHeld++
          if (!admitsNumber(r, value)) return `frame ${f}: r${i} is ${hex(value)}, not ${describe(r)}`
        } else {
          this.valuesHeld++
          if (!admitsPointer(r, value, this.#objects)) {
            return `frame ${f}: r${i} is ${hex(value)}, not ${describe(r)}`
          }
        }
      }
      const stack = machine.stack(frame.top)
      for (let i = 0; i < claim.stack.length; i++) {
        if (unread.has(claim.stack[i] as Slot)) continue
        const wrong = this.#slotDisagreement(node, f, i, claim.stack[i] as Slot, stack, strength)
        if (wrong !== undefined) return `frame ${f}: fp-${8 * (i + 1)}: ${wrong}`
      }
    }
    return strength === 'relied on' ? undefined : this.#unlinked(node, machine, strength, unread)
  }

  #slotDisagreement(
    node: WalkNode,
    f: number,
    i: number,
    slot: Slot,
    stack: DataView,
    strength: Strength,
  ): string | undefined {
    const { bytes } = slot
    if (bytes === 0 || bytes === 0x2222_2222) return undefined
    const start = 512 - 8 * (i + 1)
    for (let n = 0; n < 8; n++) {
      // Byte n of what is tracked is the one that many below the slot's top.
      if (byteAt(bytes, n) !== BYTE.ZERO) continue
      this.valuesHeld++
      if (stack.getUint8(start + 7 - n) !== 0) return `byte ${7 - n} is not 0`
    }
    if (!isSpill(slot) || byteAt(bytes, 7) !== BYTE.SPILL) return undefined
    let size = 1
    for (let n = 7; n > 0 && byteAt(bytes, n - 1) === BYTE.SPILL; n--) size++
    const r = slot.register
    const whole = stack.getBigUint64(start, true)
    if (r.kind !== BASE.SCALAR) {
      this.valuesHeld++
      return size !== 8 || admitsPointer(r, whole, this.#objects)
        ? undefined
        : `${hex(whole)} is not ${describe(r)}`
    }
    if (strength === 'relied on' && node.saved?.frames[f]?.stack[i]?.register.precise !== true)
      return undefined
    this.valuesHeld++
    const low = BigInt.asUintN(size * 8, whole)
    return admitsLow(r, low, size) ? undefined : `${hex(low)} (${size} bytes) is not ${describe(r)}`
  }

  /** Registers with the same id hold the same, or what lies a known distance away. */
  #unlinked(
    node: WalkNode,
    machine: Machine,
    strength: Strength,
    unread: ReadonlySet<Slot>,
  ): string | undefined {
    const links = new Links()
    const count = node.frames.length
    for (let f = 0; f < count; f++) {
      const claim = node.frames[f] as FrameClaim
      const frame = this.#frames[this.#base + f] as RunFrame
      const registers = f === count - 1 ? machine.registers : frame.registers
      const at = f === count - 1 ? node.index : (node.frames[f + 1] as FrameClaim).callsite
      const live = strength === 'all' ? 0x3ff : (this.#walk.proof.notes.liveRegisters[at] as number)
      for (let i = 0; i < 10; i++) {
        const r = claim.registers[i] as Register
        if (!isLinkable(r) || (live & (1 << i)) === 0) continue
        const wrong = links.add(r, registers[i] as bigint, f, `r${i}`)
        if (wrong !== undefined) return wrong
      }
      for (let i = 0; i < claim.stack.length; i++) {
        const slot = claim.stack[i] as Slot
        // Only what was spilled whole; the rest is a part of it.
        if ((slot.bytes & 0xf) !== BYTE.SPILL || !isLinkable(slot.register) || unread.has(slot)) continue
        const value = machine.stack(frame.top).getBigUint64(512 - 8 * (i + 1), true)
        const wrong = links.add(slot.register, value, f, `fp-${8 * (i + 1)}`)
        if (wrong !== undefined) return wrong
      }
    }
    return undefined
  }

  /** A load or store stays in the object that its pointer is said to point into. */
  #accessIsInside(machine: Machine): boolean {
    const insn = this.#walk.proof.program[machine.pc]!
    const kind = classOf(insn.opcode)
    if (kind !== CLASS.LDX && kind !== CLASS.ST && kind !== CLASS.STX) return true
    const isAtomicLoad = kind === CLASS.STX && modeOf(insn.opcode) === MODE.ATOMIC && insn.imm === 0x100
    const n = kind === CLASS.LDX || isAtomicLoad ? insn.src : insn.dst
    const value = machine.registers[n] as bigint
    const address = value + BigInt(insn.offset)
    const end = address + BigInt(accessSize(insn.opcode))
    for (const { node } of this.#activation.positions) {
      const r = (node.frames.at(-1) as FrameClaim).registers[n] as Register
      const region = r.kind === BASE.SCALAR ? undefined : regionOf(r, value, this.#objects)
      if (region === null) return true
      if (region === undefined) continue
      if (address >= region.start && end <= region.start + BigInt(region.sizeBytes)) return true
    }
    this.#fail('access', machine.pc, `${hex(address)} is outside of what r${n} points to`)
    return false
  }
}

/**
 * Slots of the saved step that covers a cut one which need not hold: those that were forgotten once all that follows was
 * walked, since nothing reads them, and those that already did not hold where the path was cut.
 */
function unreadAfterCut({ node, unread }: Position, target: WalkNode): ReadonlySet<Slot> {
  const found = new Set<Slot>()
  target.frames.forEach(({ stack }, f) => {
    stack.forEach((slot, i) => {
      const wasForgotten = target.saved?.frames[f]?.stack[i] === EMPTY_SLOT && slot !== EMPTY_SLOT
      const before = node.frames[f]?.stack[i]
      if (wasForgotten || (before !== undefined && unread.has(before))) found.add(slot)
    })
  })
  return found
}

/**
 * A branch writes no slot, but tells more of those that hold what it compares; a small store leaves the rest of its slot
 * as it was: they stay unread.
 */
function unreadNext(
  proof: Walk['proof'],
  node: WalkNode,
  next: WalkNode,
  unread: ReadonlySet<Slot>,
): ReadonlySet<Slot> {
  if (unread.size === 0) return unread
  const { opcode } = proof.program[node.index]!
  const kind = classOf(opcode)
  const isBranch = kind === CLASS.JMP || kind === CLASS.JMP32
  const isSmallStore = (kind === CLASS.ST || kind === CLASS.STX) && accessSize(opcode) < 8
  if (!(isBranch || isSmallStore) || node.frames.length !== next.frames.length) return unread
  const found = new Set(unread)
  next.frames.forEach(({ stack }, f) => {
    stack.forEach((slot, i) => {
      const before = node.frames[f]?.stack[i]
      if (before !== undefined && unread.has(before)) found.add(slot)
    })
  })
  return found
}

/** What was seen for each id, less the known distance. */
class Links {
  readonly #seen = new Map<number, { value: bigint; is32: boolean; frame: number; name: string }>()

  /** In words, if it is not what the others with its id are. */
  add(r: Register, value: bigint, frame: number, name: string): string | undefined {
    const isNumber = r.kind === BASE.SCALAR
    const is32 = isNumber && (r.id & ADD_CONST32) !== 0
    const hasDistance = !isNumber || (r.id & ADD_CONST) !== 0
    const id = isNumber ? r.id & ~ADD_CONST : r.id
    const own = hasDistance ? BigInt.asUintN(64, value - BigInt(r.off)) : value
    const other = this.#seen.get(id)
    if (other === undefined) {
      this.#seen.set(id, { value: own, is32, frame, name })
      return undefined
    }
    const bits = is32 || other.is32 ? 32 : 64
    if (BigInt.asUintN(bits, own) === BigInt.asUintN(bits, other.value)) return undefined
    return `${name} of frame ${frame} is not what ${other.name} of frame ${other.frame} is, though both have id ${id}`
  }
}

const isArithmetic = (opcode: number): boolean =>
  classOf(opcode) === CLASS.ALU || classOf(opcode) === CLASS.ALU64
const isPacket = (r: Register): boolean => r.kind === BASE.PACKET || r.kind === BASE.PACKET_META
const isLinkable = (r: Register): boolean => r.id !== 0 && (r.kind === BASE.SCALAR || isPacket(r))

const hex = (value: bigint): string => `0x${value.toString(16)}`

function describe(r: Register): string {
  const numbers = `(${hex(r.value)}; ${hex(r.mask)}) u[${r.umin}, ${r.umax}] s[${r.smin}, ${r.smax}] u32[${r.u32min}, ${r.u32max}] s32[${r.s32min}, ${r.s32max}]`
  return r.kind === BASE.SCALAR
    ? numbers
    : `kind ${r.kind.toString(16)} off ${r.off} range ${r.range} frame ${r.frame} id ${r.id} ${numbers}`
}
