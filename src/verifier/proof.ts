/**
 * Everything that the proof of one program knows while it runs.
 *
 * The proof walks every path of the program. `state` is where the current path stands; `pending` are the branches
 * still to be walked; `explored` are states from which every way on was found safe (or is still being walked).
 * The checks are functions over a `Proof`, in the files beside this one; each reads `state`, and ends either by
 * returning or by throwing a `Refusal`.
 */

import { BPF_PROG_TYPE } from '../abi/index.ts'
import { BTF_KIND, type Btf, type BtfId } from '../btf/index.ts'
import { helperPrototypes } from '../helpers/index.ts'
import { disassembleAt, type Instruction, type Program } from '../isa/index.ts'
import type { FunctionArgument } from './checks/global-functions.ts'
import { BASE, baseOf, FLAG, kindName } from './domain/kinds.ts'
import { type Register, sharedScalar, unknownScalar } from './domain/register.ts'
import type { KfuncCallFacts } from './facts.ts'
import type { Edges } from './flow/edges.ts'
import { StackLiveness } from './flow/stack-liveness.ts'
import type { Subprogram } from './flow/subprograms.ts'
import type { KfuncTable } from './kfuncs/table.ts'
import { isGplCompatible } from './license.ts'
import { BacktrackingLog } from './log/backtracking.ts'
import { VerifierLog } from './log/log.ts'
import { StatePrinter } from './log/printer.ts'
import type { ProofObserver } from './observer.ts'
import type { MapSpec, ProgramInput, SourceLine } from './program.ts'
import type { Target } from './program-types/attach.ts'
import type { AvailableHelpers } from './program-types/helper-availability.ts'
import type { ProgramKind } from './program-types/kind.ts'
import type { Records } from './records/records.ts'
import { EACCES, EINVAL, Refusal } from './refusal.ts'
import { SlotSet } from './state/slot-set.ts'
import { EMPTY_REGISTER, type Frame, type HistoryEntry, type Slot, type State } from './state/state.ts'

export interface PendingBranch {
  readonly state: State
  readonly instruction: number
  readonly previous: number
  readonly logPosition: number
}

/** A path of a loop that ended because a state whose marks may still grow was found to cover it. */
export interface BackEdge {
  readonly covering: State
  readonly covered: State
  /** By the marks so far: to be looked at again when they are final. Otherwise covered whatever the marks. */
  readonly isProvisional: boolean
  /** To go on from `covered` after all: the steps that led there, and the last instruction. */
  readonly history: HistoryEntry | undefined
  readonly previous: number
}

/** A loop (strongly connected component) entered on one chain of calls. */
export interface LoopVisit {
  entry: State | undefined
  backEdges: BackEdge[]
  /** How often paths were taken up again, since final marks showed that they were not covered. */
  resumptions: number
}

export const INSTRUCTION_LIMIT = 1_000_000
export const BRANCH_LIMIT = 8192
export const MAX_VARIABLE_OFFSET = 1 << 29

/** What earlier passes and earlier paths found out about each instruction. */
export class InstructionNotes {
  readonly prunePoint: Uint8Array
  readonly jumpPoint: Uint8Array
  readonly forceCheckpoint: Uint8Array
  readonly callsCallback: Uint8Array
  readonly isIteratorNext: Uint8Array
  readonly liveRegisters: Uint16Array
  readonly component: Int32Array
  /** Kind of pointer that a load or store went through. */
  readonly pointerKind: Int32Array
  readonly seen: Uint8Array
  /** Loads that may reach memory of the operating system's kernel. */
  readonly foreignLoad: Uint8Array
  readonly storageGetInAtomic: Uint8Array
  /** Arithmetic on pointers into an arena, of which only the low 32 bits count. */
  readonly arenaArithmetic: Uint8Array
  /** What calls of kernel functions work on. */
  readonly kfuncCalls = new Map<number, KfuncCallFacts>()
  /** Spills and fills around calls, and how many pairs belong to a call: see flow/fastcall.ts. */
  readonly inFastcall: Uint8Array
  readonly fastcallSpills: Uint8Array
  /** How far the program reaches into buffers that it is given: an iterator's keys and values. */
  readonly bufferBytes = { readOnly: 0, writable: 0 }
  /** Type that bpf_obj_new and its like were asked for; map of a tail call; and such. */
  readonly extra = new Map<number, unknown>()

