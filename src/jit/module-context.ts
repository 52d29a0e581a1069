/**
 * The WebAssembly module of one program: its imports, its functions, and the pieces of code that they share.
 *
 * A subprogram becomes a function when something calls it that it is not inlined in. `run`, `tail` and `callback` are
 * what JavaScript calls: all take a frame and find arguments in the run's block.
 */

import type { FunctionHooks, KfuncInline } from '../helpers/index.ts'
import type { ArenaUse, BpfMap } from '../maps/index.ts'
import { ARENA_BASE, type Arena, SHADOW_POINTER, SHADOW_WRITABLE } from '../memory/index.ts'
import {
  block,
  br,
  brIf,
  brTable,
  type Code,
  type FunctionRef,
  i32,
  i64,
  type Local,
  label,
  load32,
  load64,
  loop,
  type MarkPlace,
  ModuleBuilder,
  marked,
  memory,
  type OwnFunction,
  ret,
  seq,
  seqThen,
  store32,
  store64,
  unreachable,
  type ValueType,
  when,
} from '../wasm/index.ts'
import { CallTranslator } from './calls.ts'
import { Demand } from './demand.ts'
import { faultCode } from './fault.ts'
import type { ForeignRead } from './foreign-load.ts'
import { RUN_BYTES, runBlock, STACK_BYTES } from './layout.ts'
import { isLookup } from './map-calls.ts'
import { PagedAccess } from './paged-access.ts'
import type { DecodedProgram } from './program.ts'
import type { ArgumentCount } from './registers.ts'
import { type Subprogram, subprogramsOf } from './registers.ts'
import { type StackPart, stackSlots } from './stack-slots.ts'
import { type Embedding, type FunctionScope, SubprogramTranslator } from './subprogram.ts'
import { nothingKnown } from './values.ts'

export interface CompileOptions {
  /**
   * Whether a verifier has proved that every memory access is in bounds and that the program ends. Then nothing is
   * checked but what WebAssembly checks; else every access is held against the arena's shadow, and loops and calls
   * are counted against a budget.
   */
  readonly isProved: boolean
  /** Slots of loads that may leave the arena; see foreign-load.ts. */
  readonly foreignLoads?: ReadonlySet<number>
  /** The arena map whose pages the program uses; see paged-access.ts. */
  readonly arenaUse?: ArenaUse
  readonly arena: Arena
  readonly name?: string
  /** Whether to note which instruction each piece of code is for. */
  readonly isTraced?: boolean
  readonly mapAt: (address: bigint) => BpfMap | undefined
  readonly argumentCount: ArgumentCount
  readonly kfuncInline: (id: number) => KfuncInline | undefined
  readonly kfuncArgumentCount: ArgumentCount
  readonly hasWordHelper: (id: number) => boolean
  /** Whether helper numbers are Linux's, so that the code of some may be part of the program. */
  readonly inlinesHelpers: boolean
  /** Subprograms that JavaScript calls though the program does not take their addresses. */
  readonly extraEntries: readonly number[]
  /** Functions that something stands for: calls of them ask JavaScript. */
  readonly hooks?: FunctionHooks | undefined
  /** Whether the first function is given r1 to r5; else no more than r1 and r2. */
  readonly takesArguments?: boolean
}

const FRAME_FILL = 0x08 | SHADOW_WRITABLE

type I32Function = FunctionRef<readonly ValueType[], 'i32'>

export class ModuleContext {
  readonly program: DecodedProgram
  readonly options: CompileOptions
  readonly isChecked: boolean
  readonly arenaBase = ARENA_BASE
  readonly subprograms: ReadonlyMap<number, Subprogram>
  readonly calls: CallTranslator
  readonly builder: ModuleBuilder
  readonly #fault: FunctionRef<readonly ['i32', 'i32', 'i32', 'i32', 'i32'], 'void'>
  readonly #functions = new Map<number, OwnFunction<readonly ValueType[], 'i64'>>()
  readonly #due: number[] = []
  readonly #hooks = new Map<number, FunctionRef<readonly ['i32', 'i32'], 'void'>>()
  /** What is called where something stands for a function, by the function's entry. */
  readonly #hooked = new Map<number, OwnFunction<readonly ValueType[], 'i64'>>()
  #access: I32Function | undefined
  /** By size, negative for writes. */
  readonly #accesses = new Map<number, I32Function>()
  #check: I32Function | undefined
  readonly #demands = new Map<number, Demand>()
  readonly #stackSlots = new Map<number, ReadonlyMap<number, StackPart>>()
  readonly #readForeign: ForeignRead | undefined
  readonly paged: PagedAccess | undefined

