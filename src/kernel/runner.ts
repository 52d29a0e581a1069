/**
 * Runs programs: lends them an environment, counts.
 *
 * Rules:
 * - A run-time error is counted at the program, kept, and reported.
 * - Runs are inside of a grace period, and what a program holds is let go behind one: it may be unloaded by what it
 *   sets off.
 */
import type { HookFault } from '../helpers/index.ts'
import { AttachedProgram } from './attached-program.ts'
import type { RunEnvironment } from './engine.ts'
import { CALL_BYTES, CALL_HEADER_BYTES, type FunctionCall, writeCall } from './function-call.ts'
import type { TaskIdentity } from './port.ts'
import type { ProgramObject } from './program-object.ts'
import { registerLayouts } from './registers.ts'
import { Environment, type Invocation, type RunnerHost } from './run-environment.ts'
import { TracingCpu } from './tracing-cpu.ts'
import type { ProgramFault } from './types.ts'

const FAULTS_KEPT = 64

/** A subprogram, with up to five arguments. */
interface Callee {
  readonly address: bigint
  readonly args: readonly bigint[]
}

export class ProgramRunner {
  readonly host: RunnerHost
  readonly #cpus: readonly TracingCpu[]
  /** Blocks for the arguments of calls of programs' functions that nobody is using. */
  readonly #idleCalls: number[] = []
  readonly #faults: ProgramFault[] = []
  faultCount = 0
  recursionMisses = 0
  /** Whether run times are measured: BPF_ENABLE_STATS. */
  measuring = 0

  constructor(host: RunnerHost) {
    this.host = host
    const layout = registerLayouts[host.port.architecture]
    this.#cpus = Array.from({ length: host.port.cpuCount }, () => new TracingCpu(host.arena, layout))
  }

  get faults(): readonly ProgramFault[] {
    return this.#faults
  }

  tracingCpu(index: number): TracingCpu {
    return this.#cpus[index] as TracingCpu
  }

  /** A tracing program at a place whose bpf_get_func_ip() is `address`. Takes no reference. */
  attach(program: ProgramObject, address: bigint, cookie: bigint): AttachedProgram {
    return new AttachedProgram(this, program, address, cookie)
  }

  /**
   * Runs a tracing program at a call of another program's function. That may itself be a program at such a call, each
   * has arguments of its own; only itself a program does not run inside of.
   */
  runAround(
    program: ProgramObject,
    outer: RunEnvironment,
    call: FunctionCall,
    address: bigint,
    cookie: bigint,
  ): void {
    const { arena } = this.host
    const { cpu, packetBuffer: packet } = outer
    if (program.running.has(cpu)) {
      program.recursionMisses++
      this.recursionMisses++
      return
    }
    const block = this.#idleCalls.pop() ?? arena.allocate(CALL_BYTES, { access: 'read' })
    if (block === undefined) {
      this.reportFault(program, -1, 'no memory for the arguments of the call')
      return
    }
    const context = block + CALL_HEADER_BYTES
    writeCall(arena.view, context, call)
    const at = {
      cpu,
      context: arena.address(context),
      probedAddress: address,
      cookie,
      ...(packet === undefined ? {} : { packet, packetContext: outer.packetContext ?? outer.context }),
    }
    program.running.add(cpu)
    try {
      this.run(program, at)
    } finally {
      program.running.delete(cpu)
      this.#idleCalls.push(block)
    }
  }

  /** Runs a program in the place of a function of another one, with what that has around it: r0, or why there is none. */
  runInPlace(program: ProgramObject, args: readonly bigint[], outer: RunEnvironment): bigint | HookFault {
    const { cpu, context, packetBuffer: packet, redirection, system } = outer
    const environment = new Environment(this.host, {
      cpu,
      context,
      probedAddress: outer.probedAddress(),
      cookie: outer.attachCookie(),
      ...(packet === undefined ? {} : { packet, packetContext: outer.packetContext ?? context }),
      ...(redirection === undefined ? {} : { redirection }),
      ...(system === undefined ? {} : { system }),
    })
    // Statistics are the caller's: it is one program that runs.
    const outcome = program.executable.enter(args, environment)
    if (outcome.ok) return outcome.value
    this.reportFault(program, outcome.pc, outcome.message)
    return { kind: 'fault', reason: `program ${program.id} in its place: ${outcome.message}` }
  }

  /** All tasks that the port lists, or that is known of. */
  tasks(): readonly TaskIdentity[] {
    const { port } = this.host
    const current = port.currentTask(0)
    return port.allTasks?.() ?? (current === undefined ? [] : [current])
  }

  /** r0, or undefined after a run-time error. */
  run(program: ProgramObject, invocation: Invocation): bigint | undefined {
    return this.#runIn(new Environment(this.host, invocation), program)
  }

  /** Calls a subprogram of the program, as a run of its own. */
  call(program: ProgramObject, address: bigint, args: readonly bigint[]): bigint | undefined {
    const environment = new Environment(this.host, { cpu: 0, context: 0n })
    return this.#runIn(environment, program, { address, args })
  }

  /** The program from its first instruction, or one of its subprograms. */
  #runIn(environment: Environment, program: ProgramObject, callee?: Callee): bigint | undefined {
    const { grace, profilingClockNs } = this.host
    const start = this.measuring > 0 ? profilingClockNs() : 0n
    grace.enter()
    try {
      const outcome =
        callee === undefined
          ? program.executable.run(environment)
          : program.executable.call(callee.address, callee.args, environment)
      if (outcome.ok) return outcome.value
      this.reportFault(program, outcome.pc, outcome.message)
      return undefined
    } finally {
      grace.leave()
      if (this.measuring > 0) this.countRun(program, start)
    }
  }

  /** A run that began at `startNs` of the profiling clock has ended. */
  countRun(program: ProgramObject, startNs: bigint): void {
    program.runCount++
    program.runTimeNs += this.host.profilingClockNs() - startNs
  }

  /** `instruction`: where it could not go on, -1 before the first. */
  reportFault(program: ProgramObject, instruction: number, message: string): void {
    const fault: ProgramFault = {
      programId: program.id,
      programName: program.loaded.name,
      instruction,
      message,
    }
    program.faults++
    program.stderr.write(`ERROR: ${message}\n`)
    this.faultCount++
    this.#faults.push(fault)
    if (this.#faults.length > FAULTS_KEPT) this.#faults.shift()
    this.host.onProgramFault?.(fault)
  }
}
