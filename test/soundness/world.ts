/**
 * Where programs run: an arena, maps, a packet, a context and the helpers, all of it filled at random, and the checked
 * interpreter over it. What is handed to a program is written down, so that pointers can be told apart.
 */
import { BPF_MAP_TYPE, BPF_PROG_TYPE } from '../../src/abi/index.ts'
import { type HelperEnvironment, type HelperResult, helperBodies } from '../../src/helpers/index.ts'
import {
  describeFault,
  functionAddress,
  type HelperContext,
  Interpreter,
  prepare,
} from '../../src/interpreter/index.ts'
import { Run } from '../../src/interpreter/run.ts'
import { type Instruction, isWide, type Program, wideInstruction } from '../../src/isa/index.ts'
import {
  type ContextLayout,
  contextBytes,
  contextLayout,
  SK_BUFF,
  SK_BUFF_BYTES,
} from '../../src/kernel/contexts/layout.ts'
import { translateContext } from '../../src/kernel/contexts/translate.ts'
import { ArrayMap, type BpfMap, createMap, RingBuffer } from '../../src/maps/index.ts'
import { Arena, Grace, PacketBuffer } from '../../src/memory/index.ts'
import type { MapSpec } from '../../src/verifier/index.ts'
import { Follower, type Machine, type Violation, type WorldObjects } from './follower.ts'
import { instrument, OBSERVER } from './instrument.ts'
import type { Random } from './random.ts'
import type { Subject } from './subject.ts'
import type { Walk } from './walk.ts'

const T = BPF_PROG_TYPE
const M = BPF_MAP_TYPE
const CPU = 0
const CPU_COUNT = 2
/** Contexts of tracepoints are small, those of system calls as large as the caller has it. */
const BIG_CONTEXT: Readonly<Record<number, number>> = { [T.BPF_PROG_TYPE_SYSCALL]: 0x10000 }
const contextSize = ({ programType }: Subject): number => BIG_CONTEXT[programType] ?? 4096
const LOOKUPS: ReadonlySet<number> = new Set([1, 195])
const RINGBUF_RESERVE = 131
const RINGBUF_COMMITS: ReadonlySet<number> = new Set([132, 133])
const FOR_EACH = 164
const MAP_HELPERS: ReadonlySet<number> = new Set([FOR_EACH])
/** may_goto gives up after so many rounds; the proof knows nothing of how many. */
const MOST_MAY_GOTO = 12

const PACKET_ACCESS: Readonly<Record<number, 'none' | 'read' | 'write'>> = {
  [T.BPF_PROG_TYPE_SOCKET_FILTER]: 'none',
  [T.BPF_PROG_TYPE_SCHED_CLS]: 'write',
  [T.BPF_PROG_TYPE_SCHED_ACT]: 'write',
  [T.BPF_PROG_TYPE_XDP]: 'write',
  [T.BPF_PROG_TYPE_CGROUP_SKB]: 'read',
  [T.BPF_PROG_TYPE_LWT_IN]: 'read',
  [T.BPF_PROG_TYPE_LWT_OUT]: 'read',
  [T.BPF_PROG_TYPE_LWT_XMIT]: 'write',
  [T.BPF_PROG_TYPE_SK_SKB]: 'write',
}

