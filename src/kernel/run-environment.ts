/** What a program sees of the kernel while it runs: the clocks, the task, the memory that its helpers ask for. */
import type { HelperTask, ObjectHeap, SystemCalls, TimedCalls } from '../helpers/index.ts'
import type { BpfMap } from '../maps/index.ts'
import type { Arena, Grace, PacketBuffer } from '../memory/index.ts'
import type { RunEnvironment } from './engine.ts'
import type { Port } from './port.ts'
import type { ProgramObject } from './program-object.ts'
import type { TracePipe } from './trace-pipe.ts'
import type { ProgramFault } from './types.ts'

/** What the runs of one kernel's programs share. */
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
}

/** What stands for `callback` while no helper is being called. */
const noCallback = () => undefined

/** What one run's helpers see. */
export class Environment implements RunEnvironment {
  readonly arena: Arena
  readonly cpu: number
  readonly context: bigint
  callback: RunEnvironment['callback'] = noCallback
  caller: object | undefined
  readonly objects: ObjectHeap
  readonly timed: TimedCalls
  readonly packetBuffer: PacketBuffer | undefined
  readonly system: SystemCalls | undefined
  /** Where the probe sits, and what its attachment said. */
  probed: bigint
  cookie: bigint
  readonly #host: RunnerHost

  constructor(host: RunnerHost, invocation: Invocation) {
    this.arena = host.arena
    this.objects = host.objects
    this.timed = host.timed
    this.cpu = invocation.cpu
    this.context = invocation.context
    this.packetBuffer = invocation.packet
    this.system = invocation.system
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
}
