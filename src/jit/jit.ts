/**
 * Compiles programs and runs them: the fast engine, held to the interpreter's results by one suite of tests.
 *
 * Rules
 * - Runs may nest: a helper may start another one, of the same program too. Each has a block of the arena
 *   (`layout.ts`), kept for the next.
 * - A fault unwinds compiled code by an exception that never leaves this folder.
 */
import type { Fault, FunctionHook, FunctionHooks, HelperFault } from '../helpers/index.ts'
import type { Program } from '../isa/index.ts'
import { type ArenaUse, HashBase, RingBuffer } from '../maps/index.ts'
import type { Arena } from '../memory/index.ts'
import type { MarkPlace } from '../wasm/index.ts'
import type { CompiledProgram } from './compiled.ts'
import type { JitEnvironment, JitHelper, JitHelperContext, JitTailCall } from './environment.ts'
import { ExceptionSignal, FaultSignal, faultCode } from './fault.ts'
import { argumentCountOf } from './helper-arguments.ts'
import {
  FIRST_FRAME,
  FRAME_STEP,
  FRAMES,
  FRAMES_BYTES,
  lastFrameFrom,
  MAX_FRAMES,
  MAX_TAIL_CALLS,
  RUN_BYTES,
  runBlock,
  STACK_BYTES,
} from './layout.ts'
import { mapImports } from './map-calls.ts'
import { ModuleContext } from './module-context.ts'
import { decodeProgram, FUNCTION_BASE } from './program.ts'
import { JitRun, type JitRunOptions, NO_LIMIT, type Now } from './run.ts'
import { setWords, wordsAt } from './words.ts'

export interface JitOptions {
  /** See `CompileOptions.isProved`. Default false. */
  readonly isProved?: boolean
  /** Slots of loads whose pointers may be of the operating system's kernel. */
  readonly foreignLoads?: ReadonlySet<number>
  /** The arena map whose pages the program uses. */
  readonly arena?: ArenaUse | undefined
  /** Slot of the subprogram that exceptions go to; nothing in the text calls it. */
  readonly exceptionCallback?: number | undefined
  /** What stands for functions of the program. */
  readonly hooks?: FunctionHooks | undefined
  /** Whether it is run by `enter`, with up to five arguments. Default false. */
  readonly takesArguments?: boolean
  /** For names in stack traces and profiles. */
  readonly name?: string
  /** Whether to note which instruction each piece of code is for, as `marks` of the compiled program. */
  readonly isTraced?: boolean
}

export type JitResult =
  | { readonly ok: true; readonly value: bigint }
  | { readonly ok: false; readonly fault: Fault }

export class Jit {
  readonly #arena: Arena
  readonly #environment: JitEnvironment
  /** Runs that nobody is using, with the first frame open, and with all of them. */
  readonly #idle = { checked: [] as JitRun[], proved: [] as JitRun[] }
  /** The blocks of runs that are kept, by CPU. */
  readonly #kept = { checked: [] as (number | undefined)[], proved: [] as (number | undefined)[] }
  /** Imports, by number: they find the run through its block, so all programs share them. */
  readonly #helpers = new Map<number, unknown>()
  readonly #words = new Map<number, unknown>()
  readonly #run: Record<string, unknown>
  readonly #now: Now = { program: undefined, budget: NO_LIMIT }

  constructor(arena: Arena, environment: JitEnvironment) {
    this.#arena = arena
    this.#environment = environment
    this.#run = {
      fault: (code: number, pc: number, a: number, b: number, c: number) => {
        throw new FaultSignal(this.#faultOf(code, pc, a, b, c))
      },
      packet: (run: number, pc: number, offset: number, sizeBytes: number) =>
        this.#packet(run, pc, offset, sizeBytes as 1 | 2 | 4),
      foreign: (run: number, low: number, high: number, sizeBytes: number) =>
        this.#readForeign(run, low, high, sizeBytes),
      wake: (header: number) => {
        const map = environment.mapAt?.(arena.address(header))
        if (map instanceof RingBuffer) map.onWakeup?.()
      },
      indirect: (run: number, pc: number, id: number) => this.#callHelper(id, run, pc, 5),
    }
  }

