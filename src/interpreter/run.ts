/**
 * The state of one run: its registers, its frames, and what is left of its budget.
 *
 * Frame n of the run has 512 bytes of stack, which end at `stackTop(n)`, where r10 points. The stacks of a run are
 * one allocation in the arena; only those of frames that exist are accessible, and gaps between them are not, so
 * that running over the end of one faults. A frame's stack is zero when it begins.
 */
import type { Fault } from '../helpers/index.ts'
import type { Arena } from '../memory/index.ts'
import type { Environment, HelperContext, TailCall } from './environment.ts'
import { execute } from './loop.ts'
import { functionAt, type PreparedProgram, type RegisterFile, releaseFile, takeFile } from './prepared.ts'

/** Frames of a program at one time, the first one included. Source: `MAX_CALL_FRAMES`, Linux. */
export const MAX_FRAMES = 8
/** Bytes of stack in a frame. Source: `MAX_BPF_STACK`, Linux. */
export const STACK_BYTES = 512
/** Tail calls in one run. Source: `MAX_TAIL_CALL_CNT`, Linux. */
export const MAX_TAIL_CALLS = 33
/** Times that a frame may pass its `may_goto` instructions. Source: `BPF_MAX_LOOPS`, Linux. */
export const MAX_MAY_GOTO = 8 * 1024 * 1024

/** Each tail call may be made from the last frame that its program can have. */
const ALL_FRAMES = MAX_FRAMES + MAX_TAIL_CALLS * (MAX_FRAMES - 1)
const GAP_BYTES = 8
const SAVED_REGISTERS = 4

/** Where the stack of frame `depth` ends, from the start of a run's stacks: the first frame's lies highest. */
const stackEnd = (depth: number): number => (ALL_FRAMES - depth) * (STACK_BYTES + GAP_BYTES) - GAP_BYTES

/** What the program threw: `Interpreter` turns it into what the program returns. */
export interface Exception {
  readonly kind: 'exception'
  readonly pc: number
  readonly cookie: bigint
}

export class Run implements HelperContext {
  readonly arena: Arena
  readonly environment: Environment
  /** Offset in the arena of the stacks. */
  readonly #stacks: number
  /** r6 to r9 of the frame below, for each frame. */
  readonly #saved = new BigUint64Array(ALL_FRAMES * SAVED_REGISTERS)
  readonly #returnTo = new Int32Array(ALL_FRAMES)
  readonly #programs: PreparedProgram[] = []
  readonly #files: RegisterFile[] = []
  /** For each frame, the one that its program began in. */
  readonly #firstFrames = new Int32Array(ALL_FRAMES)
  /** r10 of each frame: where its stack ends. */
  readonly #framePointers: BigUint64Array
  readonly mayGotoLeft = new Int32Array(ALL_FRAMES)
  #program: PreparedProgram | undefined
  #file: RegisterFile | undefined
  #tailCalls = 0
  depth = 0
  /** Arena offset of the current frame's stack. */
  frameStart = 0
  budget = 0
  /** What is left of `budget`; the loop keeps its own copy and brings this one up to date when it leaves. */
  remaining = 0
  pc = 0
  fault: Fault | Exception | undefined