/** Bytes of each type's context that programs may change; other types: none. */
const MARK: readonly [number, number] = [SK_BUFF.mark, SK_BUFF.mark + 4]
const PRIORITY: readonly [number, number] = [SK_BUFF.priority, SK_BUFF.priority + 4]
const CONTROL: readonly [number, number] = [SK_BUFF.cb, SK_BUFF.cb + 20]
const TC_INDEX: readonly [number, number] = [SK_BUFF.tc_index, SK_BUFF.tc_index + 4]
const TIME: readonly [number, number] = [SK_BUFF.tstamp, SK_BUFF.tstamp + 8]
const QUEUE: readonly [number, number] = [SK_BUFF.queue_mapping, SK_BUFF.queue_mapping + 4]
const CLASS_ID: readonly [number, number] = [SK_BUFF.tc_classid, SK_BUFF.tc_classid + 4]
const TUNNEL = [MARK, PRIORITY, CONTROL]
const SCHEDULER = [MARK, QUEUE, PRIORITY, TC_INDEX, CONTROL, CLASS_ID, TIME]
const WRITABLE: Readonly<Record<number, readonly (readonly [number, number])[]>> = {
  [T.BPF_PROG_TYPE_SOCKET_FILTER]: [CONTROL],
  [T.BPF_PROG_TYPE_CGROUP_SKB]: [MARK, PRIORITY, CONTROL, TIME],
  [T.BPF_PROG_TYPE_SCHED_CLS]: SCHEDULER,
  [T.BPF_PROG_TYPE_SCHED_ACT]: SCHEDULER,
  [T.BPF_PROG_TYPE_LWT_IN]: TUNNEL,
  [T.BPF_PROG_TYPE_LWT_OUT]: TUNNEL,
  [T.BPF_PROG_TYPE_LWT_XMIT]: TUNNEL,
  [T.BPF_PROG_TYPE_SK_SKB]: [TC_INDEX, PRIORITY],
}
const READ_ONLY_CONTEXT: readonly number[] = [
  T.BPF_PROG_TYPE_KPROBE,
  T.BPF_PROG_TYPE_TRACEPOINT,
  T.BPF_PROG_TYPE_RAW_TRACEPOINT,
  T.BPF_PROG_TYPE_PERF_EVENT,
]

/** Program types that can be given all that they need here. */
export const RUNNABLE: readonly number[] = [
  ...Object.keys(PACKET_ACCESS).map(Number),
  ...READ_ONLY_CONTEXT,
  T.BPF_PROG_TYPE_SYSCALL,
]

const EGRESS = 1

/** What r0 must be at the end; undefined: anything, a pointer, too. */
const returnRange = ({ programType, expectedAttachType }: Subject): readonly [number, number] | undefined =>
  programType === T.BPF_PROG_TYPE_CGROUP_SKB ? [0, expectedAttachType === EGRESS ? 3 : 1] : undefined

export type RunEnd =
  | { readonly kind: 'ended'; readonly value: bigint }
  /** So many steps that it was stopped; not a fault where loops end by a count that the verifier takes on trust. */
  | { readonly kind: 'long' }
  | { readonly kind: 'unsupported'; readonly why: string }
  | { readonly kind: 'failed'; readonly violation: Omit<Violation, 'kind'> & { readonly kind: string } }

/** A program made ready to run. */
export interface Ready {
  readonly subject: Subject
  readonly walk: Walk
  readonly run: (random: Random, budget: number) => RunEnd
}

/** Ends a run from inside a helper of ours. */
class Stop extends Error {}

export class World {
  readonly #arena = new Arena({ initialBytes: 1 << 19 })
  readonly #grace = new Grace()
  readonly #interpreter: Interpreter
  readonly #maps = new Map<MapSpec, BpfMap>()
  readonly #byAddress = new Map<bigint, BpfMap>()
  readonly #specs = new Map<BpfMap, MapSpec>()
  readonly #helpers = new Map<number, (context: HelperContext, ...r: bigint[]) => bigint>()
  #random: Random
  #packet: PacketBuffer | undefined
  #context = 0n
  #clock = 0n
  // What has been handed out in this run.
  readonly #values = new Map<MapSpec, Set<bigint>>()
  readonly #keys = new Map<MapSpec, Set<bigint>>()
  readonly #memory = new Map<bigint, number>()
  /** Ring-buffer records that were not given back. */
  readonly #reserved = new Set<bigint>()
  #observe: ((run: Run) => void) | undefined
  #end: RunEnd | undefined
  valuesHeld = 0
  stepsObserved = 0

