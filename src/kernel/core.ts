/**
 * What the parts of a kernel share: its objects by id, its memory, its probes, and how programs are run.
 */
import { BTF_KIND, type BtfKind } from '../btf/index.ts'
import { ObjectHeap } from '../helpers/index.ts'
import { type BpfMap, createMap, type MapDefinition, type MapHost } from '../maps/index.ts'
import { Arena, Grace } from '../memory/index.ts'
import { type Kprobe, type Kretprobe, ProbeManager, type StoppedCpu } from '../probes/index.ts'
import { ProvingVerifier, type Verifier } from '../verifier/index.ts'
import { BpfFileSystem } from './bpffs.ts'
import { BtfObject } from './btf-object.ts'
import { DeferredCalls } from './deferred-calls.ts'
import type { Engine } from './engine.ts'
import { IdTable } from './ids.ts'
import { InterpreterEngine } from './interpreter-engine.ts'
import { JitEngine } from './jit-engine.ts'
import { type KernelTypes, kernelTypes } from './kernel-types.ts'
import { KfuncCalls } from './kfunc-calls.ts'
import type { LinkObject } from './link-object.ts'
import { type MapFile, MapObject } from './map-object.ts'
import { NetNamespace } from './net-namespace.ts'
import type { ProbeEvent } from './perf-event.ts'
import type { Port } from './port.ts'
import type { KernelProcess } from './process.ts'
import { type LoadedProgram, ProgramObject } from './program-object.ts'
import { ProgramRunner } from './runner.ts'
import { StructOpsRegistry } from './struct-ops/registry.ts'
import type { StructOpsType } from './struct-ops/types.ts'
import { TracePipe } from './trace-pipe.ts'
import type { KernelOptions } from './types.ts'

const TRACE_PIPE_BYTES = 1 << 20
const NO_BUDGET_LIMIT = 2 ** 31 - 1

export class KernelCore implements MapHost, Disposable {
  readonly port: Port
  readonly arena: Arena
  readonly grace = new Grace()
  readonly cpuCount: number
  readonly random: () => number
  readonly engine: Engine
  readonly verifier: Verifier
  readonly tracePipe: TracePipe
  readonly profilingClockNs: () => bigint
  readonly runner: ProgramRunner
  readonly probes: ProbeManager
  readonly maps = new IdTable<MapObject>()
  readonly programs = new IdTable<ProgramObject>()
  readonly links = new IdTable<LinkObject>()
  readonly btfs = new IdTable<BtfObject>()
  readonly probeEvents = new Set<ProbeEvent>()
  readonly processes = new Set<KernelProcess>()
  readonly files = new BpfFileSystem()
  readonly netNamespace = new NetNamespace()
  readonly kfuncs = new KfuncCalls()
  readonly objects: ObjectHeap
  readonly timed: DeferredCalls
  /** Whose descriptors a map update is naming; set for the time of that call. */
  updating: { readonly process: KernelProcess; readonly file: MapFile } | undefined
  readonly #structOpsTypes: readonly StructOpsType[]
  #structOps: StructOpsRegistry | undefined
  readonly #mapsByAddress = new Map<bigint, BpfMap>()
  readonly #objectsByMap = new WeakMap<BpfMap, MapObject>()
  readonly #programsByExecutable = new WeakMap<object, ProgramObject>()
  #symbolCounts: ReadonlyMap<string, number> | undefined
  #kernelBtf: BtfObject | undefined
  /** Made when first asked for, so that kernels without cookies draw nothing. */
  #syncookieSecret: bigint | undefined
  #events = 0n
  #iteratorSessions = 0n