  constructor(length: number) {
    this.prunePoint = new Uint8Array(length + 1)
    this.jumpPoint = new Uint8Array(length + 1)
    this.forceCheckpoint = new Uint8Array(length + 1)
    this.callsCallback = new Uint8Array(length + 1)
    this.isIteratorNext = new Uint8Array(length + 1)
    this.liveRegisters = new Uint16Array(length + 1)
    this.component = new Int32Array(length + 1)
    this.pointerKind = new Int32Array(length + 1)
    this.seen = new Uint8Array(length + 1)
    this.foreignLoad = new Uint8Array(length + 1)
    this.storageGetInAtomic = new Uint8Array(length + 1)
    this.inFastcall = new Uint8Array(length + 1)
    this.fastcallSpills = new Uint8Array(length + 1)
    this.arenaArithmetic = new Uint8Array(length + 1)
  }
}

const NAMES_MAP: ReadonlySet<number> = new Set([1, 2, 5, 6])

/** Blanks between an instruction and the state behind it. */
const columnsBefore = (length: number): number => Math.ceil(Math.max(length + 4, 40) / 8) * 8 - length - 1

/** Shared by all who know nothing. */
const UNKNOWN = unknownScalar()

export class Proof {
  /** Of an extension, once it is known what it extends: with that program's type. */
  input: ProgramInput
  readonly program: Program
  readonly length: number
  readonly log: VerifierLog
  readonly notes: InstructionNotes
  kind: ProgramKind
  readonly isExtension: boolean
  readonly isGpl: boolean
  readonly isSleepable: boolean
  readonly isStrictAlignment: boolean
  readonly kernel: Btf | undefined
  readonly kfuncs: KfuncTable
  readonly records: Records
  helpers: AvailableHelpers
  readonly observer: ProofObserver | undefined
  subprograms: Subprogram[] = []
  /** Once the shape of the program is known to be sound. */
  edges!: Edges
  exceptionCallback = 0
  state!: State
  index = 0
  previous = -1
  processed = 0
  jumps = 0
  jumpsAtLastState = 0
  processedAtLastState = 0
  totalStates = 0
  exploredCount = 0
  evictedCount = 0
  backEdgeCount = 0
  peakStates = 0
  mostStatesAtOne = 0
  lastId = 0
  pending: PendingBranch[] = []
  explored = new Map<number, State[]>()
  loops = new Map<string, LoopVisit>()
  usedMaps = new Set<MapSpec>()
  hasArena = false
  target: Target | undefined = undefined
  seenDirectWrite = false
  seenException = false
  /** Calls of bpf_loop by slot: can they be inlined, always with the same callback and no flags? */
  readonly inlinedLoops = new Map<number, { fits: boolean; readonly callback: number }>()
  /** Which registers and slots changed since the state was last printed. */
  scratchedRegisters = 0
  readonly scratchedSlots = new SlotSet()
  /** History entry of the instruction being checked, if it has one. */
  currentEntry: HistoryEntry | undefined = undefined
  /** Print the whole state before the next instruction: a branch was taken up again. */
  printsState = false
  readonly printer = new StatePrinter()
  readonly stackLiveness: StackLiveness
  /** At log level 2 only. */
  readonly backtrackingLog: BacktrackingLog | undefined
  /** References to arguments that the program owns, by their places. */
  readonly argumentReferences = new Map<number, number>()
  readonly functionArguments = new Map<number, readonly FunctionArgument[]>()
  readonly #constants: (Register | undefined)[] = []
  readonly #innerMaps = new Map<MapSpec, MapSpec>()
  #instructionEnd = -1
  #instructionLength = 0
  #sourceLine: SourceLine | undefined = undefined

