/** The WebAssembly compiler as an engine: checked where nothing is proved, as the interpreter is. */
import {
  describeFault,
  type Fault,
  type FunctionHook,
  type FunctionHooks,
  helperBodies,
  readKernel,
} from '../helpers/index.ts'
import type { Program } from '../isa/index.ts'
import {
  type CompiledProgram,
  Jit,
  type JitHelper,
  type JitResult,
  type JitRunOptions,
  type WordHelper,
} from '../jit/index.ts'
import type { BpfMap } from '../maps/index.ts'
import type { Arena } from '../memory/index.ts'
import {
  type Engine,
  type Executable,
  KEEPS_CALLBACK,
  type KeptRun,
  type KfuncSource,
  type PrepareOptions,
  type ProgramHook,
  type RunEnvironment,
  type RunFailure,
  type RunOutcome,
} from './engine.ts'

/** Compiled when it first runs, or is looked at: objects have programs that are never attached. */
class Compiled implements Executable {
  readonly #engine: JitEngine
  readonly #compile: (executable: Executable, hooks: FunctionHooks | undefined) => CompiledProgram
  /** As it was loaded; kept while something is attached, to be there at once when that ends. */
  #plain: CompiledProgram | undefined
  readonly #hooks = new Map<number, FunctionHook>()
  /** What runs. */
  #program: CompiledProgram | undefined

  constructor(
    engine: JitEngine,
    compile: (executable: Executable, hooks: FunctionHooks | undefined) => CompiledProgram,
  ) {
    this.#engine = engine
    this.#compile = compile
  }

  get program(): CompiledProgram {
    this.#program ??= this.#hooks.size === 0 ? this.#asLoaded : this.#compile(this, new Map(this.#hooks))
    return this.#program
  }

  get #asLoaded(): CompiledProgram {
    this.#plain ??= this.#compile(this, undefined)
    return this.#plain
  }

  get image(): Uint8Array {
    return this.#asLoaded.bytes
  }

  makeReady(): void {
    void this.program
  }

  hook(slot: number, hook: ProgramHook | undefined): void {
    if (hook === undefined) this.#hooks.delete(slot)
    else this.#hooks.set(slot, this.#engine.hookOf(hook))
    // Runs that are under way keep what they began with.
    this.#program = undefined
  }

  enter(args: readonly bigint[], environment: RunEnvironment): RunOutcome {
    return this.#engine.enter(this.program, args, environment)
  }

  run(environment: RunEnvironment): RunOutcome {
    return this.#engine.run(this.program, environment)
  }

  call(address: bigint, args: readonly bigint[], environment: RunEnvironment): RunOutcome {
    return this.#engine.call(this.program, address, args, environment)
  }

  keep(environment: RunEnvironment): KeptRun | undefined {
    return this.#engine.keep(this, environment)
  }
}

function failed(fault: Fault): RunFailure {
  // Of a bad argument, the interpreter's engine gives the cause alone.
  const message =
    fault.kind === 'helper' ? `instruction ${fault.pc}: ${fault.cause.reason}` : describeFault(fault)
  return { ok: false, pc: fault.pc, message }
}

const NO_TASK = { tgid: 0, pid: 0, uid: 0, gid: 0 }

export class JitEngine implements Engine {
  readonly name = 'jit'
  readonly #jit: Jit
  readonly #budget: number
  readonly #kfuncs = new WeakMap<object, JitHelper>()
  readonly #executables = new WeakMap<CompiledProgram, Executable>()
  /** By CPU. */
  readonly #options: (JitRunOptions | undefined)[] = []
  /** The run that is executing now; runs nest, each puts back what it found. */
  #environment: RunEnvironment | undefined

