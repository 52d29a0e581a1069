/**
 * Runs programs: lends them an environment, guards against recursion, counts.
 *
 * Rules:
 * - While a program runs on a CPU, a tracing program that would run there because of it does not: it is counted
 *   as a recursion miss, as Linux does.
 * - A run-time error is counted at the program, kept, and reported.
 */

import { EINVAL, EPERM } from '../abi/index.ts'
import type { Btf } from '../btf/index.ts'
import type { HelperTask, ObjectHeap, SignalScope, SystemCalls, TimedCalls } from '../helpers/index.ts'
import type { BpfMap } from '../maps/index.ts'
import type { Arena, Grace, PacketBuffer } from '../memory/index.ts'
import type { StoppedCpu } from '../probes/index.ts'
import { functionLeavers } from './calling-convention.ts'
import type { RunEnvironment } from './engine.ts'
import { CALL_BYTES, CALL_HEADER_BYTES, type FunctionCall, writeCall } from './function-call.ts'
import type { Port, TaskIdentity } from './port.ts'
import type { ProgramObject } from './program-object.ts'
import { type RegisterBytes, type RegisterLayout, registerLayouts } from './registers.ts'
import type { TracePipe } from './trace-pipe.ts'
import type { ProgramFault } from './types.ts'

const FAULTS_KEPT = 64

export interface RunnerHost {
  readonly port: Port
  readonly arena: Arena
  readonly grace: Grace
  readonly objects: ObjectHeap
  readonly timed: TimedCalls
  readonly tracePipe: TracePipe
  readonly random: () => number
  readonly syncookieSecret: () => bigint
  readonly profilingClockNs: () => bigint
  readonly onProgramFault: ((fault: ProgramFault) => void) | undefined
  mapAt(address: bigint): BpfMap | undefined
  /** The program that an engine's executable is of. */
  programOf(executable: object): ProgramObject | undefined
  /** Id of one of the kernel's types. */
  typeId(name: string, kind: number): number | undefined
  kernelTypes(): Btf | undefined
}

export interface Invocation {
  readonly cpu: number
  /** Pointer to the context. */
  readonly context: bigint
  readonly probedAddress?: bigint
  readonly cookie?: bigint
  readonly packet?: PacketBuffer
  /** What the program may ask of the process that has it run. */
  readonly system?: SystemCalls
  /** What an iterator's program writes to. */
  readonly seq?: RunEnvironment['seq']
  /** What stands for a control group's storage. */
  readonly localStorage?: { of(map: BpfMap): bigint | undefined }
}

/** A subprogram, with up to five arguments. */
interface Callee {
  readonly address: bigint
  readonly args: readonly bigint[]
}

/** Where a CPU's registers lie in the arena while a program looks at them. */
interface RegisterContext extends RegisterBytes {
  /** The arena's memory as it was shown when this was made. */
  readonly memory: DataView
  readonly offset: number
  readonly address: bigint
}

export class ProgramRunner {
  readonly #host: RunnerHost
  readonly #layout: RegisterLayout | undefined
  /** Per CPU: whether a tracing program is running there. */
  readonly #active: boolean[]
  /** Per CPU: its struct pt_regs. */
  readonly #contexts: (RegisterContext | undefined)[]
  /** Per CPU: where the arguments of a traced call lie. */
  readonly #callContexts: (number | undefined)[]
  readonly #environments: (Environment | undefined)[]
  readonly #faults: ProgramFault[] = []
  faultCount = 0
  recursionMisses = 0
  /** Whether run times are measured: BPF_ENABLE_STATS. */
  measuring = 0

  constructor(host: RunnerHost) {
    this.#host = host
    this.#layout = registerLayouts[host.port.architecture]
    this.#active = new Array<boolean>(host.port.cpuCount).fill(false)
    this.#callContexts = new Array<number | undefined>(host.port.cpuCount).fill(undefined)
    this.#environments = new Array<Environment | undefined>(host.port.cpuCount).fill(undefined)
    this.#contexts = new Array<RegisterContext | undefined>(host.port.cpuCount).fill(undefined)
  }

  get faults(): readonly ProgramFault[] {
    return this.#faults
  }

  /** Runs a kprobe program with the registers of the stopped CPU as its context. */
  runAtProbe(program: ProgramObject, cpu: StoppedCpu, probedAddress: bigint, cookie: bigint): void {
    const { index } = cpu
    if (this.#active[index]) {
      this.#countRecursion(program)
      return
    }
    const context = this.#contextOf(cpu, program.loaded.usesContext)
    if (context === undefined) {
      this.#reportFault(program, -1, 'no memory for the registers of the CPU')
      return
    }
    this.#runGuarded(program, index, context.address, { address: probedAddress, cookie }, cpu)
  }