  constructor(
    input: ProgramInput,
    parts: {
      kind: ProgramKind
      kfuncs: KfuncTable
      records: Records
      helpers: AvailableHelpers
      observer: ProofObserver | undefined
    },
  ) {
    this.input = input
    this.program = input.instructions
    this.length = input.instructions.length
    this.log = new VerifierLog(input.logLevel)
    this.notes = new InstructionNotes(this.length)
    this.kind = parts.kind
    this.isExtension = input.programType === BPF_PROG_TYPE.BPF_PROG_TYPE_EXT
    this.kfuncs = parts.kfuncs
    this.records = parts.records
    this.helpers = parts.helpers
    this.observer = parts.observer
    this.isGpl = isGplCompatible(input.license)
    this.isSleepable = (input.flags & 0x10) !== 0
    this.isStrictAlignment = (input.flags & 0x1) !== 0
    this.kernel = input.kernelTypes
    this.stackLiveness = new StackLiveness(this)
    this.backtrackingLog = (input.logLevel & 2) === 0 ? undefined : new BacktrackingLog(this)
  }

  /** The flag for pruning at every instruction, which tests use. */
  get prunesEverywhere(): boolean {
    return (this.input.flags & 0x8) !== 0
  }

  get testsInvariants(): boolean {
    return (this.input.flags & 0x80) !== 0
  }

  get frame(): Frame {
    return this.state.current
  }

  get regs(): Register[] {
    return this.state.current.regs
  }

  reg(n: number): Register {
    return this.state.current.regs[n] as Register
  }

  setReg(n: number, register: Register): void {
    this.state.current.regs[n] = register
    this.scratchedRegisters |= 1 << n
  }

  newId(): number {
    return ++this.lastId
  }

  insn(index: number): Instruction {
    const insn = this.program[index]
    if (insn === undefined) throw new RangeError(`no instruction ${index}`)
    return insn
  }

  say(text: string): void {
    this.log.write(text)
  }

  refuse(errno: number, message: string): Refusal {
    return new Refusal(errno, message)
  }

  /** A register must have been written. */
  checkReadable(n: number): Register {
    if (n >= 11) throw this.refuse(EINVAL, `R${n} is invalid`)
    const register = this.reg(n)
    this.scratchedRegisters |= 1 << n
    if (register.kind === BASE.NOT_INIT) throw this.refuse(EACCES, `R${n} !read_ok`)
    return register
  }

  /** A register must be one that programs may write. */
  checkWritable(n: number): void {
    if (n >= 11) throw this.refuse(EINVAL, `R${n} is invalid`)
    if (n === 10) throw this.refuse(EACCES, 'frame pointer is read only')
    this.scratchedRegisters |= 1 << n
  }

  setUnknown(n: number): void {
    this.setReg(n, UNKNOWN)
  }

  /** The immediate of the current instruction: with its sign in all 64 bits, or the low 32 only. Made once. */
  constant(is64: boolean): Register {
    let register = this.#constants[this.index]
    if (register === undefined) {
      const { imm } = this.insn(this.index)
      register = sharedScalar(is64 ? imm : imm >>> 0)
      this.#constants[this.index] = register
    }
    return register
  }

  setUninitialised(n: number): void {
    this.setReg(n, EMPTY_REGISTER)
  }

  /** The frame that a stack pointer points into. */
  frameOf(register: Register): Frame {
    return this.state.frames[register.frame] as Frame
  }

  setSlot(frame: Frame, index: number, slot: Slot): void {
    frame.stack[index] = slot
    this.scratchedSlots.add(index)
  }

  markAllScratched(): void {
    this.scratchedRegisters = 0x7ff
    this.scratchedSlots.addAll()
  }

  kindName(register: Register): string {
    return kindName(register.kind)
  }

  /** RCU protects what a program reads: it cannot sleep here, or holds the lock. */
  get inRcuSection(): boolean {
    return this.state.activeRcuLocks > 0 || this.state.activeLocks > 0 || !this.inSleepable
  }

  get inSleepable(): boolean {
    return this.isSleepable || this.state?.inSleepable
  }

  subprogramAt(instruction: number): number {
    return this.subprograms.findIndex((s) => s.start === instruction)
  }

  subprogramContaining(instruction: number): number {
    let low = 0
    let high = this.subprograms.length - 1
    while (low < high) {
      const middle = low + Math.ceil((high - low) / 2)
      if ((this.subprograms[middle] as Subprogram).start <= instruction) low = middle
      else high = middle - 1
    }
    return low
  }