  constructor(random: Random) {
    this.#random = random
    this.#prepareHelpers()
    this.#interpreter = new Interpreter(this.#arena, {
      helper: (id) => {
        if (id === OBSERVER) return (_1, _2, _3, _4, _5, context) => this.#observed(context)
        const body = this.#helpers.get(id)
        return body === undefined
          ? undefined
          : (r1, r2, r3, r4, r5, context) => body(context, r1, r2, r3, r4, r5)
      },
      packet: (_context, offset, sizeBytes) => this.#loadPacket(offset, sizeBytes),
    })
  }

  /** Undefined where something that the program needs is not to be had here. */
  prepare(subject: Subject, walk: Walk): Ready | string {
    if (!RUNNABLE.includes(subject.programType)) return `programs of type ${subject.programType}`
    for (const insn of subject.instructions) {
      if (insn.opcode === 0x85 && insn.src === 2) return 'kernel functions'
      if (insn.opcode === 0x85 && insn.src === 0 && !this.#helpers.has(insn.imm)) return `helper ${insn.imm}`
    }
    // Loads that fault where the address leads nowhere are the kernel's to do.
    if (walk.proof.notes.foreignLoad.includes(1)) return 'memory of the kernel'
    const resolved = this.#resolve(subject)
    if (typeof resolved === 'string') return resolved
    const layout = contextLayout(subject.programType)
    const translated =
      layout === undefined ? resolved : translateContext(resolved, layout, contextAccessesOf(walk))
    const shown = instrument(translated)
    if (shown === undefined) return 'a jump that becomes too long'
    const prepared = prepare(shown.program)
    return {
      subject,
      walk,
      run: (random, budget) => {
        this.#random = random
        this.#begin(subject, layout)
        const context = this.#arena.offsetOf(this.#context)
        const sizeBytes = layout === undefined ? contextSize(subject) : layout.sizeBytes
        const before = this.#arena.bytes.slice(context, context + sizeBytes)
        const follower = new Follower(walk, this.#objects(walk, shown.moved))
        const machine = { pc: 0, depth: 0, registers: new BigUint64Array(11) }
        const stack = (top: bigint) =>
          new DataView(this.#arena.bytes.buffer, this.#arena.offsetOf(top) - 512, 512)
        this.#observe = (run) => {
          this.stepsObserved++
          run.mayGotoLeft[run.depth] = Math.min(run.mayGotoLeft[run.depth] as number, MOST_MAY_GOTO)
          const registers = run.file.r.slice(0, 11)
          const pc = shown.original[run.pc] as number
          const now: Machine = { ...machine, pc, depth: run.depth, registers, stack }
          if (!follower.observe(now)) {
            this.#end = { kind: 'failed', violation: follower.violation as Violation }
            throw new Stop()
          }
        }
        this.#grace.enter()
        const end = this.#run(prepared, budget, subject, (pc) => shown.original[pc] ?? pc)
        this.#grace.leave()
        this.valuesHeld += follower.valuesHeld
        const changed = this.#changedContext(subject, before, context, sizeBytes)
        this.#packet?.free()
        this.#packet = undefined
        this.#arena.free(context)
        if (end.kind === 'failed' || changed === undefined) return end
        const text = `byte ${changed} of the context was changed`
        return { kind: 'failed', violation: { kind: 'context', instruction: 0, text } }
      },
    }
  }

  /** Gives up the maps of a subject; those in `kept` stay. */
  forget(subject: Subject, kept: readonly MapSpec[]): void {
    for (const spec of subject.maps) {
      const map = this.#maps.get(spec)
      if (map === undefined || kept.includes(spec)) continue
      this.#maps.delete(spec)
      this.#byAddress.delete(map.address)
      map[Symbol.dispose]()
    }
  }

  #run(
    prepared: ReturnType<typeof prepare>,
    budget: number,
    subject: Subject,
    original: (pc: number) => number,
  ): RunEnd {
    this.#end = undefined
    try {
      const result = this.#interpreter.run(prepared, this.#context, { budget: budget * 2 })
      if (this.#end !== undefined) return this.#end
      if (!result.ok) {
        const { fault } = result
        if (fault.kind === 'budget') return { kind: 'long' }
        const text = describeFault(fault)
        return {
          kind: 'failed',
          violation: { kind: `fault ${fault.kind}`, instruction: original(fault.pc), text },
        }
      }
      const range = returnRange(subject)
      const returned = Number(BigInt.asIntN(32, result.value))
      if (range !== undefined && (returned < range[0] || returned > range[1])) {
        return { kind: 'failed', violation: { kind: 'return', instruction: 0, text: `returned ${returned}` } }
      }
      if (this.#reserved.size > 0) {
        return {
          kind: 'failed',
          violation: { kind: 'leak', instruction: 0, text: 'a record was not given back' },
        }
      }
      return { kind: 'ended', value: result.value }
    } catch (error) {
      if (!(error instanceof Stop)) throw error
      return this.#end as unknown as RunEnd
    }
  }

  /** The first byte of the context that the program changed and must not. */
  #changedContext(subject: Subject, before: Uint8Array, at: number, sizeBytes: number): number | undefined {
    if (subject.programType === T.BPF_PROG_TYPE_SYSCALL) return undefined
    const writable = WRITABLE[subject.programType] ?? []
    const isSocketBuffer = contextLayout(subject.programType)?.sizeBytes === SK_BUFF_BYTES
    for (let i = 0; i < sizeBytes; i++) {
      if (before[i] === this.#arena.bytes[at + i] || writable.some(([from, to]) => i >= from && i < to))
        continue
      // Helpers that change a packet change its length and hash.
      if (isSocketBuffer && (i < 4 || (i >= SK_BUFF.hash && i < SK_BUFF.hash + 4))) continue
      return i
    }
    return undefined
  }

  #observed(context: HelperContext): bigint {
    if (!(context instanceof Run)) throw new Error('the interpreter shows something else')
    this.#observe?.(context)
    return context.file.r[0] as bigint
  }

  #objects(walk: Walk, moved: Int32Array): WorldObjects {
    const world = this
    return {
      context: this.#context,
      functionAddress: (subprogram) =>
        functionAddress(moved[walk.proof.subprograms[subprogram]?.start ?? 0] as number),
      mapAddress: (spec) => this.#maps.get(spec)?.address,
      values: (spec) => this.#values.get(spec) ?? [],
      keys: (spec) => this.#keys.get(spec) ?? [],
      memory: this.#memory,
      isAccessible: (address, size) => this.#arena.check(address, size, false) >= 0,
      get packet() {
        const packet = world.#packet
        if (packet === undefined) return undefined
        const data = world.#arena.address(packet.data)
        return { meta: data - BigInt(packet.metaBytes), data, end: data + BigInt(packet.linearBytes) }
      },
    }
  }

  /** Map numbers become addresses. */
  #resolve(subject: Subject): Program | string {
    const out: Instruction[] = []
    const { instructions } = subject
    for (let i = 0; i < instructions.length; i++) {
      const insn = instructions[i] as Instruction
      if (!isWide(insn)) {
        out.push(insn)
        continue
      }
      const high = instructions[++i] as Instruction
      if (insn.src === 0 || insn.src === 4) {
        out.push(insn, high)
        continue
      }
      const spec =
        insn.src === 1 || insn.src === 2
          ? subject.maps[insn.imm]
          : insn.src === 5 || insn.src === 6
            ? mapOf(subject.descriptors[insn.imm])
            : undefined
      const map = spec === undefined ? undefined : this.#mapOf(spec)
      if (spec === undefined || map === undefined) return 'a map that cannot be made here'
      if (insn.src === 1 || insn.src === 5) {
        out.push(...wideInstruction(insn.dst, 0, map.address))
        continue
      }
      if (!(map instanceof ArrayMap)) return 'values of a map that is no array'
      out.push(
        ...wideInstruction(insn.dst, 0, this.#arena.address(map.valuesOffset) + BigInt(high.imm >>> 0)),
      )
    }
    return out
  }

  #mapOf(spec: MapSpec): BpfMap | undefined {
    const known = this.#maps.get(spec)
    if (known !== undefined) return known
    if (spec.maxEntries * (spec.valueSize + spec.keySize) > 1 << 22) return undefined
    const inner = spec.inner === undefined ? undefined : this.#mapOf(spec.inner)
    const host = {
      arena: this.#arena,
      grace: this.#grace,
      cpuCount: CPU_COUNT,
      random: () => this.#random.u32(),
    }
    const map = createMap(host, {
      type: spec.type,
      keySize: spec.keySize,
      valueSize: spec.valueSize,
      maxEntries: spec.maxEntries,
      flags: spec.flags & ~0x1000,
      name: spec.name,
      extra: spec.extra,
      hasTypes: true,
      ...(inner === undefined ? {} : { inner }),
    })
    if (typeof map === 'number') return undefined
    this.#maps.set(spec, map)
    this.#byAddress.set(map.address, map)
    this.#specs.set(map, spec)
    return map
  }

  #begin(subject: Subject, layout: ContextLayout | undefined): void {
    this.#values.clear()
    this.#keys.clear()
    this.#memory.clear()
    this.#reserved.clear()
    const random = this.#random
    this.#clock = random.u64() >> 1n
    for (const spec of subject.maps) {
      const map = this.#maps.get(spec)
      if (map !== undefined) this.#fill(spec, map)
    }
    const isReadOnly = READ_ONLY_CONTEXT.includes(subject.programType)
    const sizeBytes = layout === undefined ? contextSize(subject) : contextBytes(layout)
    const context = this.#arena.allocate(sizeBytes, { access: isReadOnly ? 'read' : 'write' })
    if (context === undefined) throw new Error('no memory for a context')
    this.#context = this.#arena.address(context)
    this.#arena.bytes.set(random.bytes(Math.min(256, sizeBytes)), context)
    if (layout === undefined) return
    // There are no sockets and no flows here.
    if (layout.sizeBytes === SK_BUFF_BYTES) {
      this.#arena.view.setBigUint64(context + SK_BUFF.sk, 0n, true)
      this.#arena.view.setBigUint64(context + SK_BUFF.flow_keys, 0n, true)
    }
    const metaBytes = random.chance(0.3) ? 4 * random.below(8) : 0
    const length = random.weighted([
      [1, 14],
      [3, random.between(14, 60)],
      [1, random.between(60, 300)],
    ])
    const isXdp = subject.programType === T.BPF_PROG_TYPE_XDP
    const packet = PacketBuffer.create(this.#arena, {
      kind: isXdp ? 'xdp' : 'skb',
      bytes: random.bytes(metaBytes + length),
      metaBytes,
      linearBytes: random.chance(0.3) ? random.between(0, length) : length,
      headroomBytes: 256 - metaBytes,
      tailroomBytes: 64,
      access: PACKET_ACCESS[subject.programType] ?? 'none',
      pointersAt: context + layout.sizeBytes,
      ...(isXdp ? {} : { lengthAt: context }),
    })
    if (packet === undefined) throw new Error('no memory for a packet')
    this.#packet = packet
  }

  #fill(spec: MapSpec, map: BpfMap): void {
    const random = this.#random
    if (map instanceof RingBuffer) {
      const { consumer, producerAndData } = map.regions
      const { view } = this.#arena
      // What an earlier run reserved and never gave back is gone with it.
      const position = view.getBigUint64(producerAndData.offset, true)
      view.setBigUint64(consumer.offset, position, true)
      return
    }
    if (spec.type === M.BPF_MAP_TYPE_ARRAY || spec.type === M.BPF_MAP_TYPE_PERCPU_ARRAY) {
      const key = new Uint8Array(4)
      const entries = Math.min(spec.maxEntries, 16)
      for (let i = 0; i < entries; i++) {
        new DataView(key.buffer).setUint32(0, i, true)
        const value =
          spec.value !== undefined && i === 0 ? new Uint8Array(spec.value) : random.bytes(map.userValueSize)
        map.write(key, value, 0n)
      }
      if (map instanceof ArrayMap && spec.type === M.BPF_MAP_TYPE_ARRAY && spec.maxEntries === 1) {
        this.#handOut(this.#values, spec, this.#arena.address(map.valuesOffset))
      }
      return
    }
    if (spec.keySize === 0 || spec.keySize > 64 || spec.type === M.BPF_MAP_TYPE_PROG_ARRAY) return
    const entries = random.below(Math.min(spec.maxEntries, 6) + 1)
    for (let i = 0; i < entries; i++) {
      const key = new Uint8Array(spec.keySize)
      key[0] = i
      map.write(key, random.bytes(map.userValueSize), 0n)
    }
  }

  #handOut(where: Map<MapSpec, Set<bigint>>, spec: MapSpec, address: bigint): void {
    const known = where.get(spec)
    if (known === undefined) where.set(spec, new Set([address]))
    else known.add(address)
  }

  #loadPacket(offset: number, sizeBytes: number): number | undefined {
    const packet = this.#packet?.bytes()
    if (packet === undefined || offset < 0 || offset + sizeBytes > packet.length) return undefined
    let value = 0
    for (let i = 0; i < sizeBytes; i++) value = value * 256 + (packet[offset + i] as number)
    return value
  }

  #prepareHelpers(): void {
    const world = this
    const foreign = (_address: bigint, into: Uint8Array): number => {
      if (world.#random.chance(0.3)) return -14
      into.set(world.#random.bytes(into.length))
      return 0
    }
    const environment = {
      arena: this.#arena,
      cpu: CPU,
      get context() {
        return world.#context
      },
      get packetBuffer() {
        return world.#packet
      },
      mapAt: (address: bigint) => this.#byAddress.get(address),
      monotonicNs: () => ++this.#clock,
      bootNs: () => ++this.#clock,
      task: () => ({ pid: 5, tgid: 6, uid: 7, gid: 8, comm: 'fuzz' }),
      random: () => Number(BigInt.asUintN(32, this.#random.value())),
      readKernel: foreign,
      readUser: foreign,
      tracePrint: () => {},
      callback: undefined as unknown as HelperEnvironment['callback'],
      probedAddress: () => 0n,
      attachCookie: () => 0n,
    } satisfies HelperEnvironment
    for (const [id, body] of helperBodies) {
      this.#helpers.set(id, (context, ...r) => {
        const [r1 = 0n, r2 = 0n, r3 = 0n, r4 = 0n, r5 = 0n] = r
        // A callback may call helpers, which set another.
        const outer = environment.callback
        environment.callback = (address, a, b, c, d) => {
          if (MAP_HELPERS.has(id)) {
            const map = this.#byAddress.get(r1)
            const spec = map === undefined ? undefined : this.#specs.get(map)
            if (spec !== undefined) {
              this.#handOut(this.#keys, spec, b)
              this.#handOut(this.#values, spec, c)
            }
          }
          return context.callback(address, a, b, c, d)
        }
        const result: HelperResult = body(environment, r1, r2, r3, r4, r5)
        environment.callback = outer
        if (typeof result !== 'bigint') {
          if (result.kind === 'fault') {
            this.#end ??= {
              kind: 'failed',
              violation: {
                kind: 'helper',
                instruction: -1,
                text: `helper ${id}, argument ${result.argument}: ${result.reason} (0x${result.address.toString(16)}, ${result.sizeBytes} bytes)`,
              },
            }
            throw new Stop()
          }
          throw new Error('a tail call')
        }
        if (result !== 0n && LOOKUPS.has(id)) {
          const map = this.#byAddress.get(r1)
          const spec = map === undefined ? undefined : this.#specs.get(map)
          if (spec !== undefined) this.#handOut(this.#values, spec, result)
        }
        if (result !== 0n && id === RINGBUF_RESERVE) {
          this.#memory.set(result, Number(r2))
          this.#reserved.add(result)
        }
        if (RINGBUF_COMMITS.has(id)) {
          this.#memory.delete(r1)
          this.#reserved.delete(r1)
        }
        return result
      })
    }
  }
}

const mapOf = (entry: Subject['descriptors'][number]): MapSpec | undefined => {
  const map = entry?.map
  return map !== undefined && 'type' in map ? map : undefined
}

/** Slots whose loads and stores went through the context on some path. */
const contextAccessesOf = (walk: Walk): ReadonlySet<number> => {
  const found = new Set<number>()
  walk.proof.notes.pointerKind.forEach((kind, slot) => {
    if (kind === 2) found.add(slot)
  })
  return found
}
