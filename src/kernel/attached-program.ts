/**
 * A tracing program at the place that it is attached to: what a hit needs is made the first time a CPU gets there, so that
 * later ones find it in few places and make nothing.
 *
 * Rule: while a tracing program runs on a CPU, another that would run there because of it does not: it is counted as a
 * recursion miss, as Linux does. So all that are kept for a CPU may share what their runs need.
 */
import type { Grace } from '../memory/index.ts'
import type { StoppedCpu } from '../probes/index.ts'
import type { KeptRun } from './engine.ts'
import type { FunctionCall } from './function-call.ts'
import type { ProgramObject } from './program-object.ts'
import { Environment } from './run-environment.ts'
import type { ProgramRunner } from './runner.ts'
import type { TracingCpu } from './tracing-cpu.ts'

/** The program on one CPU. */
interface Ready {
  readonly on: TracingCpu
  readonly environment: Environment
  readonly kept: KeptRun
}

export class AttachedProgram {
  readonly program: ProgramObject
  readonly #runner: ProgramRunner
  readonly #grace: Grace
  readonly #overridesReturn: boolean
  readonly #address: bigint
  readonly #cookie: bigint
  /** By CPU. */
  readonly #ready: (Ready | undefined)[] = []

  /** `address`: what bpf_get_func_ip() gives. */
  constructor(runner: ProgramRunner, program: ProgramObject, address: bigint, cookie: bigint) {
    this.#runner = runner
    this.#grace = runner.host.grace
    this.program = program
    this.#overridesReturn = program.loaded.overridesReturn
    this.#address = address
    this.#cookie = cookie
  }

  /** Runs with the registers of the stopped CPU as the context. */
  runAtProbe(cpu: StoppedCpu): void {
    const ready = this.#admit(cpu.index, 'registers')
    if (ready === undefined) return
    if (this.program.usesContext) ready.on.writeRegisters(cpu)
    if (!this.#overridesReturn) this.#run(ready)
    else {
      ready.environment.stopped = cpu
      this.#run(ready)
      ready.environment.stopped = undefined
    }
  }

  /** Runs with a function's arguments, and its result where it has returned, as the context. */
  runAtCall(cpu: StoppedCpu, call: FunctionCall): void {
    const ready = this.#admit(cpu.index, 'call')
    if (ready === undefined) return
    ready.on.writeCall(call)
    this.#run(ready)
  }

  /** The program on a CPU; undefined where it cannot run there now, which is counted or reported. */
  #admit(index: number, contextIs: 'registers' | 'call'): Ready | undefined {
    const ready = this.#ready[index] ?? this.#prepare(index, contextIs)
    if (ready === undefined || !ready.on.isActive) return ready
    this.program.recursionMisses++
    this.#runner.recursionMisses++
    return undefined
  }

  #run({ on, kept }: Ready): void {
    const runner = this.#runner
    const grace = this.#grace
    const start = runner.measuring > 0 ? runner.host.profilingClockNs() : 0n
    on.isActive = true
    grace.enter()
    try {
      const failure = kept.run()
      if (failure !== undefined) runner.reportFault(this.program, failure.pc, failure.message)
    } finally {
      grace.leave()
      on.isActive = false
      if (runner.measuring > 0) runner.countRun(this.program, start)
    }
  }

  #prepare(index: number, contextIs: 'registers' | 'call'): Ready | undefined {
    const runner = this.#runner
    const on = runner.tracingCpu(index)
    const context = contextIs === 'registers' ? on.registersAddress() : on.callAddress()
    if (context !== undefined) {
      const probed = { probedAddress: this.#address, cookie: this.#cookie }
      const environment = new Environment(runner.host, { cpu: index, context, ...probed })
      const kept = this.program.executable.keep(environment)
      if (kept !== undefined) {
        const ready = { on, environment, kept }
        this.#ready[index] = ready
        return ready
      }
    }
    runner.reportFault(this.program, -1, `no memory for the ${contextIs} of CPU ${index}`)
    return undefined
  }
}