  /** `program` has map addresses and values in the place of descriptors. */
  compile(program: Program, options: JitOptions = {}): CompiledProgram {
    const environment = this.#environment
    const { exceptionCallback } = options
    const extraEntries = exceptionCallback === undefined ? [] : [exceptionCallback]
    const context = new ModuleContext(decodeProgram(program, extraEntries), {
      extraEntries,
      hooks: options.hooks,
      takesArguments: options.takesArguments ?? false,
      isProved: options.isProved ?? false,
      isTraced: options.isTraced ?? false,
      ...(options.foreignLoads === undefined ? {} : { foreignLoads: options.foreignLoads }),
      ...(options.arena === undefined ? {} : { arenaUse: options.arena }),
      arena: this.#arena,
      ...(options.name === undefined ? {} : { name: options.name }),
      mapAt: (address) => environment.mapAt?.(address),
      argumentCount: (id) => this.#argumentCount(id),
      kfuncInline: (id) => environment.kfuncInline?.(id),
      kfuncArgumentCount: (id) => environment.kfuncArgumentCount?.(id) ?? 5,
      hasWordHelper: (id) => environment.wordHelpers?.has(id) === true,
      inlinesHelpers: environment.inlinesHelpers === true,
    })
    const marks = options.isTraced === true ? new Map<string, MarkPlace[]>() : undefined
    const bytes = context.encode(marks)
    let exports: CompiledProgram['exports'] | undefined
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
      arena: { memory: this.#arena.memory },
      run: this.#run,
      pages: options.arena === undefined ? {} : this.#pageImports(options.arena),
      helper: this.#importsBy(this.#helpers, (id) => this.#helperImport(Number(id))),
      word: this.#importsBy(this.#words, (id) => this.#wordImport(Number(id))),
      // Not shared: a kernel numbers its functions anew for some calls.
      kfunc: this.#importsBy(new Map<string, unknown>(), (key) => this.#kfuncImport(String(key))),
      map: this.#importsBy(new Map<string, unknown>(), (key) => this.#mapImport(String(key))),
      hook: this.#importsBy(new Map<string, unknown>(), (key) => {
        const entry = Number(key)
        const hook = options.hooks?.get(entry)
        if (hook === undefined) throw new Error(`nothing stands for function ${entry}`)
        return (run: number, frame: number) =>
          this.#callHook(hook, entry, run, () => exports?.[`function ${entry}`]?.(frame))
      }),
    })
    // Copied: the object that WebAssembly gives is a dictionary, in which each call would look its function up.
    exports = { ...(instance.exports as unknown as CompiledProgram['exports']) }
    for (const [name, value] of Object.entries(instance.exports)) {
      const [what, address] = name.split(' ')
      if (what !== 'release' || address === undefined) continue
      const map = environment.mapAt?.(BigInt(address))
      if (map instanceof HashBase) map.elements.compiledRelease ??= value as () => void
    }
    const { callbackEntries } = context
    return {
      isProved: options.isProved ?? false,
      ...(marks === undefined ? {} : { marks }),
      bytes,
      callbackEntries,
      exceptionCallback,
      exports,
    }
  }

  /** Runs `program` from its first instruction with `context` in r1 until it exits or cannot go on. */
  run(program: CompiledProgram, context: bigint, options: JitRunOptions = {}): JitResult {
    const run = this.open(program, context, options)
    if (run === undefined) return { ok: false, fault: { kind: 'no-memory', pc: 0 } }
    try {
      if (run.once() < 0) return { ok: false, fault: run.fault as Fault }
      const { value } = run
      return value === 0n ? GAVE_ZERO : { ok: true, value }
    } finally {
      run[Symbol.dispose]()
    }
  }

  /** As `run`, with r1 and as many of those behind it as there are; of programs that are compiled so. */
  enter(program: CompiledProgram, args: readonly bigint[], options: JitRunOptions = {}): JitResult {
    const [r1 = 0n, r2 = 0n, ...others] = args
    const run = this.open(program, r1, { ...options, r2 })
    if (run === undefined) return { ok: false, fault: { kind: 'no-memory', pc: 0 } }
    try {
      run.giveMore(others)
      return run.once() < 0 ? { ok: false, fault: run.fault as Fault } : { ok: true, value: run.value }
    } finally {
      run[Symbol.dispose]()
    }
  }

  /** Calls the subprogram at `address` with up to five arguments, as a run of its own; its r0 is the result. */
  call(
    program: CompiledProgram,
    address: bigint,
    args: readonly bigint[],
    options: JitRunOptions = {},
  ): JitResult {
    const run = this.open(program, 0n, options)
    if (run === undefined) return { ok: false, fault: { kind: 'no-memory', pc: 0 } }
    try {
      const low = run.call(address, args)
      return low < 0 ? { ok: false, fault: run.fault as Fault } : { ok: true, value: run.value }
    } finally {
      run[Symbol.dispose]()
    }
  }

  /** `program` with its context and its stacks, to be run any number of times; undefined without memory for them. */
  open(program: CompiledProgram, context: bigint, options: JitRunOptions = {}): JitRun | undefined {
    const { isProved } = program
    const run = this.#idle[isProved ? 'proved' : 'checked'].pop() ?? this.#newRun(isProved)
    run?.give(program, context, options)
    return run
  }

  /**
   * As `open`, but never to be closed: all that are kept for a CPU have one block, so no two of them may run at once,
   * nor may one inside of itself.
   */
  keep(program: CompiledProgram, context: bigint, options: JitRunOptions = {}): JitRun | undefined {
    const { isProved } = program
    const blocks = this.#kept[isProved ? 'proved' : 'checked']
    const cpu = options.cpu ?? 0
    blocks[cpu] ??= this.#newBlock(isProved)
    const block = blocks[cpu]
    if (block === undefined) return undefined
    const failed = () => this.#resetFrames(block, isProved)
    const run = new JitRun(this.#arena, this.#now, block, { failed, end: () => undefined })
    run.give(program, context, options)
    return run
  }

  #newBlock(isProved: boolean): number | undefined {
    const block = this.#arena.allocate(RUN_BYTES, { align: RUN_BYTES, access: 'none' })
    if (block !== undefined) this.#resetFrames(block, isProved)
    return block
  }

  #newRun(isProved: boolean): JitRun | undefined {
    const block = this.#newBlock(isProved)
    if (block === undefined) return undefined
    const idle = this.#idle[isProved ? 'proved' : 'checked']
    return new JitRun(this.#arena, this.#now, block, {
      failed: () => this.#resetFrames(block, isProved),
      end: (run) => idle.push(run),
    })
  }

  /** The first frame is always open. The others are where nothing is checked, since helpers check their arguments. */
  #resetFrames(block: number, isProved: boolean): void {
    this.#arena.setAccess(block + FRAMES, FRAMES_BYTES, isProved ? 'write' : 'none')
    this.#arena.setAccess(block + FIRST_FRAME, STACK_BYTES, 'write')
  }

  #argumentCount(id: number): number {
    return this.#environment.argumentCount?.(id) ?? argumentCountOf(id)
  }

  /** An object that gives the import of each name that a module asks for, made when it is first asked for. */
  #importsBy<K>(made: Map<K, unknown>, make: (name: K | string) => unknown): Record<string, unknown> {
    return new Proxy(
      {},
      {
        get: (_, name) => {
          const key = name as K
          const known = made.get(key)
          if (known !== undefined) return known
          const created = make(key)
          made.set(key, created)
          return created
        },
      },
    )
  }

  #helperImport(id: number): unknown {
    const count = this.#argumentCount(id)
    return (run: number, pc: number) => this.#callHelper(id, run, pc, count)
  }

  #wordImport(id: number): unknown {
    const helper = this.#environment.wordHelpers?.get(id)
    if (helper === undefined) throw new Error(`no word helper ${id}`)
    return (run: number) => helper(this.#arena.words, (run + runBlock.result + 4) >>> 2)
  }

  #kfuncImport(key: string): unknown {
    const [btfId, btfIndex] = key.split(' ').map(Number) as [number, number]
    return (run: number, pc: number) => {
      const body = this.#environment.kfunc?.(btfId, btfIndex)
      if (body === undefined) throw new FaultSignal({ kind: 'unknown-kfunc', pc, btfId, btfIndex })
      return this.#callBody(body, btfId, run, pc, this.#environment.kfuncArgumentCount?.(btfId) ?? 5)
    }
  }

  /** What the code of maps asks of JavaScript: `what address`. */
  #mapImport(key: string): unknown {
    const [what, address] = key.split(' ') as [string, string]
    const map = this.#environment.mapAt?.(BigInt(address))
    if (map === undefined) throw new Error(`no map at ${address}`)
    const make = mapImports[what]
    if (make === undefined) throw new Error(`no import ${what}`)
    return make(map)
  }

  #callHelper(id: number, run: number, pc: number, count: number): number {
    const body = this.#environment.helper(id)
    if (body === undefined) throw new FaultSignal({ kind: 'unknown-helper', pc, id })
    return this.#callBody(body, id, run, pc, count)
  }

  /** 1 where a tail call has ended the program. */
  #callBody(body: JitHelper, id: number, run: number, pc: number, count: number): number {
    const { words } = this.#arena
    const at = run >>> 2
    const argument = (n: number) => (n < count ? wordsAt(words, at + 2 * n) : 0n)
    const frame = words[at + runBlock.frame / 4] as number
    const program = this.#now.program as CompiledProgram
    const context: JitHelperContext = {
      program,
      pc,
      callback: (address, r1, r2 = 0n, r3 = 0n, r4 = 0n, r5 = 0n) =>
        this.#callback(program, run, frame, pc, address, [r1, r2, r3, r4, r5]),
    }
    const result = body(argument(0), argument(1), argument(2), argument(3), argument(4), context)
    if (typeof result === 'bigint') {
      setWords(this.#arena.words, (run + runBlock.result) >>> 2, result)
      return 0
    }
    if ('kind' in result) {
      if (result.kind === 'throw') throw new ExceptionSignal(program, result.cookie)
      throw new FaultSignal({ kind: 'helper', pc, id, cause: result as HelperFault })
    }
    return this.#tailCall(result, run, frame)
  }

  #tailCall({ tailCall }: JitTailCall, run: number, frame: number): number {
    const { words } = this.#arena
    const count = (run + runBlock.tailCalls) >>> 2
    // The program goes on with r0 as it was.
    if ((words[count] as number) >= MAX_TAIL_CALLS) return 0
    words[count] = (words[count] as number) + 1
    const lastAt = (run + runBlock.lastFrame) >>> 2
    const last = words[lastAt] as number
    words[lastAt] = lastFrameFrom(frame)
    const caller = this.#now.program
    this.#now.program = tailCall
    const opens = tailCall.isProved && caller?.isProved === false
    const inner = run + FRAMES
    if (opens) this.#arena.setAccess(inner, frame - inner, 'write')
    tailCall.exports.tail(frame)
    // As the caller expects the frames below, whatever the other program did with them.
    if (opens) this.#arena.setAccess(inner, frame - inner, 'none')
    else if (caller?.isProved === true) this.#arena.setAccess(inner, frame - inner, 'write')
    this.#now.program = caller
    this.#arena.words[lastAt] = last
    return 1
  }

  #callback(
    program: CompiledProgram,
    run: number,
    frame: number,
    pc: number,
    address: bigint,
    args: readonly bigint[],
  ): bigint {
    const { callback } = program.exports
    const index = program.callbackEntries.indexOf(Number(address - FUNCTION_BASE) / 8)
    if (callback === undefined || index < 0) throw new FaultSignal({ kind: 'not-a-function', pc, address })
    const inner = frame - FRAME_STEP
    const { words } = this.#arena
    if (inner < (words[(run + runBlock.lastFrame) >>> 2] as number))
      throw new FaultSignal({ kind: 'call-depth', pc, depth: MAX_FRAMES })
    for (const [n, value] of args.entries()) setWords(words, (run >>> 2) + 2 * n, value)
    if (!program.isProved) this.#arena.setAccess(inner, STACK_BYTES, 'write')
    const outer = this.#now.program
    this.#now.program = program
    callback(index, inner)
    this.#now.program = outer
    if (!program.isProved) this.#arena.setAccess(inner, STACK_BYTES, 'none')
    return wordsAt(this.#arena.words, (run + runBlock.result) >>> 2)
  }

  /** Leaves in the run's block what stands for a function gives; `itself` runs the function, with what the block holds. */
  #callHook(hook: FunctionHook, entry: number, run: number, itself: () => void): void {
    const at = run >>> 2
    const args = [0, 1, 2, 3, 4].map((n) => wordsAt(this.#arena.words, at + 2 * n))
    const result = hook.call(args, () => {
      for (const [n, value] of args.entries()) setWords(this.#arena.words, at + 2 * n, value)
      itself()
      return wordsAt(this.#arena.words, (run + runBlock.result) >>> 2)
    })
    if (typeof result !== 'bigint') throw new FaultSignal({ kind: 'hook', pc: entry, reason: result.reason })
    setWords(this.#arena.words, (run + runBlock.result) >>> 2, result)
  }

  #readForeign(run: number, low: number, high: number, sizeBytes: number): void {
    const address = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
    // Apart from the arena, whose bytes move where what is asked makes it grow.
    const bytes = new Uint8Array(sizeBytes)
    const failed = this.#environment.readForeign?.(address, bytes) ?? -1
    if (failed < 0) bytes.fill(0)
    this.#arena.bytes.set(bytes, run + runBlock.result)
  }

  /** What paged-access.ts asks for. */
  #pageImports({ map: { pages } }: ArenaUse): Record<string, unknown> {
    const placeOf = (low: number, high: number) => high * 2 ** 32 + (low >>> 0)
    return {
      read: (run: number, low: number, high: number, sizeBytes: number): number => {
        const result = run + runBlock.result
        const { bytes } = this.#arena
        bytes.fill(0, result, result + sizeBytes)
        return pages.read(placeOf(low, high), bytes.subarray(result, result + sizeBytes)) ? 1 : 0
      },
      write: (run: number, low: number, high: number, sizeBytes: number) => {
        const result = run + runBlock.result
        pages.write(placeOf(low, high), this.#arena.bytes.slice(result, result + sizeBytes))
      },
    }
  }

  #packet(run: number, pc: number, offset: number, sizeBytes: 1 | 2 | 4): number {
    const { packet } = this.#environment
    if (packet === undefined) throw new FaultSignal({ kind: 'no-packet', pc })
    const context = wordsAt(this.#arena.words, run >>> 2)
    const value = packet.call(this.#environment, context, offset, sizeBytes)
    if (value === undefined) return 0
    setWords(this.#arena.words, (run + runBlock.result) >>> 2, BigInt(value))
    return 1
  }

  #faultOf(code: number, pc: number, a: number, b: number, c: number): Fault {
    switch (code) {
      case faultCode.memory: {
        const address = (BigInt(b >>> 0) << 32n) | BigInt(a >>> 0)
        return { kind: 'memory', pc, address, sizeBytes: Math.abs(c), access: c < 0 ? 'write' : 'read' }
      }
      case faultCode.budget:
        return { kind: 'budget', pc, budget: this.#now.budget }
      case faultCode.unknownInstruction:
        return { kind: 'unknown-instruction', pc, opcode: a }
      case faultCode.callDepth:
        return { kind: 'call-depth', pc, depth: MAX_FRAMES }
      default:
        return { kind: 'out-of-program', pc }
    }
  }
}

/** What most programs answer, made once: an object for each hit costs the collector 10 ns. */
const GAVE_ZERO: JitResult = { ok: true, value: 0n }
