/**
 * Which exact values the proof relied on.
 *
 * While a path is walked every known value is used at will. Where it mattered (an offset, a decided branch, a size),
 * the walk is retraced from there to the value's origin, and the registers and slots that it came from are marked
 * precise in the saved states along the way. A later path may then be cut at a saved state although its imprecise
 * values differ. Marks in the current, unsaved state mean nothing.
 *
 * Source: __mark_chain_precision and backtrack_insn in kernel/bpf/verifier.c of Linux 6.18.
 */
import {
  CALL_SOURCE,
  CLASS,
  classOf,
  codeOf,
  type Instruction,
  MODE,
  modeOf,
  SOURCE,
  sourceOf,
} from '../../isa/index.ts'
import { BASE } from '../domain/kinds.ts'
import type { Register } from '../domain/register.ts'
import { callsSyncCallback } from '../flow/graph.ts'
import { isLocalCall, MAX_FRAMES } from '../flow/subprograms.ts'
import type { WantedPlaces } from '../log/backtracking.ts'
import type { Proof } from '../proof.ts'
import { EFAULT } from '../refusal.ts'
import { type Frame, type HistoryEntry, isScalarSpill, type LinkedPlace, Slot, type State } from './state.ts'

const ARGUMENT_MASK = 0x3e
const TAIL_CALL = 12

/** Registers and stack slots, by frame, whose origin is looked for: bit sets, that of the slots in two halves. */
class Wanted {
  frame = 0
  readonly registers = [0, 0, 0, 0, 0, 0, 0, 0]
  readonly #low = [0, 0, 0, 0, 0, 0, 0, 0]
  readonly #high = [0, 0, 0, 0, 0, 0, 0, 0]

  /** Nothing is wanted, in a state whose innermost frame is this. */
  begin(frame: number): this {
    this.frame = frame
    for (let f = 0; f < MAX_FRAMES; f++) {
      this.registers[f] = 0
      this.#low[f] = 0
      this.#high[f] = 0
    }
    return this
  }