  /** Runs a tracing program with a function's arguments, and its result where it has returned, as its context. */
  runAtCall(program: ProgramObject, cpu: StoppedCpu, call: FunctionCall): void {
    const context = this.#callContext(cpu.index)
    if (context === undefined) this.#reportFault(program, -1, 'no memory for the arguments of the call')
    else if (this.#active[cpu.index]) this.#countRecursion(program)
    else {
      writeCall(this.#host.arena.view, context, call)
      this.#runGuarded(program, cpu.index, this.#host.arena.address(context), call)
    }
  }

  /** Arena offset of the arguments of the call that a CPU is at. */
  #callContext(cpu: number): number | undefined {
    const known = this.#callContexts[cpu]
    if (known !== undefined) return known
    const block = this.#host.arena.allocate(CALL_BYTES, { access: 'read' })
    if (block !== undefined) this.#callContexts[cpu] = block + CALL_HEADER_BYTES
    return this.#callContexts[cpu]
  }

  #countRecursion(program: ProgramObject): void {
    program.recursionMisses++
    this.recursionMisses++
  }

  #runGuarded(
    program: ProgramObject,
    cpu: number,
    context: bigint,
    at: { readonly address: bigint; readonly cookie: bigint },
    stopped?: StoppedCpu,
  ): void {
    const environment = this.#environmentOf(cpu, context)
    environment.probed = at.address
    environment.cookie = at.cookie
    environment.stopped = stopped
    this.#active[cpu] = true
    try {
      this.#runIn(environment, program)
    } finally {
      this.#active[cpu] = false
      environment.stopped = undefined
    }
  }

  /** One for each CPU, since at most one probe's program runs there at a time. */
  #environmentOf(cpu: number, context: bigint): Environment {
    const known = this.#environments[cpu]
    if (known !== undefined && known.context === context) return known
    const environment = new Environment(this.#host, { cpu, context })
    this.#environments[cpu] = environment
    return environment
  }

  /** All tasks that the port lists, or that is known of. */
  tasks(): readonly TaskIdentity[] {
    const { port } = this.#host
    const current = port.currentTask(0)
    return port.allTasks?.() ?? (current === undefined ? [] : [current])
  }

  /** r0, or undefined after a run-time error. */
  run(program: ProgramObject, invocation: Invocation): bigint | undefined {
    return this.#runIn(new Environment(this.#host, invocation), program)
  }

  /** Calls a subprogram of the program, as a run of its own. */
  call(program: ProgramObject, address: bigint, args: readonly bigint[]): bigint | undefined {
    const environment = new Environment(this.#host, { cpu: 0, context: 0n })
    return this.#runIn(environment, program, { address, args })
  }

  /** The program from its first instruction, or one of its subprograms. */
  #runIn(environment: Environment, program: ProgramObject, callee?: Callee): bigint | undefined {
    const { grace, profilingClockNs } = this.#host
    const start = this.measuring > 0 ? profilingClockNs() : 0n
    // The program may be unloaded by what it sets off.
    program.get()
    grace.enter()
    try {
      const outcome =
        callee === undefined
          ? program.executable.run(environment)
          : program.executable.call(callee.address, callee.args, environment)
      if (outcome.ok) return outcome.value
      this.#reportFault(program, outcome.pc, outcome.message)
      return undefined
    } finally {
      grace.leave()
      if (this.measuring > 0) {
        program.runCount++
        program.runTimeNs += profilingClockNs() - start
      }
      program.put()
    }
  }

  /** Where the CPU's registers lie in the arena; as they stand now, if that `matters`. */
  #contextOf(cpu: StoppedCpu, matters: boolean): RegisterContext | undefined {
    const layout = this.#layout
    if (layout === undefined) return undefined
    const { arena } = this.#host
    const known = this.#contexts[cpu.index]
    // The arena's memory is shown anew as it grows.
    const context = known?.memory === arena.view ? known : this.#newContext(layout, known?.offset)
    if (context === undefined) return undefined
    if (context !== known) this.#contexts[cpu.index] = context
    if (matters) layout.write(cpu, context)
    return context
  }

  #newContext(layout: RegisterLayout, known: number | undefined): RegisterContext | undefined {
    const { arena } = this.#host
    const offset = known ?? arena.allocate(layout.sizeBytes, { access: 'read' })
    if (offset === undefined) return undefined
    const { buffer } = arena.bytes
    return {
      memory: arena.view,
      offset,
      address: arena.address(offset),
      view: new DataView(buffer, offset, layout.sizeBytes),
      copied: new Uint8Array(buffer, offset, layout.copiedBytes),
    }
  }

  #reportFault(program: ProgramObject, instruction: number, message: string): void {
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
    this.#host.onProgramFault?.(fault)
  }
}