  constructor(program: DecodedProgram, options: CompileOptions) {
    this.program = program
    this.options = options
    this.isChecked = !options.isProved
    const { hooks } = options
    this.subprograms = subprogramsOf(
      program,
      options.argumentCount,
      (entry) => hooks?.get(entry)?.argumentCount ?? 0,
    )
    this.builder = new ModuleBuilder(options.name)
    this.builder.importMemory('arena', 'memory', { minimum: 1 })
    this.#fault = this.builder.importFunction('run', 'fault', ['i32', 'i32', 'i32', 'i32', 'i32'], 'void')
    this.#readForeign =
      (options.foreignLoads?.size ?? 0) > 0
        ? this.builder.importFunction('run', 'foreign', ['i32', 'i32', 'i32', 'i32'], 'void')
        : undefined
    this.paged = options.arenaUse === undefined ? undefined : new PagedAccess(this.builder, options.arenaUse)
    for (const entry of hooks?.keys() ?? []) {
      if (!this.subprograms.has(entry)) continue
      this.#hooks.set(entry, this.builder.importFunction('hook', `${entry}`, ['i32', 'i32'], 'void'))
    }
    this.calls = new CallTranslator(this)
  }

  /** Whether something stands for the function. */
  isHooked(entry: number): boolean {
    return this.#hooks.has(entry)
  }

  get readForeign(): ForeignRead {
    return this.#readForeign as ForeignRead
  }

  /** Which halves of registers a subprogram looks at where. */
  demandOf(subprogram: Subprogram): Demand {
    const known = this.#demands.get(subprogram.entry)
    if (known !== undefined) return known
    const { foreignLoads, argumentCount } = this.options
    const demand = new Demand(subprogram.flow, {
      argumentCount,
      calleeReads: (entry) => this.subprograms.get(entry)?.parameters ?? 0,
      usesWholePointer: ({ pc }) =>
        this.isChecked || foreignLoads?.has(pc) === true || this.paged?.use.slots.has(pc) === true,
      givesPointer: (slot) => this.options.inlinesHelpers && isLookup(slot),
    })
    this.#demands.set(subprogram.entry, demand)
    return demand
  }

  /** Which accesses of a subprogram's stack are of locals, by their slots; none where nothing is proved. */
  stackSlotsOf({ entry, flow, usesStack }: Subprogram): ReadonlyMap<number, StackPart> {
    const known = this.#stackSlots.get(entry)
    if (known !== undefined) return known
    const found =
      this.isChecked || !usesStack
        ? new Map<number, StackPart>()
        : stackSlots(flow, {
            argumentCount: this.options.argumentCount,
            calleeReads: (callee) => this.subprograms.get(callee)?.parameters ?? 0,
            hasCallbacks: this.program.slots.some(({ row }) => row?.name === 'lddw_function'),
          })
    this.#stackSlots.set(entry, found)
    return found
  }

