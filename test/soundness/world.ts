/**
 * Where programs run: an arena, maps, a packet, a context and the helpers, all of it filled at random, and the checked
 * interpreter over it. What is handed to a program is written down, so that pointers can be told apart.
 */
import { BPF_PROG_TYPE } from '../../src/abi/index.ts'
import {
  describeFault,
  type HelperEnvironment,
  type HelperResult,
  helperBodies,
} from '../../src/helpers/index.ts'
import { functionAddress, type HelperContext, Interpreter, prepare } from '../../src/interpreter/index.ts'
import { Run } from '../../src/interpreter/run.ts'
import {
  type ContextLayout,
  contextBytes,
  contextLayout,
  SK_BUFF,
  SK_BUFF_BYTES,
} from '../../src/kernel/contexts/layout.ts'
import { translateContext } from '../../src/kernel/contexts/translate.ts'
import type { BpfMap } from '../../src/maps/index.ts'
import { Arena, Grace, PacketBuffer } from '../../src/memory/index.ts'
import { BASE } from '../../src/verifier/domain/kinds.ts'
import { Follower, type Machine, type Violation, type WorldObjects } from './follower.ts'
import { instrument, OBSERVER } from './instrument.ts'
import { Maps } from './maps.ts'
import {
  contextSize,
  PACKET_ACCESS,
  READ_ONLY_CONTEXT,
  RUNNABLE,
  returnRange,
  WRITABLE,
} from './program-types.ts'
import type { Random } from './random.ts'
import type { Subject } from './subject.ts'
import type { Walk } from './walk.ts'

const T = BPF_PROG_TYPE
const CPU = 0
const CPU_COUNT = 2
/** Look-ups of maps, and of the storage of control groups, sockets, inodes and tasks. */
const LOOKUPS: ReadonlySet<number> = new Set([1, 81, 195, 107, 145, 156, 210])
const RINGBUF_RESERVE = 131
const DYNPTR_DATA = 203
const RINGBUF_COMMITS: ReadonlySet<number> = new Set([132, 133])
const FOR_EACH = 164
/** may_goto gives up after so many rounds; the proof knows nothing of how many. */
const MOST_MAY_GOTO = 12

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

/** Address of the current task: never 0, and nothing can be read there. */
const TASK = 0xffff_8880_0000_1000n

/** Helpers that change a packet change its length, type, hash, protocol and VLAN tag. */
const CHANGED_BY_HELPERS = [
  SK_BUFF.len,
  SK_BUFF.pkt_type,
  SK_BUFF.hash,
  SK_BUFF.protocol,
  SK_BUFF.vlan_present,
  SK_BUFF.vlan_tci,
  SK_BUFF.vlan_proto,
]

export class World {
  readonly #arena = new Arena({ initialBytes: 1 << 19 })
  readonly #grace = new Grace()
  readonly #interpreter: Interpreter
  readonly maps: Maps
  readonly #helpers = new Map<number, (context: HelperContext, ...r: bigint[]) => bigint>()
  #random: Random
  #packet: PacketBuffer | undefined
  #context = 0n
  #clock = 0n
  // What has been handed out in this run.
  readonly #memory = new Map<bigint, number>()
  /** Ring-buffer records that were not given back. */
  readonly #reserved = new Set<bigint>()
  readonly #storage = new Map<BpfMap, number>()
  #observe: ((run: Run) => void) | undefined
  #end: RunEnd | undefined
  valuesHeld = 0
  stepsObserved = 0

  constructor(random: Random) {
    this.#random = random
    this.maps = new Maps({
      arena: this.#arena,
      grace: this.#grace,
      cpuCount: CPU_COUNT,
      random: () => this.#random.u32(),
    })
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
    // What Linux keeps of a map is not what lies here.
    if (walk.proof.notes.pointerKind.includes(BASE.CONST_MAP)) return 'fields of a map'
    // Loads that fault where the address leads nowhere are the kernel's to do.
    if (walk.proof.notes.foreignLoad.includes(1)) return 'memory of the kernel'
    const resolved = this.maps.resolve(subject)
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
      if (isSocketBuffer && CHANGED_BY_HELPERS.some((field) => i >= field && i < field + 4)) continue
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
      mapAddress: (spec) => this.maps.addressOf(spec),
      values: (spec) => this.maps.values(spec),
      keys: (spec) => this.maps.keys(spec),
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

  #begin(subject: Subject, layout: ContextLayout | undefined): void {
    this.#memory.clear()
    this.#reserved.clear()
    const random = this.#random
    this.#clock = random.u64() >> 1n
    this.maps.begin(subject, random)
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

  /** What a control group keeps for its programs: one value of each map, whatever ran before. */
  #storageOf(map: BpfMap): bigint {
    const { valueSize } = map.definition
    const block = this.#storage.get(map) ?? this.#arena.allocate(valueSize)
    if (block === undefined) throw new Error('no memory for the storage of a control group')
    this.#storage.set(map, block)
    this.#arena.bytes.set(this.#random.bytes(valueSize), block)
    return this.#arena.address(block)
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
      mapAt: (address: bigint) => this.maps.at(address),
      monotonicNs: () => ++this.#clock,
      bootNs: () => ++this.#clock,
      task: () => ({ pid: 5, tgid: 6, uid: 7, gid: 8, comm: 'fuzz', address: TASK }),
      random: () => Number(BigInt.asUintN(32, this.#random.value())),
      readKernel: foreign,
      readUser: foreign,
      tracePrint: () => {},
      callback: undefined as unknown as HelperEnvironment['callback'],
      probedAddress: () => 0n,
      attachCookie: () => 0n,
      localStorage: (map: BpfMap) => this.#storageOf(map),
    } satisfies HelperEnvironment
    for (const [id, body] of helperBodies) {
      this.#helpers.set(id, (context, ...r) => {
        const [r1 = 0n, r2 = 0n, r3 = 0n, r4 = 0n, r5 = 0n] = r
        // A callback may call helpers, which set another.
        const outer = environment.callback
        environment.callback = (address, a, b, c, d) => {
          if (id === FOR_EACH) this.maps.handOut(r1, c, b)
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
        if (result !== 0n && LOOKUPS.has(id)) this.maps.handOut(r1, result)
        if (result !== 0n && id === DYNPTR_DATA) this.#memory.set(result, Number(r3))
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

/** Slots whose loads and stores went through the context on some path. */
const contextAccessesOf = (walk: Walk): ReadonlySet<number> => {
  const found = new Set<number>()
  walk.proof.notes.pointerKind.forEach((kind, slot) => {
    if (kind === BASE.CTX) found.add(slot)
  })
  return found
}
