/** The maps of programs that run here: made when they are first named, filled at random before each run. */
import { BPF_MAP_TYPE } from '../../src/abi/index.ts'
import { type Instruction, isWide, type Program, wideInstruction } from '../../src/isa/index.ts'
import { ArrayMap, type BpfMap, createMap, type MapHost, RingBuffer } from '../../src/maps/index.ts'
import type { MapSpec } from '../../src/verifier/index.ts'
import type { Random } from './random.ts'
import type { Subject } from './subject.ts'

const M = BPF_MAP_TYPE
/** BPF_F_INNER_MAP: says nothing of a map by itself. */
const INNER_MAP = 0x1000
/** Larger ones are not made. */
const MOST_BYTES = 1 << 22

export class Maps {
  readonly #host: MapHost
  readonly #maps = new Map<MapSpec, BpfMap>()
  readonly #byAddress = new Map<bigint, BpfMap>()
  readonly #specs = new Map<BpfMap, MapSpec>()
  // What has been handed out in this run.
  readonly #values = new Map<MapSpec, Set<bigint>>()
  readonly #keys = new Map<MapSpec, Set<bigint>>()

  constructor(host: MapHost) {
    this.#host = host
  }

  at(address: bigint): BpfMap | undefined {
    return this.#byAddress.get(address)
  }

  addressOf(spec: MapSpec): bigint | undefined {
    return this.#maps.get(spec)?.address
  }

  values(spec: MapSpec): Iterable<bigint> {
    return this.#values.get(spec) ?? []
  }

  keys(spec: MapSpec): Iterable<bigint> {
    return this.#keys.get(spec) ?? []
  }

  /** A program was given this value, and this key, of the map at `map`. */
  handOut(map: bigint, value: bigint, key?: bigint): void {
    const found = this.#byAddress.get(map)
    const spec = found === undefined ? undefined : this.#specs.get(found)
    if (spec === undefined) return
    add(this.#values, spec, value)
    if (key !== undefined) add(this.#keys, spec, key)
  }

  /** New contents, and nothing handed out. */
  begin(subject: Subject, random: Random): void {
    this.#values.clear()
    this.#keys.clear()
    for (const spec of subject.maps) {
      const map = this.#maps.get(spec)
      if (map !== undefined) this.#fill(spec, map, random)
    }
  }

  /** Map numbers become addresses. */
  resolve(subject: Subject): Program | string {
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
            ? namedMap(subject.descriptors[insn.imm])
            : undefined
      const map = spec === undefined ? undefined : this.#mapOf(spec)
      if (spec === undefined || map === undefined) return 'a map that cannot be made here'
      if (insn.src === 1 || insn.src === 5) {
        out.push(...wideInstruction(insn.dst, 0, map.address))
        continue
      }
      if (!(map instanceof ArrayMap)) return 'values of a map that is no array'
      out.push(
        ...wideInstruction(insn.dst, 0, this.#host.arena.address(map.valuesOffset) + BigInt(high.imm >>> 0)),
      )
    }
    return out
  }

  #mapOf(spec: MapSpec): BpfMap | undefined {
    const known = this.#maps.get(spec)
    if (known !== undefined) return known
    if (spec.maxEntries * (spec.valueSize + spec.keySize) > MOST_BYTES) return undefined
    const inner = spec.inner === undefined ? undefined : this.#mapOf(spec.inner)
    const map = createMap(this.#host, {
      type: spec.type,
      keySize: spec.keySize,
      valueSize: spec.valueSize,
      maxEntries: spec.maxEntries,
      flags: spec.flags & ~INNER_MAP,
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

  /** Gives up the maps of a subject; those in `kept` stay. */
  forget(subject: Subject, kept: readonly MapSpec[]): void {
    for (const spec of subject.maps) {
      const map = this.#maps.get(spec)
      if (map === undefined || kept.includes(spec)) continue
      this.#maps.delete(spec)
      this.#byAddress.delete(map.address)
      this.#specs.delete(map)
      map[Symbol.dispose]()
    }
  }

  #fill(spec: MapSpec, map: BpfMap, random: Random): void {
    if (map instanceof RingBuffer) {
      const { consumer, producerAndData } = map.regions
      const { view } = this.#host.arena
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
        add(this.#values, spec, this.#host.arena.address(map.valuesOffset))
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
}

function add(where: Map<MapSpec, Set<bigint>>, spec: MapSpec, address: bigint): void {
  const known = where.get(spec)
  if (known === undefined) where.set(spec, new Set([address]))
  else known.add(address)
}

const namedMap = (entry: Subject['descriptors'][number]): MapSpec | undefined => {
  const map = entry?.map
  return map !== undefined && 'type' in map ? map : undefined
}