  constructor(options: KernelOptions) {
    const { port } = options
    this.port = port
    this.#structOpsTypes = options.structOps ?? []
    this.cpuCount = port.cpuCount
    this.arena = new Arena(options.arenaBytes === undefined ? {} : { maximumBytes: options.arenaBytes })
    this.#kernelBtf = this.#newBtf(() => kernelTypes(port.typeInformation()), 'vmlinux')
    this.objects = new ObjectHeap(this.arena, this.grace, port.cpuCount, () => this.#structBytes('cpumask'))
    this.random = options.random ?? fixedSequence()
    this.tracePipe = new TracePipe(options.tracePipeBytes ?? TRACE_PIPE_BYTES)
    const budget = options.instructionBudget ?? NO_BUDGET_LIMIT
    this.engine =
      options.engine === 'interpreter'
        ? new InterpreterEngine(this.arena, budget, this.kfuncs)
        : new JitEngine(this.arena, budget, (address) => this.#mapsByAddress.get(address), this.kfuncs)
    this.verifier = options.verifier ?? new ProvingVerifier()
    this.profilingClockNs = options.profilingClockNs ?? (() => port.clockNs('monotonic'))
    this.timed = new DeferredCalls({
      arena: this.arena,
      grace: this.grace,
      port,
      mapObject: (map) => this.#objectsByMap.get(map),
      programOf: (executable) => this.#programsByExecutable.get(executable),
      onNext: options.onTimer,
      call: (program, address, args) => this.runner.call(program, address, args),
    })
    this.objects.timed = this.timed
    this.runner = new ProgramRunner({
      port,
      arena: this.arena,
      grace: this.grace,
      objects: this.objects,
      timed: this.timed,
      tracePipe: this.tracePipe,
      random: this.random,
      syncookieSecret: () =>
        (this.#syncookieSecret ??= (BigInt(this.random()) << 32n) | BigInt(this.random())),
      profilingClockNs: this.profilingClockNs,
      onProgramFault: options.onProgramFault,
      mapAt: (address) => this.#mapsByAddress.get(address),
      programOf: (executable) => this.#programsByExecutable.get(executable),
      typeId: (name, kind) => this.#kernelBtf?.types?.find(name, kind as BtfKind),
      kernelTypes: () => this.#kernelBtf?.types,
    })
    const { taskExists } = port
    this.probes = new ProbeManager(port, {
      symbolAt: (address) => port.symbolAt(address),
      currentTask: (cpu) => port.currentTask(cpu)?.pid,
      ...(taskExists === undefined ? {} : { taskExists: (pid: number) => taskExists.call(port, pid) }),
    })
  }

  /** The operating system's own types, and those of the functions that programs may call. */
  get kernelBtf(): BtfObject | undefined {
    return this.#kernelBtf
  }

  /** The structs of functions that programs may implement; looked for when somebody asks. */
  get structOps(): StructOpsRegistry {
    this.#structOps ??= new StructOpsRegistry(this.#kernelBtf?.types, this.#structOpsTypes)
    return this.#structOps
  }

  nextEventId(): bigint {
    return ++this.#events
  }

  nextIteratorSession(): bigint {
    return ++this.#iteratorSessions
  }

  /** Programs that are shown the struct of a map there may pass it on; undefined: no longer. */
  showMapAt(address: bigint, map: BpfMap | undefined): void {
    if (map === undefined) this.#mapsByAddress.delete(address)
    else this.#mapsByAddress.set(address, map)
  }

  /** How many functions or objects have this name. */
  symbolCount(name: string): number {
    if (this.#symbolCounts === undefined) {
      const counts = new Map<string, number>()
      for (const symbol of this.port.symbols()) counts.set(symbol.name, (counts.get(symbol.name) ?? 0) + 1)
      this.#symbolCounts = counts
    }
    return this.#symbolCounts.get(name) ?? (this.port.symbolByName(name) === undefined ? 0 : 1)
  }

  /** A map with one reference, the caller's; or -errno. */
  newMap(definition: MapDefinition): MapObject | number {
    const map = createMap(this, definition)
    if (typeof map === 'number') return map
    this.#mapsByAddress.set(map.address, map)
    const object = this.maps.add(
      (id) =>
        new MapObject(id, map, this, (ended) => {
          this.maps.delete(ended.id)
          this.grace.defer(() => this.#mapsByAddress.delete(map.address))
        }),
    )
    this.#objectsByMap.set(map, object)
    return object
  }

  newProgram(loaded: LoadedProgram): ProgramObject {
    const object = this.programs.add(
      (id) =>
        new ProgramObject(id, loaded, this.grace, (ended) => {
          this.programs.delete(ended.id)
          this.grace.defer(() => this.kfuncs.release(loaded.kfuncNumbers))
        }),
    )
    this.#programsByExecutable.set(loaded.executable, object)
    return object
  }

  newBtf(bytes: Uint8Array): BtfObject {
    return this.#newBtf(bytes, '')
  }

  /** A link with one reference, the caller's. */
  newLink<Binding, Linked extends ProgramObject | undefined>(
    kind: new (
      id: number,
      program: Linked,
      binding: Binding,
      onEnd: (object: LinkObject) => void,
    ) => LinkObject,
    program: Linked,
    binding: Binding,
  ): LinkObject {
    return this.links.add((id) => new kind(id, program, binding, (ended) => this.links.delete(ended.id)))
  }

  /** Registers the probe of an event, not enabled; or -errno. */
  registerProbe(event: ProbeEvent): Kprobe | Kretprobe | number {
    const { place } = event
    const handler = (cpu: StoppedCpu) => event.attached?.runAtProbe(cpu)
    const options = { address: place.address, handler, enabled: false }
    return place.isReturn ? this.probes.registerKretprobe(options) : this.probes.registerKprobe(options)
  }

  [Symbol.dispose](): void {
    for (const process of [...this.processes]) process.exit()
    this.files.clear()
    this.netNamespace.clear()
    this.probes[Symbol.dispose]()
    this.#kernelBtf?.put()
    this.#kernelBtf = undefined
  }

  #structBytes(name: string): number {
    const types = this.#kernelBtf?.types
    const id = types?.find(name, BTF_KIND.STRUCT)
    return id === undefined ? 0 : (types?.sizeOf(id) ?? 0)
  }

  #newBtf(bytes: Uint8Array | (() => KernelTypes), name: string): BtfObject {
    return this.btfs.add((id) => new BtfObject(id, bytes, name, (ended) => this.btfs.delete(ended.id)))
  }
}

/** xorshift32 from a fixed start: the same run gives the same numbers. */
function fixedSequence(): () => number {
  let state = 0x9e37_79b9
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state
  }
}
