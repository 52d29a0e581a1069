/** The checked interpreter as an engine: every access is held against the arena while the program runs. */
import {
  describeFault,
  type FunctionHook,
  type FunctionHooks,
  type HelperFault,
  type HelperResult,
  helperBodies,
  readKernel,
  type Thrown,
} from '../helpers/index.ts'
import {
  type Environment,
  type HelperContext,
  type HelperFunction,
  Interpreter,
  type PreparedProgram,
  prepare,
  type RunResult,
  type TailCall,
} from '../interpreter/index.ts'
import type { Program } from '../isa/index.ts'
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
  type RunOutcome,
} from './engine.ts'

/** Ends a run from inside a helper, whose arguments a verifier would have refused. */
class HelperAbort extends Error {
  readonly pc: number

  constructor(pc: number, fault: HelperFault) {
    super(fault.reason)
    this.pc = pc
  }
}

class Interpreted implements Executable {
  readonly #engine: InterpreterEngine
  readonly #prepare: (executable: Executable, hooks: FunctionHooks | undefined) => PreparedProgram
  readonly #plain: PreparedProgram
  readonly #hooks = new Map<number, FunctionHook>()
  prepared: PreparedProgram

  constructor(
    engine: InterpreterEngine,
    prepare: (executable: Executable, hooks: FunctionHooks | undefined) => PreparedProgram,
  ) {
    this.#engine = engine
    this.#prepare = prepare
    this.#plain = prepare(this, undefined)
    this.prepared = this.#plain
  }

  run(environment: RunEnvironment): RunOutcome {
    return this.#engine.run(this.prepared, environment)
  }

  call(address: bigint, args: readonly bigint[], environment: RunEnvironment): RunOutcome {
    return this.#engine.call(this.prepared, address, args, environment)
  }

  keep(environment: RunEnvironment): KeptRun {
    return {
      run: () => {
        const outcome = this.run(environment)
        return outcome.ok ? undefined : outcome
      },
    }
  }

  enter(args: readonly bigint[], environment: RunEnvironment): RunOutcome {
    return this.#engine.enter(this.prepared, args, environment)
  }

  hook(slot: number, hook: ProgramHook | undefined): void {
    if (hook === undefined) this.#hooks.delete(slot)
    else this.#hooks.set(slot, this.#engine.hookOf(hook))
    // Runs that are under way keep what they began with.
    this.prepared = this.#hooks.size === 0 ? this.#plain : this.#prepare(this, new Map(this.#hooks))
  }
}

export class InterpreterEngine implements Engine {
  readonly name = 'interpreter'
  readonly #interpreter: Interpreter
  readonly #budget: number
  readonly #functions = new Map<number, HelperFunction>()
  readonly #kfuncs = new WeakMap<object, HelperFunction>()
  readonly #executables = new WeakMap<PreparedProgram, Executable>()
  /** The run that is executing now; runs nest, each puts back what it found. */
  #environment: RunEnvironment | undefined

  constructor(arena: Arena, budget: number, kfuncs: KfuncSource) {
    this.#budget = budget
    for (const [id, body] of helperBodies) {
      const keepsCallback = KEEPS_CALLBACK.has(id)
      this.#functions.set(id, (r1, r2, r3, r4, r5, context) => {
        const environment = this.#environment as RunEnvironment
        environment.callback = (address, a1, a2, a3, a4) => context.callback(address, a1, a2, a3, a4)
        if (keepsCallback) environment.caller = this.#executables.get(context.program)
        return this.#continueWith(body(environment, r1, r2, r3, r4, r5), context)
      })
    }
    const environment: Environment = {
      helper: (id) => this.#functions.get(id),
      kfunc: (number) => this.#kfunc(kfuncs, number),
      packet: (_context, offset, sizeBytes) => this.#load(offset, sizeBytes),
      readForeign: (address, into) => readKernel(this.#environment as RunEnvironment, address, into),
    }
    this.#interpreter = new Interpreter(arena, environment)
  }

  prepare(program: Program, { foreignLoads, exceptionCallback, arena }: PrepareOptions = {}): Executable {
    return new Interpreted(this, (executable, hooks) => {
      const prepared = prepare(program, { foreignLoads, exceptionCallback, arena, hooks })
      this.#executables.set(prepared, executable)
      return prepared
    })
  }

  /** For the programs of this engine: with the environment of whatever run makes the call. */
  hookOf(hook: ProgramHook): FunctionHook {
    return {
      argumentCount: hook.argumentCount,
      call: (args, proceed) => hook.call(this.#environment as RunEnvironment, args, proceed),
    }
  }

  enter(program: PreparedProgram, args: readonly bigint[], environment: RunEnvironment): RunOutcome {
    const options = { budget: this.#budget }
    return this.#inside(environment, () => this.#interpreter.enter(program, args, options))
  }

  run(program: PreparedProgram, environment: RunEnvironment): RunOutcome {
    const options = { budget: this.#budget }
    return this.#inside(environment, () => this.#interpreter.run(program, environment.context, options))
  }

  call(
    program: PreparedProgram,
    address: bigint,
    args: readonly bigint[],
    environment: RunEnvironment,
  ): RunOutcome {
    const options = { budget: this.#budget }
    return this.#inside(environment, () => this.#interpreter.call(program, address, args, options))
  }

  #inside(environment: RunEnvironment, run: () => RunResult): RunOutcome {
    const outer = this.#environment
    this.#environment = environment
    try {
      const result = run()
      if (result.ok) return result
      return { ok: false, pc: result.fault.pc, message: describeFault(result.fault) }
    } catch (error) {
      if (!(error instanceof HelperAbort)) throw error
      return { ok: false, pc: error.pc, message: `instruction ${error.pc}: ${error.message}` }
    } finally {
      this.#environment = outer
    }
  }

  /** Big endian; undefined outside of the packet. */
  #load(offset: number, sizeBytes: 1 | 2 | 4): number | undefined {
    const packet = this.#environment?.packet
    if (packet === undefined || offset < 0 || offset + sizeBytes > packet.length) return undefined
    let value = 0
    for (let i = 0; i < sizeBytes; i++) value = value * 256 + (packet[offset + i] as number)
    return value
  }

  #kfunc(kfuncs: KfuncSource, number: number): HelperFunction | undefined {
    const bound = kfuncs.at(number)
    if (bound === undefined) return undefined
    const known = this.#kfuncs.get(bound)
    if (known !== undefined) return known
    const made: HelperFunction = (r1, r2, r3, r4, r5, context) => {
      const environment = this.#environment as RunEnvironment
      environment.callback = (address, a1, a2, a3, a4) => context.callback(address, a1, a2, a3, a4)
      environment.caller = this.#executables.get(context.program)
      return this.#continueWith(bound.body(environment, bound.call, r1, r2, r3, r4, r5), context)
    }
    this.#kfuncs.set(bound, made)
    return made
  }

  #continueWith(result: HelperResult, context: HelperContext): bigint | TailCall | Thrown {
    if (typeof result === 'bigint' || result.kind === 'throw') return result
    if (result.kind === 'fault') throw new HelperAbort(context.pc, result)
    const { executable } = result.program as { readonly executable: Interpreted }
    return { tailCall: executable.prepared }
  }
}