  /** The bytes of the module. */
  encode(marks?: Map<string, MarkPlace[]>): Uint8Array<ArrayBuffer> {
    this.#exportEntry()
    this.#exportRepeat()
    this.#exportTail()
    this.#exportCallback()
    this.#exportHooked()
    for (let entry = this.#due.shift(); entry !== undefined; entry = this.#due.shift()) this.#translate(entry)
    this.calls.exportMapFunctions()
    return this.builder.encode(marks)
  }

  /** Says which instruction `code` is for, where somebody wants to know. */
  traced<C extends Code | Code<'i32'>>(pc: number, code: C): C {
    return this.options.isTraced === true ? marked(pc, code) : code
  }

  runOf(frame: Code<'i32'>): Code<'i32'> {
    return i32.and(frame, i32.const(-RUN_BYTES))
  }

  fault(code: number, pc: number, a = i32.const(0), b = i32.const(0), c = i32.const(0)): Code {
    return seq(this.#fault.call(i32.const(code), i32.const(pc), a, b, c), unreachable())
  }

  clearFrame(frame: Code<'i32'>): Code {
    return memory.fill(frame, i32.const(0), i32.const(STACK_BYTES))
  }

  checkDepth(frame: Code<'i32'>, pc: number): Code {
    const last = load32.full(this.runOf(frame), runBlock.lastFrame)
    return when(i32.le_u(frame, last), this.fault(faultCode.callDepth, pc))
  }

  openFrame(frame: Code<'i32'>): Code {
    return memory.fill(shadowOf(frame), i32.const(FRAME_FILL), i32.const(STACK_BYTES / 8))
  }

  closeFrame(frame: Code<'i32'>): Code {
    return memory.fill(shadowOf(frame), i32.const(0), i32.const(STACK_BYTES / 8))
  }

  spend(fuel: Local<'i32'>, cost: number, pc: number): Code {
    const left = fuel.tee(i32.sub(fuel.get, i32.const(cost)))
    return when(i32.lt_s(left, i32.const(0)), this.fault(faultCode.budget, pc))
  }

  /** Brings what is left of the budget to where others see it. */
  saveFuel({ scope, frame }: Embedding): Code[] {
    const { fuel } = scope
    return fuel === undefined ? [] : [store32.full(this.runOf(frame), fuel.get, runBlock.fuel)]
  }

  restoreFuel({ scope, frame }: Embedding): Code[] {
    const { fuel } = scope
    return fuel === undefined ? [] : [fuel.set(load32.full(this.runOf(frame), runBlock.fuel))]
  }

  /** The offset of a checked access; faults where it is out of bounds. */
  checkedAccess(
    register: Code<'i64'>,
    offset: number,
    sizeBytes: number,
    isWrite: boolean,
    pc: number,
  ): Code<'i32'> {
    const key = isWrite ? -sizeBytes : sizeBytes
    const access = this.#accesses.get(key) ?? this.#defineFastAccess(key)
    this.#accesses.set(key, access)
    return access.call(register, i32.const(offset), i32.const(pc))
  }

  /** The offset of `sizeBytes` bytes at `register + offset`, or -1 where a program may not read (write) them. */
  checkRange(
    register: Code<'i64'>,
    offset: Code<'i32'>,
    sizeBytes: Code<'i32'>,
    required: Code<'i32'>,
  ): Code<'i32'> {
    this.#check ??= this.#defineCheck()
    return this.#check.call(register, offset, sizeBytes, required)
  }

  /** An arena offset that depends on the CPU only, worked out once in a function. */
  perCpu({ scope, frames }: Embedding, first: number, stride: number): Code<'i32'> {
    const frame = frames.get(0) as Code<'i32'>
    const known = scope.bases.get(first)
    if (known !== undefined) return known.get
    const base = scope.local('i32')
    const cpu = load32.full(this.runOf(frame), runBlock.cpu)
    scope.prologue.push(base.set(i32.add(i32.const(first), i32.mul(cpu, i32.const(stride)))))
    scope.bases.set(first, base)
    return base.get
  }

  callFunction(entry: number, args: readonly Code<'i64'>[], frame: Code<'i32'>): Code<'i64'> {
    const callee = this.#hooks.has(entry) ? this.#hookedFunction(entry) : this.#function(entry)
    return callee.call(...args, frame)
  }

  /** Asks JavaScript for the result: passes the arguments through the block, as calls of helpers do. */
  #hookedFunction(entry: number): OwnFunction<readonly ValueType[], 'i64'> {
    const known = this.#hooked.get(entry)
    if (known !== undefined) return known
    const { parameters } = this.subprograms.get(entry) as Subprogram
    const passed = registersIn(parameters)
    const types: ValueType[] = passed.map(() => 'i64')
    const made = this.builder.function(`hooked ${entry}`, [...types, 'i32'] as ValueType[], 'i64')
    this.#hooked.set(entry, made)
    const frame = made.parameters[passed.length] as Local<'i32'>
    const run = this.runOf(frame.get)
    const values = [1, 2, 3, 4, 5].map((register) => {
      const position = passed.indexOf(register)
      return position < 0 ? i64.const(0n) : (made.parameters[position] as Local<'i64'>).get
    })
    const hook = this.#hooks.get(entry) as FunctionRef<readonly ['i32', 'i32'], 'void'>
    made.body(
      seqThen(
        [
          ...values.map((value, n) => store64.full(run, value, runBlock.arguments + 8 * n)),
          hook.call(run, frame.get),
        ],
        load64.full(run, runBlock.result),
      ),
    )
    return made
  }

  /** `function N(frame)`: the functions that something stands for, themselves. */
  #exportHooked(): void {
    for (const entry of this.#hooks.keys()) {
      const itself = this.builder.function(`function ${entry}`, ['i32'], 'void')
      const [frame] = itself.parameters
      const { parameters } = this.subprograms.get(entry) as Subprogram
      const args = registersIn(parameters).map((register) => this.#argument(register, frame.get))
      const result = this.#function(entry).call(...args, frame.get)
      itself.body(store64.full(this.runOf(frame.get), result, runBlock.result))
      this.builder.export(`function ${entry}`, itself)
    }
  }

  #argument(register: number, frame: Code<'i32'>): Code<'i64'> {
    return load64.full(this.runOf(frame), runBlock.arguments + 8 * (register - 1))
  }