  helperName(id: number): string {
    const known = this.helpers.get(id)?.name ?? anyHelperName(id)
    return known ?? 'unknown'
  }

  /** What is known of any map inside a map of maps: all but the name of the one that it was made with. */
  innerOf(template: MapSpec): MapSpec {
    let inner = this.#innerMaps.get(template)
    if (inner === undefined) {
      inner = { ...template, name: '' }
      this.#innerMaps.set(template, inner)
    }
    return inner
  }

  /** The struct of functions that a struct_ops program belongs to. */
  get structOpsName(): string | undefined {
    const { attach, programType } = this.input
    if (this.isExtension) return undefined
    if (programType !== BPF_PROG_TYPE.BPF_PROG_TYPE_STRUCT_OPS || attach === undefined) return undefined
    const btf = attach.btf ?? this.kernel
    return btf?.nameOf(attach.btfId as BtfId)
  }

  /** A struct_ops program may return a pointer that it holds. */
  get structOpsReturnsObject(): boolean {
    const { target } = this
    if (target?.prototype === undefined) return false
    const type = target.btf.typeById(target.btf.resolve(target.prototype.returns))
    return type.kind === BTF_KIND.PTR
  }

  /** In the callback that orders a tree, which runs with its lock held. */
  get inTreeCallback(): boolean {
    const frame = this.state.current
    if (this.state.currentIndex === 0 || !frame.inCallback) return false
    const { imm, offset } = this.insn(frame.callsite)
    return this.kfuncs.nameOf(imm, offset) === 'bpf_rbtree_add_impl'
  }

  logSafe(): void {
    if ((this.log.level & 3) === 0) return
    this.say(this.printsState ? `\nfrom ${this.previous} to ${this.index}: safe\n` : `${this.index}: safe\n`)
  }

  logCall(caller: number): void {
    if ((this.log.level & 3) === 0) return
    const { state, printer } = this
    this.say(
      `caller:\n${printer.state(state, caller, true)}callee:\n${printer.state(state, state.currentIndex, true)}`,
    )
  }

  logReturn(callee: number): void {
    if ((this.log.level & 3) === 0) return
    const { state, printer } = this
    this.say(
      `returning from callee:\n${printer.state(state, callee, true)}to caller at ${this.index}:\n${printer.state(state, callee - 1, true)}`,
    )
  }

  /** What the instruction changed, beside it, or on a line of its own where something was written since. */
  logState(): void {
    if ((this.log.level & 3) === 0) return
    const { state, printer } = this
    const text = printer.state(state, state.currentIndex, false, {
      registers: this.scratchedRegisters,
      slots: this.scratchedSlots,
    })
    if (this.log.reopenLine(this.#instructionEnd)) {
      this.say(`${' '.repeat(columnsBefore(this.#instructionLength) - 1)};${text}`)
    } else this.say(`${this.index}:${text}`)
    this.scratchedRegisters = 0
    this.scratchedSlots.clear()
  }

  logInstruction(): void {
    if ((this.log.level & 3) === 0) {
      this.scratchedRegisters = 0
      return
    }
    const { state, printer } = this
    if ((this.log.level & 2) !== 0 && this.printsState) {
      this.say(`\nfrom ${this.previous} to ${this.index}:${printer.state(state, state.currentIndex, true)}`)
      this.printsState = false
    }
    if (this.scratchedRegisters !== 0 || !this.scratchedSlots.isEmpty) this.logState()
    this.logSource()
    const line = this.instructionText(this.index)
    this.say(line)
    this.#instructionLength = line.length
    this.#instructionEnd = this.log.position
  }

  /** `4: (b7) r0 = 0` and a line end. */
  instructionText(index: number): string {
    return `${index}: (${this.insn(index).opcode.toString(16).padStart(2, '0')}) ${this.disassemble(index)}\n`
  }

  /** The source line, where another one begins; also in front of some reasons. */
  logSource(): void {
    const { lines } = this.input
    let low = 0
    let high = lines.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((lines[middle] as SourceLine).instruction <= this.index) low = middle + 1
      else high = middle
    }
    const line = lines[low - 1]
    const last = this.#sourceLine
    if (line === undefined || (last !== undefined && last.file === line.file && last.line === line.line))
      return
    this.say(`; ${line.text.trimStart()} @ ${line.file.slice(line.file.lastIndexOf('/') + 1)}:${line.line}\n`)
    this.#sourceLine = line
  }