/** What stands for `callback` while no helper is being called. */
const noCallback = () => undefined

/** What one run's helpers see. */
class Environment implements RunEnvironment {
  readonly arena: Arena
  readonly cpu: number
  readonly context: bigint
  callback: RunEnvironment['callback'] = noCallback
  caller: object | undefined
  readonly objects: ObjectHeap
  readonly timed: TimedCalls
  readonly packetBuffer: PacketBuffer | undefined
  readonly system: SystemCalls | undefined
  readonly seq: RunEnvironment['seq']
  readonly #localStorage: Invocation['localStorage']
  /** Where the probe sits, and what its attachment said. */
  probed: bigint
  cookie: bigint
  /** The CPU that the probe stopped. */
  stopped: StoppedCpu | undefined
  readonly #host: RunnerHost

  constructor(host: RunnerHost, invocation: Invocation) {
    this.arena = host.arena
    this.objects = host.objects
    this.timed = host.timed
    this.cpu = invocation.cpu
    this.context = invocation.context
    this.packetBuffer = invocation.packet
    this.system = invocation.system
    this.seq = invocation.seq
    this.#localStorage = invocation.localStorage
    this.probed = invocation.probedAddress ?? 0n
    this.cookie = invocation.cookie ?? 0n
    this.#host = host
  }

  /** Packets move, as does the arena's memory. */
  get packet(): Uint8Array | undefined {
    return this.packetBuffer?.bytes()
  }

  mapAt(address: bigint): BpfMap | undefined {
    return this.#host.mapAt(address)
  }

  monotonicNs(): bigint {
    return this.#host.port.clockNs('monotonic')
  }

  bootNs(): bigint {
    return this.#host.port.clockNs('boot')
  }

  task(): HelperTask | undefined {
    return this.#host.port.currentTask(this.cpu)
  }

  tasks(): readonly HelperTask[] {
    const current = this.task()
    return this.#host.port.allTasks?.() ?? (current === undefined ? [] : [current])
  }

  writeStream(caller: object, stream: number, text: string): boolean {
    const program = this.#host.programOf(caller)
    return (stream === 1 ? program?.stdout : program?.stderr)?.write(text) ?? false
  }

  taskExists(pid: number): boolean {
    return this.#host.port.taskExists?.(pid) ?? true
  }

  backtrace(space: 'kernel' | 'user'): readonly bigint[] | undefined {
    return this.#host.port.backtrace?.(this.cpu, space)
  }

  random(): number {
    return this.#host.random()
  }

  syncookieSecret(): bigint {
    return this.#host.syncookieSecret()
  }

  readKernel(address: bigint, into: Uint8Array): number {
    return this.#host.port.readKernel(this.cpu, address, into)
  }

  readUser(address: bigint, into: Uint8Array): number {
    return this.#host.port.readUser(this.cpu, address, into)
  }

  writeUser(address: bigint, bytes: Uint8Array): number {
    return this.#host.port.writeUser(this.cpu, address, bytes)
  }

  typeId(name: string, kind: number): number | undefined {
    return this.#host.typeId(name, kind)
  }

  kernelTypes(): Btf | undefined {
    return this.#host.kernelTypes()
  }

  symbolAddress(name: string): bigint | undefined {
    return this.#host.port.symbolByName(name)?.address
  }

  tracePrint(text: string): void {
    const { tracePipe, port } = this.#host
    tracePipe.print(text, port.currentTask(this.cpu), this.cpu, port.clockNs('monotonic'))
  }

  probedAddress(): bigint {
    return this.probed
  }

  attachCookie(): bigint {
    return this.cookie
  }

  localStorage(map: BpfMap): bigint | undefined {
    return this.#localStorage?.of(map)
  }

  sendSignal(signal: number, scope: SignalScope): number {
    return this.#host.port.sendSignal?.(this.cpu, signal, scope) ?? -EPERM
  }

  overrideReturn(value: bigint): number {
    const { port } = this.#host
    if (this.stopped === undefined) return -EINVAL
    const read = (address: bigint, into: Uint8Array) => port.readKernel(this.cpu, address, into)
    return functionLeavers[port.architecture](this.stopped, value, read)
  }
}