  #function(entry: number): OwnFunction<readonly ValueType[], 'i64'> {
    const known = this.#functions.get(entry)
    if (known !== undefined) return known
    const { parameters } = this.subprograms.get(entry) as Subprogram
    const types: ValueType[] = registersIn(parameters).map(() => 'i64')
    const made = this.builder.function(`subprogram ${entry}`, [...types, 'i32'] as ValueType[], 'i64')
    this.#functions.set(entry, made)
    this.#due.push(entry)
    return made
  }

  #translate(entry: number): void {
    const subprogram = this.subprograms.get(entry) as Subprogram
    const into = this.#function(entry)
    const passed = registersIn(subprogram.parameters)
    const frame = into.parameters[passed.length] as Local<'i32'>
    const registers = Array.from({ length: 11 }, (_, register): Local<'i64'> => {
      const position = passed.indexOf(register)
      return position >= 0 ? (into.parameters[position] as Local<'i64'>) : into.local('i64')
    })
    const rotated = new Map<string, Local<ValueType>>()
    const scope: FunctionScope = {
      local: (type) => into.local(type),
      fuel: this.isChecked ? into.local('i32') : undefined,
      frames: 0,
      inlined: 0,
      prologue: [],
      bases: new Map(),
      address: into.local('i32'),
      old: into.local('i64'),
      rotated: (value, type) => {
        const key = `${type} ${value}`
        const known = rotated.get(key) ?? into.local(type)
        rotated.set(key, known)
        return known as Local<typeof type>
      },
    }
    const embedding: Embedding = {
      scope,
      frame: frame.get,
      frameNumber: 0,
      frames: new Map([[0, frame.get]]),
      entry: nothingKnown(0),
      leave: (value) => seq(...this.saveFuel(embedding), ret(value)),
      inside: [entry],
    }
    const body = new SubprogramTranslator(this, subprogram, embedding, registers).translate()
    const setup =
      scope.fuel === undefined ? [] : [...this.restoreFuel(embedding), this.spend(scope.fuel, 1, entry)]
    into.body(seq(...setup, ...scope.prologue, body, unreachable()) as Code<never> as Code<'i64'>)
  }

  /** `run(frame) -> low half of r0`: from the first slot with r1 and r2 from the block. */
  #exportEntry(): void {
    const run = this.builder.function('run', ['i32'], 'i32')
    const result = run.local('i64')
    const [frame] = run.parameters
    const call = this.#callWithBlock(0, frame.get)
    run.body([
      result.set(call),
      store64.full(this.runOf(frame.get), result.get, runBlock.result),
      i32.wrap_i64(result.get),
    ] as unknown as Code<'i32'>)
    this.builder.export('run', run)
  }

  /** `repeat(frame, count, budget) -> low half of the last r0`. */
  #exportRepeat(): void {
    const repeat = this.builder.function('repeat', ['i32', 'i32', 'i32'], 'i32')
    const [frame, count, budget] = repeat.parameters
    const result = repeat.local('i64')
    const run = repeat.local('i32')
    const args = registersIn((this.subprograms.get(0) as Subprogram).parameters)
    const given = args.map(() => repeat.local('i64'))
    const again = label('again')
    const slotOf = (register: number) => runBlock.arguments + 8 * (register - 1)
    repeat.body([
      run.set(this.runOf(frame.get)),
      // Helpers pass their arguments through the block.
      ...args.flatMap((register, n) =>
        register > 2 ? [] : [(given[n] as Local<'i64'>).set(load64.full(run.get, slotOf(register)))],
      ),
      loop(
        again,
        seq(
          store32.full(run.get, i32.const(0), runBlock.tailCalls),
          store32.full(run.get, budget.get, runBlock.fuel),
          result.set(
            this.callFunction(
              0,
              given.map(({ get }) => get),
              frame.get,
            ),
          ),
          brIf(again, count.tee(i32.sub(count.get, i32.const(1)))),
        ),
      ),
      store64.full(run.get, result.get, runBlock.result),
      i32.wrap_i64(result.get),
    ] as unknown as Code<'i32'>)
    this.builder.export('repeat', repeat)
  }

  /** `tail(frame)`: as another program's tail call goes on, with its r1 and nothing else. */
  #exportTail(): void {
    const tail = this.builder.function('tail', ['i32'], 'void')
    const [frame] = tail.parameters
    const run = this.runOf(frame.get)
    tail.body(
      seq(
        store64.full(run, i64.const(0n), runBlock.arguments + 8),
        // Not what stands for it: a tail call goes past that, as on Linux.
        store64.full(run, this.#callWithBlock(0, frame.get, this.#function(0)), runBlock.result),
      ),
    )
    this.builder.export('tail', tail)
  }

  /** `callback(entry, frame)`: one of the subprograms whose address the program takes. */
  #exportCallback(): void {
    const taken = this.program.slots.filter(({ row }) => row?.name === 'lddw_function')
    const all = [...taken.map(({ target }) => target), ...this.options.extraEntries]
    const entries = [...new Set(all)].filter((entry) => this.subprograms.has(entry))
    if (entries.length === 0) return
    const callback = this.builder.function('callback', ['i32', 'i32'], 'void')
    const [index, frame] = callback.parameters
    const labels = entries.map((entry) => label(`subprogram ${entry}`))
    const none = label('none')
    let code: Code = brTable(index.get, labels, none)
    for (const [n, entry] of entries.entries()) {
      const result = this.#callWithBlock(entry, frame.get)
      code = seq(
        block(labels[n] as never, code),
        store64.full(this.runOf(frame.get), result, runBlock.result),
        ret(),
      )
    }
    callback.body(seq(block(none, code), unreachable()))
    this.builder.export('callback', callback)
    this.callbackEntries.push(...entries)
  }

  /** Entries by the number that `callback` takes. */
  readonly callbackEntries: number[] = []

  #callWithBlock(
    entry: number,
    frame: Code<'i32'>,
    callee?: OwnFunction<readonly ValueType[], 'i64'>,
  ): Code<'i64'> {
    const { parameters } = this.subprograms.get(entry) as Subprogram
    const hasTwo = entry === 0 && this.options.takesArguments !== true
    const args = registersIn(parameters).map((register) =>
      // A program starts with r1 and r2.
      hasTwo && register > 2 ? i64.const(0n) : this.#argument(register, frame),
    )
    return callee === undefined ? this.callFunction(entry, args, frame) : callee.call(...args, frame)
  }

  /**
   * access(register, offset, pc) for one size: what lies in one granule, as nearly all accesses do, is decided by one
   * byte of the shadow.
   */
  #defineFastAccess(signedSize: number): I32Function {
    this.#access ??= this.#defineAccess()
    const name = `${signedSize < 0 ? 'write' : 'read'} ${Math.abs(signedSize)}`
    const access = this.builder.function(name, ['i64', 'i32', 'i32'], 'i32')
    const [register, offset, pc] = access.parameters
    const at = access.local('i32')
    const shadow = access.local('i32')
    const state = access.local('i32')
    const required = signedSize < 0 ? SHADOW_WRITABLE : 0
    const low = i32.wrap_i64(register.get)
    const high = i32.wrap_i64(i64.shr_u(register.get, i64.const(32n)))
    const end = i32.add(i32.and(at.get, i32.const(7)), i32.const(Math.abs(signedSize)))
    const isAllowed = i32.and(
      i32.le_u(end, i32.and(state.get, i32.const(0x0f))),
      i32.eq(i32.and(state.get, i32.const(required)), i32.const(required)),
    )
    access.body([
      shadow.set(load32.full(i32.const(SHADOW_POINTER))),
      at.set(i32.add(low, offset.get)),
      when(
        i32.and(
          i32.eq(high, i32.const(Number(ARENA_BASE >> 32n))),
          i32.and(i32.lt_u(low, shadow.get), i32.lt_u(at.get, shadow.get)),
        ),
        seq(
          state.set(load32.u8(i32.add(shadow.get, i32.shr_u(at.get, i32.const(3))))),
          when(isAllowed, ret(at.get)),
        ),
      ),
      this.#access.call(register.get, offset.get, i32.const(signedSize), pc.get),
    ] as unknown as Code<'i32'>)
    return access as unknown as I32Function
  }

  /** access(register, offset, size, pc): size is negative for a write. */
  #defineAccess(): I32Function {
    const access = this.builder.function('access', ['i64', 'i32', 'i32', 'i32'], 'i32')
    const [register, offset, size, pc] = access.parameters
    const at = access.local('i32')
    const isWrite = i32.lt_s(size.get, i32.const(0))
    const sizeBytes = access.local('i32')
    const required = access.local('i32')
    const wanted = access.local('i64')
    access.body([
      sizeBytes.set(size.get),
      when(
        isWrite,
        seq(sizeBytes.set(i32.sub(i32.const(0), size.get)), required.set(i32.const(SHADOW_WRITABLE))),
      ),
      at.set(this.checkRange(register.get, offset.get, sizeBytes.get, required.get)),
      when(
        i32.lt_s(at.get, i32.const(0)),
        seq(
          wanted.set(i64.add(register.get, i64.extend_i32_s(offset.get))),
          this.#fault.call(
            i32.const(faultCode.memory),
            pc.get,
            i32.wrap_i64(wanted.get),
            i32.wrap_i64(i64.shr_u(wanted.get, i64.const(32n))),
            size.get,
          ),
        ),
      ),
      at.get,
    ] as unknown as Code<'i32'>)
    return access as unknown as I32Function
  }

  /** What `Arena.check` does, on the same shadow. */
  #defineCheck(): I32Function {
    const check = this.builder.function('check', ['i64', 'i32', 'i32', 'i32'], 'i32')
    const [register, offset, size, required] = check.parameters
    const at = check.local('i64')
    const shadow = check.local('i32')
    const granule = check.local('i32')
    const last = check.local('i32')
    const state = check.local('i32')
    const refuse = ret(i32.const(-1)) as Code
    const again = label('granules')
    const high = i32.wrap_i64(i64.shr_u(register.get, i64.const(32n)))
    const end = i64.add(at.get, i64.extend_i32_u(size.get))
    const lacks = (needed: Code<'i32'>) =>
      i32.or(
        i32.lt_u(i32.and(state.get, i32.const(0x0f)), needed),
        i32.ne(i32.and(state.get, required.get), required.get),
      )
    const stateAt = load32.u8(i32.add(shadow.get, granule.get))
    check.body([
      when(i32.ne(high, i32.const(Number(ARENA_BASE >> 32n))), refuse),
      at.set(i64.add(i64.extend_i32_u(i32.wrap_i64(register.get)), i64.extend_i32_s(offset.get))),
      shadow.set(load32.full(i32.const(SHADOW_POINTER))),
      // A negative offset is a very large one.
      when(i64.gt_u(at.get, i64.extend_i32_u(shadow.get)), refuse),
      when(i64.gt_u(end, i64.extend_i32_u(shadow.get)), refuse),
      when(i32.eqz(size.get), ret(i32.wrap_i64(at.get))),
      last.set(i32.sub(i32.wrap_i64(end), i32.const(1))),
      granule.set(i32.shr_u(i32.wrap_i64(at.get), i32.const(3))),
      loop(
        again,
        when(
          i32.lt_u(granule.get, i32.shr_u(last.get, i32.const(3))),
          seq(
            state.set(stateAt),
            when(lacks(i32.const(8)), refuse),
            granule.set(i32.add(granule.get, i32.const(1))),
            br(again),
          ),
        ),
      ),
      state.set(stateAt),
      when(lacks(i32.add(i32.and(last.get, i32.const(7)), i32.const(1))), refuse),
      i32.wrap_i64(at.get),
    ] as unknown as Code<'i32'>)
    return check as unknown as I32Function
  }
}

const shadowOf = (offset: Code<'i32'>): Code<'i32'> =>
  i32.add(load32.full(i32.const(SHADOW_POINTER)), i32.shr_u(offset, i32.const(3)))

/** The numbers of the registers in a set. */
export function registersIn(set: number): number[] {
  return [1, 2, 3, 4, 5].filter((register) => ((set >> register) & 1) !== 0)
}
