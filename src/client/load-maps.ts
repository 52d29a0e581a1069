/** The maps of an object, created and filled, before any program is loaded. */
import {
  BPF_CMD,
  BPF_F_MMAPABLE,
  BPF_MAP_TYPE,
  EINVAL,
  errnoName,
  mapFreezeAttr,
  PAGE_SIZE,
  type Syscalls,
  u32,
} from '../abi/index.ts'
import type { Btf, BtfId } from '../btf/index.ts'
import { type BtfCodecOptions, type BtfValue, btfCodec } from './btf-codec.ts'
import { bpf, createMap } from './calls.ts'
import { bytesCodec, type Codec, laterCodec, perCpuCodec } from './codec.ts'
import { LoadError } from './errors.ts'
import { kernelName } from './kernel-name.ts'
import { BpfMap, isPerCpu } from './map.ts'
import { MapHandle } from './map-handle.ts'
import { MappedArena } from './mapped-arena.ts'
import type { Descriptor } from './owner.ts'
import { pinMap, pinPath, takePinnedMap } from './pinned-maps.ts'
import type { MapSpec } from './spec/index.ts'

/** What the maps of one load have in common. */
export interface MapContext {
  readonly syscalls: Syscalls
  /** The object's types, and their descriptor where the kernel took them. */
  readonly types: () => Btf | undefined
  readonly btfFd: number | undefined
  readonly maxEntries: Readonly<Record<string, number>>
  readonly pinRoot: string
  /** The first value of a global-data map, as the caller wants it. */
  readonly initialValueOf: (map: MapSpec) => Uint8Array | LoadError | undefined
  readonly values: BtfCodecOptions
  /** How many CPUs a per-CPU value has elements for. */
  readonly cpuCount: () => number | LoadError
}

const T = BPF_MAP_TYPE

/** Types whose keys and values the kernel does not describe; it refuses BTF ids for them. */
const withoutTypes: readonly number[] = [
  T.BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  T.BPF_MAP_TYPE_CGROUP_ARRAY,
  T.BPF_MAP_TYPE_STACK_TRACE,
  T.BPF_MAP_TYPE_ARRAY_OF_MAPS,
  T.BPF_MAP_TYPE_HASH_OF_MAPS,
  T.BPF_MAP_TYPE_DEVMAP,
  T.BPF_MAP_TYPE_DEVMAP_HASH,
  T.BPF_MAP_TYPE_CPUMAP,
  T.BPF_MAP_TYPE_XSKMAP,
  T.BPF_MAP_TYPE_SOCKMAP,
  T.BPF_MAP_TYPE_SOCKHASH,
  T.BPF_MAP_TYPE_QUEUE,
  T.BPF_MAP_TYPE_STACK,
  T.BPF_MAP_TYPE_RINGBUF,
]

/** Ring buffers have neither keys nor values; some objects say what their records are all the same. */
const withoutElements: readonly number[] = [T.BPF_MAP_TYPE_RINGBUF, T.BPF_MAP_TYPE_USER_RINGBUF]

/** A map, and whether it was there before, pinned: then what is in it stays. */
export interface LoadedMap {
  readonly map: BpfMap
  readonly isReused: boolean
}

/** Creates one map and writes its initial value; elements that name other maps or programs come later. */
export function loadMap(context: MapContext, spec: MapSpec): LoadedMap | LoadError {
  const cpuCount = needsCpuCount(spec) ? context.cpuCount() : 1
  if (cpuCount instanceof LoadError) return cpuCount
  if (spec.pinning === 'none') {
    const map = newMap(context, spec, cpuCount)
    return map instanceof LoadError ? map : { map, isReused: false }
  }
  const { syscalls } = context
  const size = sizeOf(context, spec, cpuCount)
  const path = pinPath(context.pinRoot, spec.name)
  const shape = { ...size, type: spec.type, flags: spec.flags, extra: spec.mapExtra }
  const pinned = takePinnedMap(syscalls, spec, path, shape)
  if (pinned instanceof LoadError) return pinned
  if (pinned !== undefined) {
    return { map: describe(context, spec, { descriptor: pinned, ...size }, cpuCount), isReused: true }
  }
  const map = newMap(context, spec, cpuCount)
  if (map instanceof LoadError) return map
  const failure = pinMap(syscalls, spec, map.fd, path)
  if (failure === undefined) return { map, isReused: false }
  map[Symbol.dispose]()
  return failure
}