  private constructor(arena: Arena, environment: Environment, stacks: number) {
    this.arena = arena
    this.environment = environment
    this.#stacks = stacks
    this.#framePointers = BigUint64Array.from({ length: ALL_FRAMES }, (_, depth) =>
      arena.address(stacks + stackEnd(depth)),
    )
  }

  /** Undefined where the arena has no room for the stacks. */
  static create(arena: Arena, environment: Environment): Run | undefined {
    const stacks = arena.allocate(ALL_FRAMES * (STACK_BYTES + GAP_BYTES), { access: 'none' })
    if (stacks === undefined) return undefined
    // A run always has its first frame; the others open and close.
    arena.setAccess(stacks + stackEnd(0) - STACK_BYTES, STACK_BYTES, 'write')
    return new Run(arena, environment, stacks)
  }

  get program(): PreparedProgram {
    return this.#program!
  }

  get file(): RegisterFile {
    return this.#file!
  }

  /** `args`: r1 and as many of those behind it as there are. */
  start(program: PreparedProgram, args: readonly bigint[], budget: number): void {
    this.depth = 0
    this.budget = budget
    this.remaining = budget
    this.fault = undefined
    this.#tailCalls = 0
    this.#begin(program)
    for (const [n, value] of args.entries()) this.file.r[n + 1] = value
  }

  /** Gives back what the run holds, however it ended. */
  end(): void {
    while (this.depth > 0) this.leave()
    releaseFile(this.program, this.file)
  }

  /** Sets `program` up as what runs in the current frame, with zeroed registers and stack. */
  #begin(program: PreparedProgram): void {
    this.#program = program
    this.#file = takeFile(program)
    this.#programs[this.depth] = program
    this.#files[this.depth] = this.#file
    this.#firstFrames[this.depth] = this.depth
    this.#file.w.fill(0, 0, 20)
    this.#openFrame()
  }

  #openFrame(): void {
    this.frameStart = this.#stacks + stackEnd(this.depth) - STACK_BYTES
    this.arena.bytes.fill(0, this.frameStart, this.frameStart + STACK_BYTES)
    this.mayGotoLeft[this.depth] = MAX_MAY_GOTO
    this.file.r[10] = this.#framePointers[this.depth]!
  }

  #setStackAccess(access: 'write' | 'none'): void {
    this.arena.setAccess(this.#stacks + stackEnd(this.depth) - STACK_BYTES, STACK_BYTES, access)
  }

  /** Enters a new frame of the running program; false, with a fault, where there are too many. */
  enter(pc: number, returnTo: number): boolean {
    const first = this.#firstFrames[this.depth]!
    if (this.depth + 1 - first >= MAX_FRAMES) {
      this.fault = { kind: 'call-depth', pc, depth: this.depth + 1 - first }
      return false
    }
    const { r } = this.file
    const saved = this.depth * SAVED_REGISTERS
    for (let i = 0; i < SAVED_REGISTERS; i++) this.#saved[saved + i] = r[6 + i]!
    this.#returnTo[this.depth] = returnTo
    this.depth++
    this.#programs[this.depth] = this.program
    this.#files[this.depth] = this.file
    this.#firstFrames[this.depth] = first
    this.#setStackAccess('write')
    this.#openFrame()
    return true
  }

  /** Goes back to the frame below, with r0 as it stands and r6 to r10 as they were; returns the slot to go on at. */
  leave(): number {
    this.#setStackAccess('none')
    this.depth--
    const callee = this.file
    const caller = this.#files[this.depth]!
    if (callee !== caller) {
      // A tail call replaced the program of the frame that ends.
      caller.r[0] = callee.r[0]!
      releaseFile(this.program, callee)
      this.#file = caller
      this.#program = this.#programs[this.depth]!
    }
    this.frameStart = this.#stacks + stackEnd(this.depth) - STACK_BYTES
    const { r } = caller
    const saved = this.depth * SAVED_REGISTERS
    for (let i = 0; i < SAVED_REGISTERS; i++) r[6 + i] = this.#saved[saved + i]!
    r[10] = this.#framePointers[this.depth]!
    return this.#returnTo[this.depth]!
  }

  /** Replaces the program of the current frame; false where the run has had its tail calls. */
  tailCall({ tailCall }: TailCall): boolean {
    if (this.#tailCalls >= MAX_TAIL_CALLS) return false
    this.#tailCalls++
    const { program, file } = this
    const context = file.r[1]!
    const shared = this.depth > 0 && this.#files[this.depth - 1] === file
    this.#begin(tailCall)
    this.file.r[1] = context
    if (!shared) releaseFile(program, file)
    return true
  }

  /** Calls the function at `entry`, which something stands for, in a frame of its own; false, with a fault, as `execute`. */
  callHooked(entry: number, pc: number): boolean {
    if (!this.enter(pc, pc)) return false
    if (!this.executeFunction(entry)) return false
    this.leave()
    return true
  }

  /** Runs the function at `entry`, or what stands for it, in the current frame; false as `execute`. */
  executeFunction(entry: number): boolean {
    const hook = this.program.hooks?.get(entry)
    if (hook === undefined) return execute(this, entry)
    const { depth } = this
    const { r } = this.file
    const args = [r[1]!, r[2]!, r[3]!, r[4]!, r[5]!]
    const result = hook.call(args, () => {
      if (!execute(this, entry)) return undefined
      return this.file.r[0]!
    })
    if (this.fault !== undefined) return false
    if (this.depth !== depth) throw new Error(`a function ended at depth ${this.depth}, not ${depth}`)
    if (typeof result !== 'bigint') {
      this.fault = { kind: 'hook', pc: entry, reason: result.reason }
      return false
    }
    this.file.r[0] = result
    return true
  }

  callback(address: bigint, r1: bigint, r2 = 0n, r3 = 0n, r4 = 0n, r5 = 0n): bigint | undefined {
    if (this.fault !== undefined) return undefined
    const { pc } = this
    const entry = functionAt(this.program, address)
    if (entry === undefined) {
      this.fault = { kind: 'not-a-function', pc, address }
      return undefined
    }
    if (!this.enter(pc, pc)) return undefined
    const { r } = this.file
    r[1] = r1
    r[2] = r2
    r[3] = r3
    r[4] = r4
    r[5] = r5
    const depth = this.depth
    const ended = this.executeFunction(entry)
    this.pc = pc
    if (!ended) return undefined
    if (this.depth !== depth) throw new Error(`a callback ended at depth ${this.depth}, not ${depth}`)
    this.leave()
    return this.file.r[0]
  }
}
