/**
 * The state of one path: call frames with registers and stack, references that are held, and how it got here.
 *
 * Rules
 * - Registers and slots are shared between states and never changed in place; arrays of them belong to one frame.
 * - `copy()` gives a state of its own: changing it leaves the original as it was.
 *
 * Source: struct bpf_verifier_state, bpf_func_state, bpf_stack_state, bpf_reference_state of Linux 6.18.
 */
import { allBytes, BASE, BYTE } from '../domain/kinds.ts'
import { notInitialised, type Register } from '../domain/register.ts'

export const STACK_LIMIT = 512
export const SLOT_BYTES = 8

/** Eight bytes of stack. */
export class Slot {
  /** What each byte holds, four bits a byte: see `BYTE`. */
  readonly bytes: number
  /** The spilled register, or what a dynptr, iterator or flag is known to be. */
  readonly register: Register

  constructor(bytes: number, register: Register) {
    this.bytes = bytes
    this.register = register
  }
}

/** A register was spilled here, whole or in part: its last byte says so. */
export const isSpill = (slot: Slot): boolean => slot.bytes >>> 28 === BYTE.SPILL
export const isScalarSpill = (slot: Slot): boolean => isSpill(slot) && slot.register.kind === BASE.SCALAR
/** All eight bytes of a scalar. */
export const isWholeScalarSpill = (slot: Slot): boolean =>
  (slot.bytes & 0xf) === BYTE.SPILL && slot.register.kind === BASE.SCALAR

const NOT_INIT = notInitialised()
export const EMPTY_SLOT = new Slot(allBytes(BYTE.INVALID), NOT_INIT)
export const EMPTY_REGISTER = NOT_INIT

export interface ReturnRange {
  readonly min: number
  readonly max: number
}

export class Frame {
  regs: Register[]
  /** Slot 0 is fp-8. */
  stack: Slot[] = []
  /** Slot of the call instruction; -1 for the program's own frame. */
  readonly callsite: number
  readonly index: number
  readonly subprogram: number
  asyncEntries = 0
  callbackDepth = 0
  inCallback = false
  inAsyncCallback = false
  inExceptionCallback = false
  callbackReturn: ReturnRange = { min: 0, max: 0 }

  constructor(callsite: number, index: number, subprogram: number, regs?: Register[]) {
    this.callsite = callsite
    this.index = index
    this.subprogram = subprogram
    this.regs = regs ?? new Array<Register>(11).fill(NOT_INIT)
  }

  copy(): Frame {
    const f = new Frame(this.callsite, this.index, this.subprogram, this.regs.slice())
    f.stack = this.stack.slice()
    f.asyncEntries = this.asyncEntries
    f.callbackDepth = this.callbackDepth
    f.inCallback = this.inCallback
    f.inAsyncCallback = this.inAsyncCallback
    f.inExceptionCallback = this.inExceptionCallback
    f.callbackReturn = this.callbackReturn
    return f
  }
}

export type ReferenceKind = 'pointer' | 'irq' | 'lock' | 'resLock' | 'resLockIrq'

export interface Reference {
  readonly kind: ReferenceKind
  readonly id: number
  /** Where it was acquired. */
  readonly instruction: number
  /** For locks: the map or allocation type that holds it. */
  readonly owner?: unknown
}

/** One step of the path that backtracking must know; others it can compute. A list that copies of a state share. */
export interface HistoryEntry {
  readonly before: HistoryEntry | undefined
  /** Entries up to this one. */
  readonly count: number
  readonly index: number
  readonly previous: number
  /** The instruction touched this stack slot of this frame through a pointer or as a spill; -1: none. */
  stackFrame: number
  stackSlot: number
  dstIsStack: boolean
  srcIsStack: boolean
  /** Registers and slots that shared a scalar id here. */
  linked: readonly LinkedPlace[] | undefined
}

export interface LinkedPlace {
  readonly frame: number
  readonly isRegister: boolean
  /** Register number or stack slot. */
  readonly place: number
}

const NO_REFERENCES: readonly Reference[] = []

export class State {
  frames: Frame[] = []
  parent: State | undefined = undefined
  /** Paths that went on from here and have not reached an end. */
  branches = 0
  instruction = 0
  firstInstruction = 0
  lastInstruction = 0
  /** The last step since the state was saved. */
  history: HistoryEntry | undefined = undefined
  references: readonly Reference[] = NO_REFERENCES
  activeLocks = 0
  activeLockId = 0
  activeLockOwner: unknown = undefined
  activeIrqId = 0
  activePreemptLocks = 0
  activeRcuLocks = 0
  inSleepable = false
  callbackUnrollDepth = 0
  mayGotoDepth = 0
  depth = 0
  cleaned = false
  /** No state is compared with it any more, but paths that lead on from it are still to be walked. */
  isEvicted = false
  hits = 0
  misses = 0

  get current(): Frame {
    return this.frames[this.frames.length - 1] as Frame
  }

  get currentIndex(): number {
    return this.frames.length - 1
  }

  copy(): State {
    const s = new State()
    const { frames } = this
    const copies = new Array<Frame>(frames.length)
    for (let i = 0; i < frames.length; i++) copies[i] = (frames[i] as Frame).copy()
    s.frames = copies
    s.parent = this.parent
    s.branches = this.branches
    s.instruction = this.instruction
    s.firstInstruction = this.firstInstruction
    s.lastInstruction = this.lastInstruction
    s.history = this.history
    s.references = this.references
    s.activeLocks = this.activeLocks
    s.activeLockId = this.activeLockId
    s.activeLockOwner = this.activeLockOwner
    s.activeIrqId = this.activeIrqId
    s.activePreemptLocks = this.activePreemptLocks
    s.activeRcuLocks = this.activeRcuLocks
    s.inSleepable = this.inSleepable
    s.callbackUnrollDepth = this.callbackUnrollDepth
    s.mayGotoDepth = this.mayGotoDepth
    s.depth = this.depth
    return s
  }

  /**
   * Replaces every register and spilled register by what `change` makes of it (the same object: no change). It is told
   * the frame and the place: the register's number, or -1 - slot.
   */
  mapRegisters(change: (register: Register, frame: number, place: number) => Register): void {
    for (const frame of this.frames) {
      const { regs, stack } = frame
      for (let i = 0; i < 11; i++) {
        const before = regs[i] as Register
        const after = change(before, frame.index, i)
        if (after !== before) regs[i] = after
      }
      for (let i = 0; i < stack.length; i++) {
        const slot = stack[i] as Slot
        if (!isSpill(slot)) continue
        const after = change(slot.register, frame.index, -1 - i)
        if (after !== slot.register) stack[i] = new Slot(slot.bytes, after)
      }
    }
  }
}
