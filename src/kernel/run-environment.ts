/** What a program sees of the kernel while it runs: the clocks, the task, the memory that its helpers ask for. */
import { EINVAL, EPERM } from '../abi/index.ts'
import type { Btf } from '../btf/index.ts'
import type { HelperTask, ObjectHeap, SignalScope, SystemCalls, TimedCalls } from '../helpers/index.ts'
import type { BpfMap } from '../maps/index.ts'
import type { Arena, Grace, PacketBuffer } from '../memory/index.ts'
import type { StoppedCpu } from '../probes/index.ts'
import { functionLeavers } from './calling-convention.ts'
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
  kernelTypes(): Btf | undefined
}

export interface Invocation {
  readonly cpu: number
  /** Pointer to the context. */
  readonly context: bigint
  readonly probedAddress?: bigint
  readonly cookie?: bigint
  readonly packet?: PacketBuffer
  /** Pointer to the context that the packet belongs to, where that is another program's. */
  readonly packetContext?: bigint
  /** Where helpers note what they redirect to. */
  readonly redirection?: RunEnvironment['redirection']
  /** What the program may ask of the process that has it run. */
  readonly system?: SystemCalls
  /** What an iterator's program writes to. */
  readonly seq?: RunEnvironment['seq']
  /** What stands for a control group's storage. */
  readonly localStorage?: { of(map: BpfMap): bigint | undefined }
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
  readonly packetContext: bigint
  readonly redirection: RunEnvironment['redirection']
  readonly system: SystemCalls | undefined
  readonly seq: RunEnvironment['seq']
  readonly #localStorage: Invocation['localStorage']
  /** Where the probe sits, and what its attachment said. */
  readonly #probed: bigint
  readonly #cookie: bigint
  /** The CPU that the probe stopped, for programs that have functions return. */
  stopped: StoppedCpu | undefined
  readonly #host: RunnerHost

  constructor(host: RunnerHost, invocation: Invocation) {
    this.arena = host.arena
    this.objects = host.objects
    this.timed = host.timed
    this.cpu = invocation.cpu
    this.context = invocation.context
    this.packetBuffer = invocation.packet
    this.packetContext = invocation.packetContext ?? invocation.context
    this.redirection = invocation.redirection
    this.system = invocation.system
    this.seq = invocation.seq
    this.#localStorage = invocation.localStorage
    this.#probed = invocation.probedAddress ?? 0n
    this.#cookie = invocation.cookie ?? 0n
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
    return this.#probed
  }

  attachCookie(): bigint {
    return this.#cookie
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