  disassemble(index: number): string {
    const insn = this.insn(index)
    if (insn.opcode === 0x18) {
      // Addresses of maps are the kernel's own affair.
      const high = BigInt((this.program[index + 1]?.imm ?? 0) >>> 0)
      const value = NAMES_MAP.has(insn.src) ? 0n : (high << 32n) | BigInt(insn.imm >>> 0)
      return `r${insn.dst} = 0x${value.toString(16)}`
    }
    // Linux looks at no reserved field when it prints a call.
    const isCall = insn.opcode === 0x85 && insn.src <= 2
    const plain = isCall ? { ...insn, dst: 0, offset: insn.src === 2 ? insn.offset : 0 } : insn
    const program = isCall ? [plain] : this.program
    return disassembleAt(program, isCall ? 0 : index, {
      helperName: (id) => anyHelperName(id),
      kfuncName: (id, offset) => (id === 0 ? '' : this.kfuncs.nameOf(id, offset)),
    }).text
  }
}

const names = new Map(helperPrototypes.map((p) => [p.id, p.name]))
export const anyHelperName = (id: number): string | undefined => names.get(id)

/** Everything but a scalar is a pointer. */
export const isPointer = (register: Register): boolean => register.kind !== BASE.SCALAR

export const isPacketPointer = (register: Register): boolean =>
  register.kind === BASE.PACKET || register.kind === BASE.PACKET_META

export const mayBeNull = (kind: number): boolean => (kind & FLAG.MAYBE_NULL) !== 0

export const isStackPointer = (register: Register): boolean => register.kind === BASE.STACK

/** A scalar that is exactly 0. */
export const isNull = (register: Register): boolean =>
  register.kind === BASE.SCALAR && register.mask === 0n && register.value === 0n

const TRUSTED_MODIFIERS = FLAG.ALLOC | FLAG.TRUSTED | FLAG.NON_OWNING

/** A pointer to a kernel or allocated object that is valid and not null. */
export function isTrusted(register: Register): boolean {
  if (register.refObjId !== 0) return true
  const base = baseOf(register.kind)
  const hasUnsafe = (register.kind & ~0xff & ~TRUSTED_MODIFIERS) !== 0
  if (
    (base === BASE.SOCKET ||
      base === BASE.SOCK_COMMON ||
      base === BASE.TCP_SOCK ||
      base === BASE.CONST_MAP) &&
    !hasUnsafe
  ) {
    return true
  }
  return (register.kind & TRUSTED_MODIFIERS) !== 0 && !hasUnsafe
}

export const isRcu = (register: Register): boolean => (register.kind & FLAG.RCU) !== 0

/** Certainly not null: a comparison with 0 has one answer. */
export function isNotNull(register: Register): boolean {
  const { kind } = register
  if (mayBeNull(kind)) return false
  // An offset without bounds could wrap around to zero.
  if (register.smin <= BigInt(-MAX_VARIABLE_OFFSET) || register.smax >= BigInt(MAX_VARIABLE_OFFSET))
    return false
  switch (baseOf(kind)) {
    case BASE.SOCKET:
    case BASE.TCP_SOCK:
    case BASE.XDP_SOCK:
    case BASE.BUF:
    case BASE.MAP_VALUE:
    case BASE.MAP_KEY:
    case BASE.SOCK_COMMON:
    case BASE.CONST_MAP:
      return true
    case BASE.BTF_ID:
      return isTrusted(register)
    case BASE.MEM:
      return (kind & FLAG.UNTRUSTED) === 0
    default:
      return false
  }
}

/** An object that programs allocate. */
export const isAllocatedObject = (kind: number): boolean =>
  baseOf(kind) === BASE.BTF_ID && (kind & FLAG.ALLOC) !== 0 && (kind & FLAG.UNTRUSTED) === 0

export const isNonOwning = (kind: number): boolean =>
  isAllocatedObject(kind) && (kind & FLAG.NON_OWNING) !== 0