  get isEmpty(): boolean {
    for (let f = 0; f <= this.frame; f++) {
      if (this.registers[f] !== 0 || this.#low[f] !== 0 || this.#high[f] !== 0) return false
    }
    return true
  }

  places(frame: number): WantedPlaces {
    return {
      registers: this.registers[frame] as number,
      slotsLow: this.#low[frame] as number,
      slotsHigh: this.#high[frame] as number,
    }
  }

  hasSlots(frame: number): boolean {
    return this.#low[frame] !== 0 || this.#high[frame] !== 0
  }

  hasSlot(frame: number, slot: number): boolean {
    const half = (slot < 32 ? this.#low : this.#high)[frame] as number
    return (half & (1 << (slot & 31))) !== 0
  }

  addSlot(frame: number, slot: number): void {
    const half = slot < 32 ? this.#low : this.#high
    half[frame]! |= 1 << (slot & 31)
  }

  removeSlot(frame: number, slot: number): void {
    const half = slot < 32 ? this.#low : this.#high
    half[frame]! &= ~(1 << (slot & 31))
  }

  has(register: number): boolean {
    return ((this.registers[this.frame] as number) & (1 << register)) !== 0
  }

  add(register: number): void {
    this.registers[this.frame]! |= 1 << register
  }

  remove(register: number): void {
    this.registers[this.frame]! &= ~(1 << register)
  }
}

/** For the way back that is gone at the moment: there is never more than one. */
const scratch = new Wanted()

/** Backtracking met something that it cannot follow: all scalars become precise. */
const GIVE_UP = false
const WENT_ON = true

const isWanted = (wanted: Wanted, { frame, isRegister, place }: LinkedPlace): boolean =>
  isRegister ? ((wanted.registers[frame] as number) & (1 << place)) !== 0 : wanted.hasSlot(frame, place)

function syncLinked(wanted: Wanted, entry: HistoryEntry | undefined): void {
  const linked = entry?.linked
  if (linked === undefined || !linked.some((place) => isWanted(wanted, place))) return
  for (const { frame, isRegister, place } of linked) {
    if (isRegister) wanted.registers[frame]! |= 1 << place
    else wanted.addSlot(frame, place)
  }
}

const broken = (p: Proof, what: string): never => {
  throw p.refuse(EFAULT, `verifier bug: ${what}`)
}

function stepBack(
  p: Proof,
  index: number,
  next: number,
  entry: HistoryEntry | undefined,
  wanted: Wanted,
): boolean {
  if (p.insn(index).opcode !== 0) {
    p.backtrackingLog?.instruction(wanted.frame, wanted.places(wanted.frame), index)
  }
  syncLinked(wanted, entry)
  const went = stepBackOver(p, index, next, entry, wanted)
  syncLinked(wanted, entry)
  return went
}

function stepBackOver(
  p: Proof,
  index: number,
  next: number,
  entry: HistoryEntry | undefined,
  wanted: Wanted,
): boolean {
  const insn = p.insn(index)
  if (insn.opcode === 0) return WENT_ON
  const { opcode, dst, src } = insn
  const code = codeOf(opcode)
  const isRegisterForm = sourceOf(opcode) === SOURCE.X
  const kind = classOf(opcode)
  const isAtomicLoad = kind === CLASS.STX && modeOf(opcode) === MODE.ATOMIC && insn.imm === 0x100
  switch (isAtomicLoad ? CLASS.LDX : kind) {
    case CLASS.ALU:
    case CLASS.ALU64:
      if (!wanted.has(dst)) return WENT_ON
      if (code === 0xd0 || code === 0x80) return WENT_ON
      if (code === 0xb0) wanted.remove(dst)
      if (isRegisterForm && src !== 10) wanted.add(src)
      return WENT_ON
    case CLASS.LDX:
      if (!wanted.has(dst)) return WENT_ON
      wanted.remove(dst)
      if (entry !== undefined && entry.stackSlot >= 0) wanted.addSlot(entry.stackFrame, entry.stackSlot)
      return WENT_ON
    case CLASS.STX:
    case CLASS.ST: {
      // A scalar is no address: this was a difference of pointers.
      if (wanted.has(dst)) return GIVE_UP
      if (entry === undefined || entry.stackSlot < 0) return WENT_ON
      if (!wanted.hasSlot(entry.stackFrame, entry.stackSlot)) return WENT_ON
      wanted.removeSlot(entry.stackFrame, entry.stackSlot)
      if (kind === CLASS.STX) wanted.add(src)
      return WENT_ON
    }
    case CLASS.LD:
      if (leavesFunction(insn, index, next)) {
        // It left the function, with 0.
        wanted.remove(0)
        if (wanted.frame === 7) return broken(p, 'subprog enter from frame 7')
        wanted.frame++
        return WENT_ON
      }
      if (!wanted.has(dst)) return WENT_ON
      wanted.remove(dst)
      return modeOf(opcode) !== MODE.IND && modeOf(opcode) !== MODE.ABS
    default:
      break
  }
  const mask = wanted.registers[wanted.frame] as number
  if (isLocalCall(insn)) {
    const callee = p.subprogramAt(index + insn.imm + 1)
    if (p.subprograms[callee]!.isGlobal) {
      if (mask & ARGUMENT_MASK) return broken(p, `global subprog unexpected regs ${mask.toString(16)}`)
      wanted.remove(0)
      return WENT_ON
    }
    if (mask & ~ARGUMENT_MASK) return broken(p, `static subprog unexpected regs ${mask.toString(16)}`)
    if (wanted.hasSlots(wanted.frame)) return broken(p, 'static subprog leftover stack slots')
    wanted.registers[wanted.frame] = 0
    if (wanted.frame === 0) return broken(p, 'subprog exit from frame 0')
    wanted.registers[wanted.frame - 1]! |= mask & ARGUMENT_MASK
    wanted.frame--
    return WENT_ON
  }
  if (code === 0x80 && callsSyncCallback(p, insn) && index !== next - 1) {
    if (mask & ~ARGUMENT_MASK) return broken(p, `callback unexpected regs ${mask.toString(16)}`)
    if (wanted.hasSlots(wanted.frame)) return broken(p, 'callback leftover stack slots')
    wanted.registers[wanted.frame] = 0
    if (wanted.frame === 0) return broken(p, 'subprog exit from frame 0')
    wanted.frame--
    return WENT_ON
  }
  if (code === 0x80) {
    if (insn.src === CALL_SOURCE.KFUNC && insn.imm === 0) return GIVE_UP
    wanted.remove(0)
    if ((wanted.registers[wanted.frame] as number) & ARGUMENT_MASK) {
      return broken(p, `backtracking call unexpected regs ${mask.toString(16)}`)
    }
    if (insn.src === CALL_SOURCE.HELPER && insn.imm === TAIL_CALL && index !== next - 1) {
      if (wanted.frame === 7) return broken(p, 'subprog enter from frame 7')
      wanted.frame++
    }
    return WENT_ON
  }
  if (code === 0x90) {
    // What a helper was given goes on mattering while it calls back: bpf_loop counts by it.
    const isCallback = next >= 0 && p.notes.callsCallback[next] === 1
    if (!isCallback && (wanted.registers[wanted.frame] as number) & ARGUMENT_MASK) {
      return broken(p, `backtracking exit unexpected regs ${mask.toString(16)}`)
    }
    const returnsPrecise = next - 1 >= 0 && isLocalCall(p.insn(next - 1)) && wanted.has(0)
    wanted.remove(0)
    if (wanted.frame === 7) return broken(p, 'subprog enter from frame 7')
    wanted.frame++
    if (returnsPrecise) wanted.add(0)
    return WENT_ON
  }
  if (isRegisterForm && (wanted.has(dst) || wanted.has(src))) {
    if (entry === undefined || !entry.srcIsStack) wanted.add(src)
    if (entry === undefined || !entry.dstIsStack) wanted.add(dst)
  }
  return WENT_ON
}

/** A legacy packet load that failed, where its function goes back to a caller. */
const leavesFunction = (insn: Instruction, index: number, next: number): boolean =>
  (modeOf(insn.opcode) === MODE.ABS || modeOf(insn.opcode) === MODE.IND) && next !== index + 1

const preciseCopy = (register: Register): Register => {
  const copy = register.copy()
  copy.precise = true
  return copy
}

/** The big hammer: every scalar of every saved state on this path. */
export function markAllPrecise(p: Proof, start: State): void {
  p.backtrackingLog?.givesUp(start.currentIndex)
  for (let state = start.parent; state !== undefined; state = state.parent) {
    state.mapRegisters((r, frame, place) => {
      if (r.kind !== BASE.SCALAR || r.precise) return r
      p.backtrackingLog?.forced(frame, place >= 0 ? `r${place}` : `fp${place * 8}`)
      return preciseCopy(r)
    })
  }
}

/** Forget marks that were inherited: only what follows from here on counts. */
export function markAllImprecise(state: State): void {
  state.mapRegisters((r) => {
    if (r.kind !== BASE.SCALAR || !r.precise) return r
    const copy = r.copy()
    copy.precise = false
    return copy
  })
}

/** Marks wanted slots of a saved frame; what is marked already, or no scalar, is wanted no more. */
function markSlots(frame: Frame, f: number, wanted: Wanted): boolean {
  let changed = false
  for (let i = 0; i < 64; i++) {
    if (!wanted.hasSlot(f, i)) continue
    const slot = frame.stack[i]
    if (slot === undefined || !isScalarSpill(slot) || slot.register.precise) wanted.removeSlot(f, i)
    else {
      frame.stack[i] = new Slot(slot.bytes, preciseCopy(slot.register))
      changed = true
    }
  }
  return changed
}

/** Classes of instructions that do nothing but to their target register, or to the memory it points to. */
const SIMPLE_CLASSES =
  (1 << CLASS.ALU) | (1 << CLASS.ALU64) | (1 << CLASS.LDX) | (1 << CLASS.ST) | (1 << CLASS.STX)

/** Whether an instruction of which the history says nothing may change what is wanted: most do not. */
const mayMatter = ({ opcode, dst }: Instruction, wanted: Wanted): boolean =>
  wanted.has(dst) || ((SIMPLE_CLASSES >> classOf(opcode)) & 1) === 0

/** Marks what the registers and slots in `wanted` came from; true if any mark is new. */
function retrace(p: Proof, start: State, wanted: Wanted): boolean {
  if (wanted.isEmpty) return false
  const isLogged = p.backtrackingLog !== undefined
  let changed = false
  let state = start
  let first = state.firstInstruction
  let last = start.instruction
  let next = -1
  let skipFirst = true
  for (;;) {
    // What is left of the state's history.
    let entry = state.history
    p.backtrackingLog?.state(wanted.frame, last, first, next)
    if (last < 0) {
      // The beginning of a function that is verified on its own: its arguments are given.
      const frame = state.frames[0]!
      const mask = wanted.registers[wanted.frame] as number
      if (
        state.frames.length === 1 &&
        frame.subprogram > 0 &&
        frame.callsite === -1 &&
        !wanted.hasSlots(0) &&
        (mask & ~ARGUMENT_MASK) === 0
      ) {
        for (let i = 1; i <= 5; i++) {
          if ((mask & (1 << i)) === 0) continue
          const register = frame.regs[i] as Register
          if (register.kind !== BASE.SCALAR) continue
          frame.regs[i] = preciseCopy(register)
          changed = true
        }
        return changed
      }
      return broken(p, 'backtracking func entry')
    }
    let index = last
    for (;;) {
      const here = entry?.index === index ? entry : undefined
      if (skipFirst) skipFirst = false
      else if (isLogged || here !== undefined || mayMatter(p.program[index] as Instruction, wanted)) {
        if (stepBack(p, index, next, here, wanted) === GIVE_UP) {
          markAllPrecise(p, start)
          return true
        }
        if (wanted.isEmpty) return changed
      }
      next = index
      const isOldest = entry === undefined || (entry.before === undefined && here !== undefined)
      if (index === first && isOldest) break
      if (here === undefined) index--
      else {
        index = here.previous
        entry = here.before
      }
      if (index >= p.length || index < 0) return broken(p, `backtracking idx ${index}`)
    }
    const parent = state.parent
    if (parent === undefined) break
    state = parent
    for (let f = wanted.frame; f >= 0; f--) {
      const frame = state.frames[f]
      if (frame === undefined) return broken(p, 'backtracking frames')
      let mask = wanted.registers[f] as number
      for (let i = 0; mask !== 0; i++, mask >>>= 1) {
        if ((mask & 1) === 0) continue
        const register = frame.regs[i] as Register
        if (register.kind !== BASE.SCALAR || register.precise) wanted.registers[f]! &= ~(1 << i)
        else {
          frame.regs[i] = preciseCopy(register)
          changed = true
        }
      }
      if (wanted.hasSlots(f)) changed = markSlots(frame, f, wanted) || changed
      p.backtrackingLog?.parent(state, f, wanted.places(f))
    }
    if (wanted.isEmpty) return changed
    next = first
    last = state.lastInstruction
    first = state.firstInstruction
  }
  if (!wanted.isEmpty) markAllPrecise(p, start)
  return changed
}

/** The exact value of register `n` of the current frame mattered. */
export function markPrecise(p: Proof, n: number): void {
  const wanted = scratch.begin(p.state.currentIndex)
  wanted.add(n)
  retrace(p, p.state, wanted)
}

/** What mattered in `old` matters in `state`, which was found equal to it; true if any mark is new. */
export function inheritPrecision(p: Proof, old: State, state: State): boolean {
  const wanted = scratch.begin(state.currentIndex)
  for (let f = old.frames.length - 1; f >= 0; f--) {
    const frame = old.frames[f]!
    for (let i = 0; i < 10; i++) {
      const register = frame.regs[i] as Register
      if (register.kind === BASE.SCALAR && register.precise) wanted.registers[f]! |= 1 << i
    }
    for (let i = 0; i < frame.stack.length; i++) {
      const slot = frame.stack[i] as Slot
      if (isScalarSpill(slot) && slot.register.precise) wanted.addSlot(f, i)
    }
    p.backtrackingLog?.inherited(f, wanted.places(f))
  }
  return retrace(p, state, wanted)
}

/** Notes what backtracking must know of the current instruction. */
export function note(
  p: Proof,
  change?: Partial<Omit<HistoryEntry, 'before' | 'count' | 'index' | 'previous'>>,
): void {
  const last = p.state.history
  if (last !== undefined && p.currentEntry === last) {
    // The copy keeps states that share the entry as they are.
    const merged: HistoryEntry = {
      before: last.before,
      count: last.count,
      index: last.index,
      previous: last.previous,
      stackFrame: change?.stackFrame ?? last.stackFrame,
      stackSlot: change?.stackSlot ?? last.stackSlot,
      dstIsStack: last.dstIsStack || (change?.dstIsStack ?? false),
      srcIsStack: last.srcIsStack || (change?.srcIsStack ?? false),
      linked: change?.linked ?? last.linked,
    }
    p.state.history = merged
    p.currentEntry = merged
    return
  }
  const entry: HistoryEntry = {
    before: last,
    count: (last?.count ?? 0) + 1,
    index: p.index,
    previous: p.previous,
    stackFrame: change?.stackFrame ?? 0,
    stackSlot: change?.stackSlot ?? -1,
    dstIsStack: change?.dstIsStack ?? false,
    srcIsStack: change?.srcIsStack ?? false,
    linked: change?.linked,
  }
  p.state.history = entry
  p.currentEntry = entry
}

/** The exact value spilled in a stack slot mattered. */
export function markSlotPrecise(p: Proof, frame: number, slot: number): void {
  const wanted = scratch.begin(p.state.currentIndex)
  wanted.addSlot(frame, slot)
  retrace(p, p.state, wanted)
}