  constructor(
    arena: Arena,
    budget: number,
    mapAt: (address: bigint) => BpfMap | undefined,
    kfuncs: KfuncSource,
  ) {
    this.#budget = budget
    const helpers = new Map<number, JitHelper>()
    for (const [id, body] of helperBodies) {
      const keepsCallback = KEEPS_CALLBACK.has(id)
      helpers.set(id, (r1, r2, r3, r4, r5, context) => {
        const environment = this.#current
        environment.callback = (address, a1, a2, a3, a4) => context.callback(address, a1, a2, a3, a4)
        if (keepsCallback) environment.caller = this.#executables.get(context.program)
        const result = body(environment, r1, r2, r3, r4, r5)
        if (typeof result === 'bigint' || result.kind !== 'tailCall') return result
        const { executable } = result.program as { readonly executable: Compiled }
        return { tailCall: executable.program }
      })
    }
    this.#jit = new Jit(arena, {
      helper: (id) => helpers.get(id),
      kfunc: (number) => this.#kfunc(kfuncs, number),
      kfuncInline: (number) => kfuncs.at(number)?.inline,
      kfuncArgumentCount: (number) => kfuncs.at(number)?.argumentCount ?? 5,
      packet: (_context, offset, sizeBytes) => this.#load(offset, sizeBytes),
      readForeign: (address, into) => readKernel(this.#current, address, into),
      mapAt,
      inlinesHelpers: true,
      wordHelpers: this.#wordHelpers(),
    })
  }

  prepare(program: Program, options: PrepareOptions = {}): Executable {
    return new Compiled(this, (executable, hooks) => {
      const compiled = this.#jit.compile(program, { ...options, hooks })
      this.#executables.set(compiled, executable)
      return compiled
    })
  }

  /** For the programs of this engine: with the environment of whatever run makes the call. */
  hookOf(hook: ProgramHook): FunctionHook {
    return {
      argumentCount: hook.argumentCount,
      call: (args, proceed) => hook.call(this.#current, args, proceed),
    }
  }

  enter(program: CompiledProgram, args: readonly bigint[], environment: RunEnvironment): RunOutcome {
    const options = this.#optionsOf(environment.cpu)
    return this.#inside(environment, () => this.#jit.enter(program, args, options))
  }

  run(program: CompiledProgram, environment: RunEnvironment): RunOutcome {
    const options = this.#optionsOf(environment.cpu)
    return this.#inside(environment, () => this.#jit.run(program, environment.context, options))
  }

  keep(executable: Compiled, environment: RunEnvironment): KeptRun | undefined {
    const options = this.#optionsOf(environment.cpu)
    let { program } = executable
    const run = this.#jit.keep(program, environment.context, options)
    if (run === undefined) return undefined
    return {
      run: () => {
        // It is compiled again where something is attached to it.
        if (executable.program !== program) {
          program = executable.program
          run.give(program, environment.context, options)
        }
        const outer = this.#environment
        this.#environment = environment
        try {
          return run.once() < 0 ? failed(run.fault as Fault) : undefined
        } finally {
          this.#environment = outer
        }
      },
    }
  }

  /** Made once for each CPU. */
  #optionsOf(cpu: number): JitRunOptions {
    const known = this.#options[cpu]
    if (known !== undefined) return known
    const made = { budget: this.#budget, cpu }
    this.#options[cpu] = made
    return made
  }

  call(
    program: CompiledProgram,
    address: bigint,
    args: readonly bigint[],
    environment: RunEnvironment,
  ): RunOutcome {
    const options = this.#optionsOf(environment.cpu)
    return this.#inside(environment, () => this.#jit.call(program, address, args, options))
  }

  #inside(environment: RunEnvironment, run: () => JitResult): RunOutcome {
    const outer = this.#environment
    this.#environment = environment
    try {
      const result = run()
      return result.ok ? result : failed(result.fault)
    } finally {
      this.#environment = outer
    }
  }

  #kfunc(kfuncs: KfuncSource, number: number): JitHelper | undefined {
    const bound = kfuncs.at(number)
    if (bound === undefined) return undefined
    const known = this.#kfuncs.get(bound)
    if (known !== undefined) return known
    const made: JitHelper = (r1, r2, r3, r4, r5, context) => {
      const environment = this.#current
      environment.callback = (address, a1, a2, a3, a4) => context.callback(address, a1, a2, a3, a4)
      environment.caller = this.#executables.get(context.program)
      const result = bound.body(environment, bound.call, r1, r2, r3, r4, r5)
      if (typeof result === 'bigint' || result.kind !== 'tailCall') return result
      throw new Error('a kernel function made a tail call')
    }
    this.#kfuncs.set(bound, made)
    return made
  }

  get #current(): RunEnvironment {
    return this.#environment as RunEnvironment
  }

  /** The helpers that programs call most and that take nothing, without a BigInt where there need be none. */
  #wordHelpers(): ReadonlyMap<number, WordHelper> {
    const task = () => this.#current.task() ?? NO_TASK
    const nanoseconds = (words: Uint32Array, high: number, time: bigint) => {
      words[high] = Number(time >> 32n)
      return Number(time & 0xffff_ffffn)
    }
    return new Map<number, WordHelper>([
      [5, (words, high) => nanoseconds(words, high, this.#current.monotonicNs())],
      [125, (words, high) => nanoseconds(words, high, this.#current.bootNs())],
      [
        7,
        (words, high) => {
          words[high] = 0
          return this.#current.random()
        },
      ],
      [
        14,
        (words, high) => {
          const { tgid, pid } = task()
          words[high] = tgid
          return pid
        },
      ],
      [
        15,
        (words, high) => {
          const { gid, uid } = task()
          words[high] = gid
          return uid
        },
      ],
    ])
  }

  /** Big endian; undefined outside of the packet. */
  #load(offset: number, sizeBytes: 1 | 2 | 4): number | undefined {
    const packet = this.#environment?.packet
    if (packet === undefined || offset < 0 || offset + sizeBytes > packet.length) return undefined
    let value = 0
    for (let i = 0; i < sizeBytes; i++) value = value * 256 + (packet[offset + i] as number)
    return value
  }
}