function newMap(context: MapContext, spec: MapSpec, cpuCount: number): BpfMap | LoadError {
  const template = spec.inner && createKernelMap(context, spec.inner, undefined, cpuCount)
  if (template instanceof LoadError) return template
  using inner = template?.descriptor
  const created = createKernelMap(context, spec, inner?.fd, cpuCount)
  if (created instanceof LoadError) return created
  const map = describe(context, spec, created, cpuCount)
  const failure = mapArena(context, spec, map) ?? fill(context, spec, map)
  if (failure === undefined) return map
  map[Symbol.dispose]()
  return failure
}

interface MapSize {
  readonly keySize: number
  readonly valueSize: number
  readonly maxEntries: number
}

interface CreatedMap extends MapSize {
  readonly descriptor: Descriptor
}

function sizeOf({ maxEntries }: MapContext, spec: MapSpec, cpuCount: number): MapSize {
  const hasElements = !withoutElements.includes(spec.type)
  return {
    keySize: hasElements ? spec.keySize : 0,
    valueSize: hasElements ? spec.valueSize : 0,
    maxEntries: entriesOf(spec, maxEntries[spec.name] ?? spec.maxEntries, cpuCount),
  }
}

function createKernelMap(
  context: MapContext,
  spec: MapSpec,
  innerFd: number | undefined,
  cpuCount: number,
): CreatedMap | LoadError {
  const size = sizeOf(context, spec, cpuCount)
  const isTyped =
    context.btfFd !== undefined && spec.valueType !== undefined && !withoutTypes.includes(spec.type)
  const attrOf = (withTypes: boolean) => ({
    map_type: spec.type,
    key_size: size.keySize,
    value_size: size.valueSize,
    max_entries: size.maxEntries,
    map_flags: spec.flags,
    map_extra: spec.mapExtra,
    map_name: kernelName(spec.kernelName),
    inner_map_fd: innerFd,
    numa_node: spec.numaNode,
    btf_fd: withTypes ? context.btfFd : undefined,
    btf_key_type_id: withTypes ? spec.keyType : undefined,
    btf_value_type_id: withTypes ? spec.valueType : undefined,
  })
  const first = createMap(context.syscalls, attrOf(isTyped))
  let result = first
  // Types are for people who look at the map: a kernel that does not like them is asked again without.
  if (typeof result === 'number' && isTyped) result = createMap(context.syscalls, attrOf(false))
  // Before Linux 5.5 no array can be mapped; this client does not need it to be.
  if (result === -EINVAL && (spec.flags & BPF_F_MMAPABLE) !== 0 && isGlobalData(spec)) {
    result = createMap(context.syscalls, { ...attrOf(false), map_flags: spec.flags & ~BPF_F_MMAPABLE })
  }
  if (typeof result !== 'number') return { descriptor: result, ...size }
  return new LoadError(
    'map',
    spec.name,
    `map '${spec.name}' (${typeName(spec.type)}, keys of ${size.keySize} bytes, values of ${size.valueSize}, ` +
      `room for ${size.maxEntries}) cannot be created: ${errnoName(result)}`,
    -result,
  )
}

/** What the object leaves open: one slot per CPU for perf events, a ring of whole pages, a power of two. */
function entriesOf(spec: MapSpec, declared: number, cpuCount: number): number {
  if (spec.type === T.BPF_MAP_TYPE_PERF_EVENT_ARRAY && declared === 0) return cpuCount
  if (!withoutElements.includes(spec.type) || declared === 0) return declared
  let size = PAGE_SIZE
  while (size < declared && size < 2 ** 31) size *= 2
  return size
}

