/**
 * Runs programs: lends them an environment, guards against recursion, counts.
 *
 * Rules:
 * - While a program runs on a CPU, a tracing program that would run there because of it does not: it is counted
 *   as a recursion miss, as Linux does.
 * - A run-time error is counted at the program, kept, and reported.
 */
import type { HelperTask } from '../helpers/index.ts'
import type { BpfMap } from '../maps/index.ts'
import type { Arena, Grace, PacketBuffer } from '../memory/index.ts'
import type { StoppedCpu } from '../probes/index.ts'
import type { RunEnvironment } from './engine.ts'
import type { Port } from './port.ts'
import type { ProgramObject } from './program-object.ts'
import { type RegisterLayout, registerLayouts } from './registers.ts'
import type { TracePipe } from './trace-pipe.ts'
import type { ProgramFault } from './types.ts'

const FAULTS_KEPT = 64

export interface RunnerHost {
  readonly port: Port
  readonly arena: Arena
  readonly grace: Grace
  readonly tracePipe: TracePipe
  readonly random: () => number
  readonly profilingClockNs: () => bigint
  readonly onProgramFault: ((fault: ProgramFault) => void) | undefined
  mapAt(address: bigint): BpfMap | undefined
}

export interface Invocation {
  readonly cpu: number
  /** Pointer to the context. */
  readonly context: bigint
  readonly probedAddress?: bigint
  readonly cookie?: bigint
  readonly packet?: PacketBuffer
}

/** Where a CPU's registers lie in the arena while a program looks at them. */
interface RegisterContext {
  readonly offset: number
  readonly address: bigint
  readonly bytes: Uint8Array
  readonly view: DataView
}

export class ProgramRunner {
  readonly #host: RunnerHost
  readonly #layout: RegisterLayout | undefined
  /** Per CPU: whether a tracing program is running there. */
  readonly #active: boolean[]
  /** Per CPU: its struct pt_regs. */
  readonly #contexts: (RegisterContext | undefined)[]
  readonly #faults: ProgramFault[] = []
  faultCount = 0
  recursionMisses = 0
  /** Whether run times are measured: BPF_ENABLE_STATS. */
  measuring = 0

  constructor(host: RunnerHost) {
    this.#host = host
    this.#layout = registerLayouts[host.port.architecture]
    this.#active = new Array<boolean>(host.port.cpuCount).fill(false)
    this.#contexts = new Array<RegisterContext | undefined>(host.port.cpuCount).fill(undefined)
  }

  get faults(): readonly ProgramFault[] {
    return this.#faults
  }

  /** Runs a kprobe program with the registers of the stopped CPU as its context. */
  runAtProbe(program: ProgramObject, cpu: StoppedCpu, probedAddress: bigint, cookie: bigint): void {
    const { index } = cpu
    if (this.#active[index]) {
      program.recursionMisses++
      this.recursionMisses++
      return
    }
    const context = this.#registersOf(cpu)
    if (context === undefined) {
      this.#reportFault(program, -1, 'no memory for the registers of the CPU')
      return
    }
    this.#active[index] = true
    try {
      this.run(program, { cpu: index, context: context.address, probedAddress, cookie })
    } finally {
      this.#active[index] = false
    }
  }

  /** r0, or undefined after a run-time error. */
  run(program: ProgramObject, invocation: Invocation): bigint | undefined {
    const { grace, profilingClockNs } = this.#host
    const start = this.measuring > 0 ? profilingClockNs() : 0n
    // The program may be unloaded by what it sets off.
    program.get()
    grace.enter()
    try {
      const outcome = program.executable.run(new Environment(this.#host, invocation))
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

  /** The CPU's registers, written to the arena. */
  #registersOf(cpu: StoppedCpu): RegisterContext | undefined {
    const layout = this.#layout
    if (layout === undefined) return undefined
    const { arena } = this.#host
    const known = this.#contexts[cpu.index]
    // The arena's buffer is replaced as it grows.
    const context =
      known?.view.buffer === arena.bytes.buffer ? known : this.#newContext(layout, known?.offset)
    if (context === undefined) return undefined
    this.#contexts[cpu.index] = context
    layout.write(cpu, context.bytes, context.view)
    return context
  }

  #newContext(layout: RegisterLayout, known: number | undefined): RegisterContext | undefined {
    const { arena } = this.#host
    const offset = known ?? arena.allocate(layout.sizeBytes, { access: 'read' })
    if (offset === undefined) return undefined
    const bytes = arena.bytes.subarray(offset, offset + layout.sizeBytes)
    const view = new DataView(bytes.buffer, offset, layout.sizeBytes)
    return { offset, address: arena.address(offset), bytes, view }
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

/** What one run's helpers see. */
class Environment implements RunEnvironment {
  readonly arena: Arena
  readonly cpu: number
  readonly context: bigint
  callback: RunEnvironment['callback'] = () => undefined
  readonly packetBuffer: PacketBuffer | undefined
  readonly #host: RunnerHost
  readonly #invocation: Invocation

  constructor(host: RunnerHost, invocation: Invocation) {
    this.arena = host.arena
    this.cpu = invocation.cpu
    this.context = invocation.context
    this.packetBuffer = invocation.packet
    this.#host = host
    this.#invocation = invocation
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

  taskExists(pid: number): boolean {
    return this.#host.port.taskExists?.(pid) ?? true
  }

  backtrace(space: 'kernel' | 'user'): readonly bigint[] | undefined {
    return this.#host.port.backtrace?.(this.cpu, space)
  }

  random(): number {
    return this.#host.random()
  }

  readKernel(address: bigint, into: Uint8Array): number {
    return this.#host.port.readKernel(this.cpu, address, into)
  }

  readUser(address: bigint, into: Uint8Array): number {
    return this.#host.port.readUser(this.cpu, address, into)
  }

  tracePrint(text: string): void {
    const { tracePipe, port } = this.#host
    tracePipe.print(text, port.currentTask(this.cpu), this.cpu, port.clockNs('monotonic'))
  }

  probedAddress(): bigint {
    return this.#invocation.probedAddress ?? 0n
  }

  attachCookie(): bigint {
    return this.#invocation.cookie ?? 0n
  }
}