function describe(context: MapContext, spec: MapSpec, created: CreatedMap, cpuCount: number): BpfMap {
  const value = codecOf(context, spec.valueType, created.valueSize)
  const whole: Codec<BtfValue> = isPerCpu(spec.type)
    ? (perCpuCodec(value, cpuCount) as Codec<BtfValue>)
    : value
  const handle = new MapHandle(context.syscalls, created.descriptor, {
    keySize: created.keySize,
    valueBytes: whole.size,
    maxEntries: created.maxEntries,
  })
  // Arrays of any kind count their elements, whether their types say so or not.
  const key = spec.keyType === undefined && created.keySize === 4 ? (u32 as Codec<BtfValue>) : undefined
  return new BpfMap(spec, handle, key ?? codecOf(context, spec.keyType, created.keySize), whole)
}

/** The type's codec; bytes where there is no type, or where it has another size than the map says. */
function codecOf({ types, values }: MapContext, type: BtfId | undefined, size: number): Codec<BtfValue> {
  if (type === undefined || size === 0) return bytesCodec(size) as Codec<BtfValue>
  return laterCodec(size, () => {
    const btf = types()
    const codec = btf === undefined ? undefined : btfCodec(btf, type, values)
    return codec?.size === size ? codec : (bytesCodec(size) as Codec<BtfValue>)
  })
}

/** An arena is mapped before it is filled: only then do programs know their addresses in it. */
function mapArena({ syscalls }: MapContext, spec: MapSpec, { handle }: BpfMap): LoadError | undefined {
  if (spec.type !== T.BPF_MAP_TYPE_ARENA) return undefined
  const { fd, maxEntries: pageCount } = handle
  const mapped = MappedArena.map(syscalls, { name: spec.name, fd, pageCount, address: spec.mapExtra })
  if (mapped instanceof LoadError) return mapped
  handle.arena = mapped
  return undefined
}

function fill(context: MapContext, spec: MapSpec, map: BpfMap): LoadError | undefined {
  const { syscalls } = context
  const value = context.initialValueOf(spec)
  if (value instanceof LoadError) return value
  const failure = (what: string, result: number) =>
    new LoadError('map', spec.name, `map '${spec.name}' ${what}: ${errnoName(result)}`, -result)
  const { arena } = map.handle
  if (arena !== undefined) arena.write(arena.address, value ?? spec.initialValue ?? new Uint8Array(0))
  else if (value !== undefined) {
    const result = map.handle.update(new Uint8Array(4), value, 0)
    if (result < 0) return failure('cannot be given its initial value', result)
  }
  if (!spec.frozen) return undefined
  const result = bpf(syscalls, BPF_CMD.BPF_MAP_FREEZE, mapFreezeAttr.encode({ map_fd: map.fd }))
  // Before Linux 5.2 there is no such command; the flag BPF_F_RDONLY_PROG still holds for programs.
  return result < 0 && result !== -EINVAL ? failure('cannot be frozen', result) : undefined
}

const isGlobalData = (spec: MapSpec) => spec.origin !== 'btf' && spec.origin !== 'legacy'

const needsCpuCount = (spec: MapSpec): boolean =>
  isPerCpu(spec.type) || (spec.type === T.BPF_MAP_TYPE_PERF_EVENT_ARRAY && spec.maxEntries === 0)

/** `hash`, `percpu_array`: as bpftool writes it. */
export function typeName(type: number): string {
  const found = Object.entries(BPF_MAP_TYPE).find(
    ([name, value]) => value === type && !name.endsWith('_DEPRECATED'),
  )
  return found?.[0].replace('BPF_MAP_TYPE_', '').toLowerCase() ?? `type ${type}`
}
