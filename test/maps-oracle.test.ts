/**
 * The maps beside those of the running kernel: the same random operations must give the same answers, errno
 * for errno, byte for byte and, with a zero seed, key for key in the same order.
 */
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import * as abi from '../src/abi/index.ts'
import {
  type BpfMap,
  batchTokenBytes,
  createMap,
  KeylessMap,
  lookupBatch,
  type MapDefinition,
  mapTypes,
  RingBuffer,
} from '../src/maps/index.ts'
import { Arena, Grace } from '../src/memory/index.ts'
import { hex, openLinux, programBytes } from './oracle/linux.ts'

const linux = openLinux()
const why = typeof linux === 'string' ? ` (skipped: ${linux})` : ''
afterAll(() => {
  if (typeof linux !== 'string') linux[Symbol.dispose]()
})
const oracle = () => {
  if (typeof linux === 'string') throw new Error(linux)
  return linux
}

/** What one line of a script does. */
type Operation =
  | { readonly kind: 'create'; readonly definition: MapDefinition }
  | { readonly kind: 'lookup' | 'take'; readonly key: Uint8Array; readonly flags: number }
  | {
      readonly kind: 'update'
      readonly key: Uint8Array
      readonly value: Uint8Array
      readonly flags: number
    }
  | { readonly kind: 'delete'; readonly key: Uint8Array }
  | { readonly kind: 'next'; readonly key: Uint8Array | undefined }
  /** Of a map without keys. */
  | { readonly kind: 'contains'; readonly value: Uint8Array }
  | {
      readonly kind: 'lookupBatch' | 'takeBatch'
      readonly token: Uint8Array | undefined
      readonly count: number
      readonly flags: number
    }
  | {
      readonly kind: 'updateBatch'
      readonly elements: readonly (readonly [Uint8Array, Uint8Array])[]
      readonly flags: number
    }
  | { readonly kind: 'deleteBatch'; readonly keys: readonly Uint8Array[]; readonly flags: number }
  /** By a program on CPU 0: keys of 4 or 8, values of 8 bytes. */
  | { readonly kind: 'programLookup' | 'programDelete'; readonly key: Uint8Array }
  | { readonly kind: 'programPop' | 'programPeek'; readonly value: Uint8Array }
  | { readonly kind: 'programPush'; readonly value: Uint8Array; readonly flags: number }
  | {
      readonly kind: 'programUpdate'
      readonly key: Uint8Array
      readonly value: Uint8Array
      readonly flags: number
    }

/** Programs over the map in slot 0, with keys of `keySize` bytes. */
const keyed = (keySize: 4 | 8) => {
  const placeKey = `
    r2 = *(u${keySize * 8} *)(r1 +0)
    *(u${keySize * 8} *)(r10 -8) = r2`
  const takeKey = `
    r1 = MAP 0
    r2 = r10
    r2 += -8`
  return {
    programLookup: `${placeKey}
    ${takeKey}
    call bpf_map_lookup_elem
    if r0 == 0 goto missing
    r0 = *(u32 *)(r0 +0)
    r0 &= 0x7fffffff
    exit
  missing:
    r0 = -2
    exit`,
    programDelete: `${placeKey}
    ${takeKey}
    call bpf_map_delete_elem
    exit`,
    programUpdate: `${placeKey}
    r3 = *(u64 *)(r1 +8)
    *(u64 *)(r10 -16) = r3
    r4 = *(u64 *)(r1 +16)
    ${takeKey}
    r3 = r10
    r3 += -16
    call bpf_map_update_elem
    exit`,
  }
}

/** What `bpf_map_<what>_elem` finds is written back to the context. */
const keyless = (what: 'pop' | 'peek', writesBack = true) => `
    r6 = r1
    r2 = *(u64 *)(r6 +8)
    *(u64 *)(r10 -8) = r2
    r1 = MAP 0
    r2 = r10
    r2 += -8
    call bpf_map_${what}_elem
    r1 = *(u64 *)(r10 -8)
    ${writesBack ? '*(u64 *)(r6 +8) = r1' : ''}
    exit`
const push = `
    r2 = *(u64 *)(r1 +8)
    *(u64 *)(r10 -8) = r2
    r3 = *(u64 *)(r1 +16)
    r1 = MAP 0
    r2 = r10
    r2 += -8
    call bpf_map_push_elem
    exit`

const SYSCALL = abi.BPF_PROG_TYPE.BPF_PROG_TYPE_SYSCALL
/** Sleepable programs may use no tries and bloom filters; the others that can be run cannot write their context. */
const RAW_TRACEPOINT = abi.BPF_PROG_TYPE.BPF_PROG_TYPE_RAW_TRACEPOINT
const load = (slot: number, text: string, sleepable = true) =>
  `load ${slot} ${sleepable ? SYSCALL : RAW_TRACEPOINT} ${sleepable ? 1 : 0} ${hex(programBytes(text))}`
const programNames: readonly string[] = [
  'programLookup',
  'programDelete',
  'programUpdate',
  'programPop',
  'programPeek',
  'programPush',
]
const loadKeyed = (keySize: 4 | 8) =>
  Object.values(keyed(keySize)).map((text, slot) => load(slot, text, keySize === 4))
const loadPrograms = loadKeyed(4)
const loadQueue = [load(3, keyless('pop')), load(4, keyless('peek')), load(5, push)]
const loadBloomFilter = [load(4, keyless('peek', false), false), load(5, push, false)]

function context(operation: Operation): string {
  const bytes = new Uint8Array(24)
  const view = new DataView(bytes.buffer)
  if ('key' in operation && operation.key) bytes.set(operation.key)
  if ('value' in operation) bytes.set(operation.value, 8)
  if ('flags' in operation) view.setBigUint64(16, BigInt(operation.flags), true)
  return hex(bytes)
}

/** A map without keys takes none. */
const keyText = (key: Uint8Array) => (key.length === 0 ? '-' : hex(key))

function scriptLine(operation: Operation): string {
  switch (operation.kind) {
    case 'create': {
      const { type, keySize, valueSize, maxEntries, flags, extra = 0n, numaNode = 0 } = operation.definition
      return `create 0 ${type} ${keySize} ${valueSize} ${maxEntries} ${flags} ${extra} ${numaNode}`
    }
    case 'lookup':
    case 'take':
      return `${operation.kind} 0 ${keyText(operation.key)} ${operation.flags}`
    case 'update':
      return `update 0 ${keyText(operation.key)} ${hex(operation.value)} ${operation.flags}`
    case 'delete':
      return `delete 0 ${keyText(operation.key)}`
    case 'next':
      return `next 0 ${operation.key ? keyText(operation.key) : '-'}`
    case 'contains':
      return `contains 0 ${hex(operation.value)}`
    case 'lookupBatch':
    case 'takeBatch': {
      const command = operation.kind === 'takeBatch' ? 'take' : 'lookup'
      const token = operation.token ? keyText(operation.token) : '-'
      return `batch ${command} 0 ${token} ${operation.count} - - ${operation.flags} 0`
    }
    case 'updateBatch': {
      const { elements, flags } = operation
      const joined = (which: 0 | 1) => elements.map((element) => hex(element[which])).join('') || '-'
      return `batch update 0 - ${elements.length} ${joined(0)} ${joined(1)} ${flags} 0`
    }
    case 'deleteBatch': {
      const { keys, flags } = operation
      return `batch delete 0 - ${keys.length} ${keys.map(hex).join('') || '-'} - ${flags} 0`
    }
    default:
      return `run ${programNames.indexOf(operation.kind)} ${context(operation)}`
  }
}

/** Our side of a script, answering as linux-bpf.c prints. */
class Ours {
  readonly arena = new Arena()
  readonly host = { arena: this.arena, grace: new Grace(), cpuCount: oracle().cpuCount, random: () => 1 }
  readonly #scratch = this.arena.allocate(64) as number
  readonly #value = this.#scratch + 16
  #map: BpfMap | undefined

  perform(operation: Operation): string {
    if (operation.kind === 'create') {
      this.#map?.[Symbol.dispose]()
      // descriptor 0, which the oracle leaves in inner_map_fd, is open and no map
      const made = createMap(this.host, { inner: -abi.EINVAL, ...operation.definition })
      this.#map = typeof made === 'number' ? undefined : made
      return typeof made === 'number' ? `${made}` : '0'
    }
    const map = this.#map as BpfMap
    const shown = (result: Uint8Array | number) => (typeof result === 'number' ? `${result}` : hex(result))
    switch (operation.kind) {
      case 'lookup':
        return shown(map.read(operation.key, BigInt(operation.flags)))
      case 'take':
        return shown(map.readAndRemove(operation.key, BigInt(operation.flags)))
      case 'update':
        return shown(map.write(operation.key, operation.value, BigInt(operation.flags)))
      case 'delete':
        return shown(map.remove(operation.key))
      case 'next':
        return shown(map.nextKey(operation.key))
      case 'contains': {
        const found = map.read(new Uint8Array(0), 0n, operation.value)
        return typeof found === 'number' ? `${found}` : '0'
      }
      case 'lookupBatch':
      case 'takeBatch':
        return this.#lookupBatch(map, operation)
      case 'updateBatch':
        return this.#inARow(map, 'update', operation.elements, operation.flags, ([key, value]) =>
          map.write(key, value, 0n),
        )
      case 'deleteBatch':
        return this.#inARow(map, 'delete', operation.keys, operation.flags, (key) => map.remove(key))
      default: {
        const result = this.#byProgram(map, operation) >>> 0
        const shown = { ...operation }
        if ('value' in shown && (shown.kind === 'programPop' || shown.kind === 'programPeek')) {
          return `${result} ${context({ ...shown, value: this.arena.bytes.slice(this.#value, this.#value + 8) })}`
        }
        return `${result} ${context(operation)}`
      }
    }
  }

  #lookupBatch(map: BpfMap, operation: Extract<Operation, { kind: 'lookupBatch' | 'takeBatch' }>): string {
    const { kind, count, flags } = operation
    const tokenBytes = Math.max(4, map.definition.keySize)
    const none = hex(new Uint8Array(tokenBytes))
    const supported = mapTypes.find(({ type }) => type === map.definition.type)?.batches ?? []
    if (!supported.includes(kind === 'takeBatch' ? 'lookupAndDelete' : 'lookup')) {
      return `${-abi.ENOTSUPP} ${count} ${none}`
    }
    if (flags !== 0) return `${-abi.EINVAL} ${count} ${none}`
    if (count === 0) return `0 0 ${none}`
    const given = operation.token?.slice(0, batchTokenBytes(map))
    const { status, keys, values, token } = lookupBatch(map, given, count, kind === 'takeBatch')
    const padded = new Uint8Array(tokenBytes)
    if (token) padded.set(token)
    const collected =
      status < 0 && status !== -abi.ENOENT ? '' : `${keys.map(hex).join('')} ${values.map(hex).join('')}`
    return `${status} ${keys.length} ${hex(padded)} ${collected}`.trimEnd()
  }

  #inARow<Each>(
    map: BpfMap,
    command: 'update' | 'delete',
    items: readonly Each[],
    flags: number,
    perform: (item: Each) => number,
  ): string {
    const supported = mapTypes.find(({ type }) => type === map.definition.type)?.batches ?? []
    if (!supported.includes(command)) return `${-abi.ENOTSUPP} ${items.length}`
    if (flags !== 0) return `${-abi.EINVAL} ${items.length}`
    let done = 0
    let status = 0
    for (const item of items) {
      status = perform(item)
      if (status < 0) break
      done++
    }
    return `${status} ${done}`
  }

  #byProgram(map: BpfMap, operation: Operation): number {
    const { arena } = this
    const key = this.#scratch
    const value = this.#value
    if ('key' in operation && operation.key) arena.bytes.set(operation.key, key)
    if ('value' in operation) arena.bytes.set(operation.value, value)
    this.host.grace.enter()
    try {
      if (map instanceof KeylessMap) {
        if (operation.kind === 'programPop') return map.pop(value)
        if (operation.kind === 'programPeek') return map.peekInto(value)
        if (operation.kind === 'programPush') return map.push(value, BigInt(operation.flags))
      }
      if (operation.kind === 'programDelete') return map.delete(key)
      if (operation.kind === 'programUpdate') return map.update(key, value, BigInt(operation.flags), 0)
      const found = map.lookup(key, 0)
      return found === 0 ? -2 : arena.view.getUint32(found, true) & 0x7fff_ffff
    } finally {
      this.host.grace.leave()
    }
  }
}

function compare(operations: readonly Operation[], before: readonly string[] = []): void {
  const [first, ...rest] = operations.map(scriptLine)
  const theirs = oracle().run([first as string, ...before, ...rest])
  const [created, ...results] = theirs
  const expected = [created as string, ...results.slice(before.length)]
  for (const answer of results.slice(0, before.length)) expect(answer).toMatch(/^0\b/)
  const ours = new Ours()
  const shown = (answers: readonly string[]) =>
    operations.map((operation, index) => `${scriptLine(operation)}  ->  ${answers[index]}`)
  expect(shown(operations.map((operation) => ours.perform(operation)))).toEqual(shown(expected))
}

const T = abi.BPF_MAP_TYPE
const userFlags = fc.oneof(
  { weight: 8, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.constantFrom(1, 2) },
  { weight: 1, arbitrary: fc.constantFrom(3, 4, 5, 6, 8, 16) },
)

function keyOf(size: number, index: number): Uint8Array {
  const key = new Uint8Array(size)
  new DataView(key.buffer).setUint8(0, index & 0xff)
  if (size > 1) key[size - 1] = (index * 37) & 0xff
  return key
}

interface Shape {
  readonly name: string
  readonly type: number
  readonly keySize: number
  readonly valueSize: number
  readonly maxEntries: number
  readonly flags: number
  readonly extra?: bigint
  readonly keyOf?: (index: number) => Uint8Array
}

/** Prefixes of few bits over few distinct bytes, so that they nest; some are too long. */
const prefixKey = (size: number) => (index: number) => {
  const key = new Uint8Array(size)
  const lengths = [0, 1, 2, 3, 5, 7, 8, 9, 12, 16, 23, 24, 31, 32, 33, 64]
  new DataView(key.buffer).setUint32(0, lengths[(index * 7) % lengths.length] as number, true)
  for (let at = 4; at < size; at++)
    key[at] = [0, 0xff, 0x80, 0x0f, 0xc0][(index * 3 + at * (index % 4)) % 5] as number
  return key
}
const indexKey = (index: number) => Uint8Array.of(index, 0, 0, index > 40 ? 0x80 : 0)
const Z = abi.BPF_F_ZERO_SEED
const NP = abi.BPF_F_NO_PREALLOC

const shapes: readonly Shape[] = [
  { name: 'hash', type: T.BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 8, maxEntries: 7, flags: Z },
  {
    name: 'hash, on demand',
    type: T.BPF_MAP_TYPE_HASH,
    keySize: 4,
    valueSize: 8,
    maxEntries: 7,
    flags: Z | NP,
  },
  { name: 'hash, odd sizes', type: T.BPF_MAP_TYPE_HASH, keySize: 13, valueSize: 5, maxEntries: 16, flags: Z },
  {
    name: 'hash, long keys',
    type: T.BPF_MAP_TYPE_HASH,
    keySize: 36,
    valueSize: 1,
    maxEntries: 9,
    flags: Z | NP,
  },
  { name: 'hash of one', type: T.BPF_MAP_TYPE_HASH, keySize: 1, valueSize: 1, maxEntries: 1, flags: Z },
  {
    name: 'percpu_hash',
    type: T.BPF_MAP_TYPE_PERCPU_HASH,
    keySize: 4,
    valueSize: 8,
    maxEntries: 6,
    flags: Z,
  },
  {
    name: 'percpu_hash, on demand',
    type: T.BPF_MAP_TYPE_PERCPU_HASH,
    keySize: 7,
    valueSize: 11,
    maxEntries: 6,
    flags: Z | NP,
  },
  {
    name: 'array',
    type: T.BPF_MAP_TYPE_ARRAY,
    keySize: 4,
    valueSize: 8,
    maxEntries: 20,
    flags: 0,
    keyOf: indexKey,
  },
  {
    name: 'array, odd size, mmapable',
    type: T.BPF_MAP_TYPE_ARRAY,
    keySize: 4,
    valueSize: 3,
    maxEntries: 5,
    flags: abi.BPF_F_MMAPABLE,
    keyOf: indexKey,
  },
  {
    name: 'percpu_array',
    type: T.BPF_MAP_TYPE_PERCPU_ARRAY,
    keySize: 4,
    valueSize: 8,
    maxEntries: 9,
    flags: 0,
    keyOf: indexKey,
  },
  { name: 'lru_hash', type: T.BPF_MAP_TYPE_LRU_HASH, keySize: 4, valueSize: 8, maxEntries: 12, flags: Z },
  {
    name: 'lru_hash of one',
    type: T.BPF_MAP_TYPE_LRU_HASH,
    keySize: 4,
    valueSize: 8,
    maxEntries: 1,
    flags: Z,
  },
  {
    name: 'lru_hash, own lists',
    type: T.BPF_MAP_TYPE_LRU_HASH,
    keySize: 4,
    valueSize: 8,
    maxEntries: 11,
    flags: Z | abi.BPF_F_NO_COMMON_LRU,
  },
  {
    name: 'lru_percpu_hash',
    type: T.BPF_MAP_TYPE_LRU_PERCPU_HASH,
    keySize: 4,
    valueSize: 8,
    maxEntries: 8,
    flags: Z,
  },
  {
    name: 'lru_percpu_hash, own lists',
    type: T.BPF_MAP_TYPE_LRU_PERCPU_HASH,
    keySize: 4,
    valueSize: 8,
    maxEntries: 8,
    flags: Z | abi.BPF_F_NO_COMMON_LRU,
  },
  {
    name: 'lpm_trie',
    type: T.BPF_MAP_TYPE_LPM_TRIE,
    keySize: 8,
    valueSize: 8,
    maxEntries: 14,
    flags: NP,
    keyOf: prefixKey(8),
  },
  {
    name: 'lpm_trie, one byte',
    type: T.BPF_MAP_TYPE_LPM_TRIE,
    keySize: 5,
    valueSize: 3,
    maxEntries: 100,
    flags: NP,
    keyOf: (index) => Uint8Array.of(index % 10, 0, 0, 0, index * 23),
  },
  {
    name: 'lpm_trie, addresses',
    type: T.BPF_MAP_TYPE_LPM_TRIE,
    keySize: 20,
    valueSize: 16,
    maxEntries: 30,
    flags: NP,
    keyOf: prefixKey(20),
  },
  {
    name: 'stack_trace, empty',
    type: T.BPF_MAP_TYPE_STACK_TRACE,
    keySize: 4,
    valueSize: 24,
    maxEntries: 5,
    flags: 0,
    keyOf: indexKey,
  },
  {
    name: 'devmap',
    type: T.BPF_MAP_TYPE_DEVMAP,
    keySize: 4,
    valueSize: 4,
    maxEntries: 5,
    flags: 0,
    keyOf: indexKey,
  },
  {
    name: 'devmap, with programs',
    type: T.BPF_MAP_TYPE_DEVMAP,
    keySize: 4,
    valueSize: 8,
    maxEntries: 5,
    flags: 0,
    keyOf: indexKey,
  },
  {
    name: 'devmap_hash',
    type: T.BPF_MAP_TYPE_DEVMAP_HASH,
    keySize: 4,
    valueSize: 4,
    maxEntries: 5,
    flags: 0,
    keyOf: indexKey,
  },
  {
    name: 'cpumap',
    type: T.BPF_MAP_TYPE_CPUMAP,
    keySize: 4,
    valueSize: 4,
    maxEntries: 5,
    flags: 0,
    keyOf: indexKey,
  },
  {
    name: 'xskmap',
    type: T.BPF_MAP_TYPE_XSKMAP,
    keySize: 4,
    valueSize: 4,
    maxEntries: 5,
    flags: 0,
    keyOf: indexKey,
  },
  {
    name: 'sockmap',
    type: T.BPF_MAP_TYPE_SOCKMAP,
    keySize: 4,
    valueSize: 4,
    maxEntries: 5,
    flags: 0,
    keyOf: indexKey,
  },
  {
    name: 'sockmap, cookies',
    type: T.BPF_MAP_TYPE_SOCKMAP,
    keySize: 4,
    valueSize: 8,
    maxEntries: 5,
    flags: 0,
    keyOf: indexKey,
  },
  { name: 'sockhash', type: T.BPF_MAP_TYPE_SOCKHASH, keySize: 7, valueSize: 8, maxEntries: 5, flags: 0 },
  {
    name: 'sockhash, small',
    type: T.BPF_MAP_TYPE_SOCKHASH,
    keySize: 4,
    valueSize: 4,
    maxEntries: 5,
    flags: 0,
  },
  {
    name: 'reuseport_sockarray',
    type: T.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY,
    keySize: 4,
    valueSize: 8,
    maxEntries: 5,
    flags: 0,
    keyOf: indexKey,
  },
  {
    name: 'cgroup_array',
    type: T.BPF_MAP_TYPE_CGROUP_ARRAY,
    keySize: 4,
    valueSize: 4,
    maxEntries: 5,
    flags: 0,
    keyOf: indexKey,
  },
  {
    name: 'cgroup_storage',
    type: T.BPF_MAP_TYPE_CGROUP_STORAGE,
    keySize: 16,
    valueSize: 8,
    maxEntries: 0,
    flags: 0,
  },
  {
    name: 'percpu_cgroup_storage',
    type: T.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
    keySize: 8,
    valueSize: 8,
    maxEntries: 0,
    flags: 0,
  },
  { name: 'queue', type: T.BPF_MAP_TYPE_QUEUE, keySize: 0, valueSize: 8, maxEntries: 5, flags: 0 },
  { name: 'queue, odd size', type: T.BPF_MAP_TYPE_QUEUE, keySize: 0, valueSize: 13, maxEntries: 3, flags: 0 },
  { name: 'stack', type: T.BPF_MAP_TYPE_STACK, keySize: 0, valueSize: 8, maxEntries: 5, flags: 0 },
  { name: 'stack of one', type: T.BPF_MAP_TYPE_STACK, keySize: 0, valueSize: 3, maxEntries: 1, flags: 0 },
  {
    name: 'bloom_filter',
    type: T.BPF_MAP_TYPE_BLOOM_FILTER,
    keySize: 0,
    valueSize: 8,
    maxEntries: 8,
    flags: Z,
  },
  {
    name: 'bloom_filter, two hashes',
    type: T.BPF_MAP_TYPE_BLOOM_FILTER,
    keySize: 0,
    valueSize: 3,
    maxEntries: 70,
    flags: Z,
    extra: 2n,
  },
]

const NO_KEY = new Uint8Array(0)
const batchFlags = fc.constantFrom(0, 0, 0, 0, 0, 0, 1, 2, 4)

/** Programs may look up, update and delete in these. */
const hasPrograms = ({ type, keySize, valueSize }: Shape) =>
  valueSize === 8 &&
  (type === T.BPF_MAP_TYPE_LPM_TRIE ? keySize === 8 : keySize === 4 && type <= T.BPF_MAP_TYPE_LRU_PERCPU_HASH)

const loadsOf = (shape: Shape) => {
  if (hasPrograms(shape)) return loadKeyed(shape.keySize === 8 ? 8 : 4)
  if (shape.keySize !== 0 || shape.valueSize !== 8) return []
  return shape.type === T.BPF_MAP_TYPE_BLOOM_FILTER ? loadBloomFilter : loadQueue
}

/** Of a bloom filter few values, so that some are asked for that are in it; of the others any. */
const valuesOf = (shape: Shape) => (size: number) => {
  switch (shape.type) {
    case T.BPF_MAP_TYPE_BLOOM_FILTER:
      return fc.nat(30).map((index) => keyOf(size, index))
    case T.BPF_MAP_TYPE_DEVMAP:
    case T.BPF_MAP_TYPE_DEVMAP_HASH:
      // the loopback, no device, and none that there is
      return fc.constantFrom(1, 1, 1, 0, 99_999).map((device) => words(size, device, 0))
    case T.BPF_MAP_TYPE_CPUMAP:
      return fc.constantFrom(0, 1, 16, 16_384, 16_385, 0xffff_ffff).map((length) => words(size, length, 0))
    case T.BPF_MAP_TYPE_XSKMAP:
    case T.BPF_MAP_TYPE_SOCKMAP:
    case T.BPF_MAP_TYPE_SOCKHASH:
    case T.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY:
    case T.BPF_MAP_TYPE_CGROUP_ARRAY:
      // no descriptors, and what cannot be one
      return fc
        .constantFrom(9999, 0x7fff_ffff, 0xffff_ffff)
        .chain((fd) => fc.constantFrom(0, 1).map((high) => words(size, fd, high)))
    default:
      return fc.uint8Array({ minLength: size, maxLength: size })
  }
}

function words(size: number, low: number, high: number): Uint8Array {
  const bytes = new Uint8Array(8)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, low, true)
  view.setUint32(4, high, true)
  return bytes.slice(0, size)
}

/** Buckets or keys, as wide as the wider of both. */
function tokensOf(shape: Shape, key: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const isHash = mapTypes.find(({ type }) => type === shape.type)?.batches?.includes('lookupAndDelete')
  if (isHash !== true) return key.filter((bytes) => bytes.length >= 4 || bytes.length === 0)
  return fc.nat(20).map((bucket) => {
    const token = new Uint8Array(Math.max(4, shape.keySize))
    token[0] = bucket
    return token
  })
}

function operations(shape: Shape, keys: number): fc.Arbitrary<Operation[]> {
  const perCpu = mapTypes.find((row) => row.type === shape.type)?.isPerCpu
  const valueBytes = perCpu ? Math.ceil(shape.valueSize / 8) * 8 * oracle().cpuCount : shape.valueSize
  const key = fc
    .nat(keys - 1)
    .map((index) => (shape.keySize === 0 ? NO_KEY : (shape.keyOf?.(index) ?? keyOf(shape.keySize, index))))
  const value = valuesOf(shape)
  const kinds: fc.WeightedArbitrary<Operation>[] = [
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant('update'), key, value: value(valueBytes), flags: userFlags }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('lookup'), key, flags: userFlags }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete'), key }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('next'), key: fc.option(key, { nil: undefined }) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('take'), key, flags: userFlags }) },
  ]
  kinds.push(
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constantFrom('lookupBatch', 'takeBatch'),
        token: fc.option(tokensOf(shape, key), { nil: undefined }),
        count: fc.constantFrom(0, 1, 2, 3, 5, 60),
        flags: batchFlags,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('updateBatch'),
        elements: fc.array(fc.tuple(key, value(valueBytes)), { maxLength: 5 }),
        flags: batchFlags,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('deleteBatch'),
        keys: fc.array(key, { maxLength: 4 }),
        flags: batchFlags,
      }),
    },
  )
  if (shape.keySize === 0) {
    kinds.push({
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('contains'), value: value(valueBytes) }),
    })
  }
  if (shape.keySize === 0 && shape.valueSize === 8) {
    if (shape.type !== T.BPF_MAP_TYPE_BLOOM_FILTER) {
      kinds.push({ weight: 3, arbitrary: fc.record({ kind: fc.constant('programPop'), value: value(8) }) })
    }
    kinds.push(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('programPeek'), value: value(8) }) },
      {
        weight: 5,
        arbitrary: fc.record({ kind: fc.constant('programPush'), value: value(8), flags: userFlags }),
      },
    )
  }
  if (hasPrograms(shape)) {
    kinds.push(
      { weight: 5, arbitrary: fc.record({ kind: fc.constant('programLookup'), key }) },
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant('programUpdate'), key, value: value(8), flags: userFlags }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('programDelete'), key }) },
    )
  }
  return fc.array(fc.oneof(...kinds), { minLength: 1, maxLength: 150, size: 'max' })
}

/** Every key that is in the map, in order, at the end of a script. */
function walk(shape: Shape, keys: number): Operation[] {
  const all =
    shape.keySize === 0
      ? [NO_KEY]
      : Array.from({ length: keys }, (_, index) => shape.keyOf?.(index) ?? keyOf(shape.keySize, index))
  return [
    { kind: 'next', key: undefined },
    ...all.map((key): Operation => ({ kind: 'next', key })),
    ...all.map((key): Operation => ({ kind: 'lookup', key, flags: 0 })),
  ]
}

describe.skipIf(why !== '')(`the same operations on the running kernel${why}`, () => {
  test.each(shapes)('$name', (shape) => {
    const keys = 48
    const create: Operation = { kind: 'create', definition: { ...shape } }
    const withPrograms = loadsOf(shape)
    fc.assert(
      fc.property(operations(shape, keys), (script) =>
        compare([create, ...script, ...walk(shape, keys)], withPrograms),
      ),
      { numRuns: 12 },
    )
  })

  test('a large LRU map evicts in batches as Linux does', () => {
    const shape: Shape = {
      name: 'lru',
      type: T.BPF_MAP_TYPE_LRU_HASH,
      keySize: 4,
      valueSize: 8,
      maxEntries: 600,
      flags: Z,
    }
    const key = (index: number) => Uint8Array.of(index & 0xff, index >> 8, 0, 0)
    const script: Operation[] = [{ kind: 'create', definition: shape }]
    for (let index = 0; index < 2400; index++) {
      script.push({ kind: 'programUpdate', key: key(index), value: keyOf(8, index), flags: 0 })
      if (index % 3 === 0) script.push({ kind: 'programLookup', key: key((index * 7) % (index + 1)) })
      if (index % 11 === 0) script.push({ kind: 'delete', key: key((index * 5) % (index + 1)) })
    }
    for (let index = 0; index < 2400; index++) script.push({ kind: 'lookup', key: key(index), flags: 0 })
    compare(script, loadPrograms)
  })

  test('BPF_MAP_CREATE refuses the same definitions', () => {
    const sizes = fc.constantFrom(0, 1, 2, 4, 5, 7, 8, 16, 64, 260, 261, 512, 513, 1016, 1024, 4064, 4096)
    const valueSizes = fc.oneof(
      sizes,
      fc.constantFrom(32760, 32761, 32768, 32769, 65_407, 65_408, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff),
      fc.constantFrom(
        ...[-284, -283, -624, -623, -64, -60, -53, -52, -49, -48, -47, 0, 1].map(
          (difference) => 2 ** 22 + difference,
        ),
      ),
    )
    const flagBits = Array.from({ length: 19 }, (_, bit) => 1 << bit).filter(
      (bit) => bit !== abi.BPF_F_TOKEN_FD,
    )
    const definition = fc.record({
      name: fc.constant('m'),
      type: fc.constantFrom(...mapTypes.map((row) => row.type)),
      keySize: fc.oneof({ weight: 2, arbitrary: fc.constantFrom(0, 4, 8) }, sizes),
      valueSize: fc.oneof({ weight: 2, arbitrary: fc.constantFrom(0, 4) }, valueSizes),
      maxEntries: fc.constantFrom(0, 0, 1, 2, 3, 4096, 5000, 8192),
      flags: fc.oneof(
        fc.constant(0),
        fc.constantFrom(...flagBits),
        fc.subarray(flagBits, { maxLength: 3 }).map((bits) => bits.reduce((all, bit) => all | bit, 0)),
      ),
      extra: fc.constantFrom(0n, 0n, 0n, 0n, 1n, 15n, 16n),
      numaNode: fc.constantFrom(0, 0, 1, 0xffff_ffff),
    })
    // the oracle asks nothing of the kernel that would take more than 64 MiB
    // and how many CPUs a kernel may have at most is its builder's choice
    const isAffordable = ({ type, keySize, valueSize, maxEntries }: MapDefinition) =>
      !(type === T.BPF_MAP_TYPE_CPUMAP && maxEntries > 64) &&
      maxEntries * (keySize + (valueSize + 8) * oracle().cpuCount + 128) <= 1 << 26
    fc.assert(
      fc.property(
        fc.array(definition.filter(isAffordable), { minLength: 60, maxLength: 90 }),
        (definitions) => compare(definitions.map((each) => ({ kind: 'create', definition: each }))),
      ),
      { numRuns: 40 },
    )
  })

  test('a ring buffer holds the same bytes', () => {
    const size = 4096
    const output = `
      r6 = r1
      r3 = *(u64 *)(r6 +0)
      r4 = *(u64 *)(r6 +8)
      if r3 > 2000 goto large
      r2 = VALUE 1
      r1 = MAP 0
      call bpf_ringbuf_output
      exit
    large:
      r0 = 1
      exit`
    const pair = `
      r6 = r1
      r1 = MAP 0
      r2 = 24
      r3 = 0
      call bpf_ringbuf_reserve
      if r0 == 0 goto none
      r7 = r0
      r1 = MAP 0
      r2 = 37
      r3 = 0
      call bpf_ringbuf_reserve
      if r0 == 0 goto only
      r1 = 0x1122334455667788 ll
      *(u64 *)(r0 +0) = r1
      *(u64 *)(r0 +8) = r1
      *(u64 *)(r0 +16) = r1
      *(u64 *)(r0 +24) = r1
      *(u32 *)(r0 +32) = r1
      *(u8 *)(r0 +36) = r1
      r1 = r0
      r2 = 0
      call bpf_ringbuf_submit
    only:
      r1 = 7
      *(u64 *)(r7 +0) = r1
      *(u64 *)(r7 +8) = r1
      *(u64 *)(r7 +16) = r1
      r1 = r7
      r2 = 0
      call bpf_ringbuf_discard
      r1 = MAP 0
      r2 = *(u64 *)(r6 +8)
      call bpf_ringbuf_query
      exit
    none:
      r0 = 99
      exit`
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('output' as const),
        size: fc.nat(700),
        flags: fc.constantFrom(0, 1, 2, 4),
        fill: fc.nat(255),
      }),
      fc.record({ kind: fc.constant('pair' as const), query: fc.nat(5) }),
      fc.record({ kind: fc.constant('consume' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.record({ kind: fc.constant('set' as const), position: fc.constantFrom(0, 8, 4096, 100_000) }),
    )
    const runScript = (steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[]) => {
      const ours = new Ours()
      const ring = createMap(ours.host, {
        name: 'ring',
        type: T.BPF_MAP_TYPE_RINGBUF,
        keySize: 0,
        valueSize: 0,
        maxEntries: size,
        flags: 0,
      })
      if (!(ring instanceof RingBuffer)) throw new Error(`ring buffer: ${ring}`)
      const { consumer, producerAndData } = ring.regions
      const { arena } = ours
      const data = arena.allocate(4096) as number
      const script = [
        `create 0 ${T.BPF_MAP_TYPE_RINGBUF} 0 0 ${size} 0 0 0`,
        `create 1 ${T.BPF_MAP_TYPE_ARRAY} 4 2000 1 0 0 0`,
        `load 0 ${SYSCALL} 1 ${hex(programBytes(output))}`,
        `load 1 ${SYSCALL} 1 ${hex(programBytes(pair))}`,
      ]
      const expected: string[] = []
      const show = () => {
        script.push(`ring 0 ${size} -1`)
        const position = (at: number) => arena.view.getBigUint64(at, true)
        const start = producerAndData.offset + 4096
        const bytes = arena.bytes.slice(start, start + size)
        expected.push(`${position(consumer.offset)} ${position(producerAndData.offset)} ${hex(bytes)}`)
      }
      for (const each of steps) {
        const ctx = new Uint8Array(16)
        const view = new DataView(ctx.buffer)
        if (each.kind === 'output') {
          view.setBigUint64(0, BigInt(each.size), true)
          view.setBigUint64(8, BigInt(each.flags), true)
          script.push(`update 1 00000000 ${hex(new Uint8Array(2000).fill(each.fill))} 0`)
          expected.push('0')
          script.push(`run 0 ${hex(ctx)}`)
          arena.bytes.fill(each.fill, data, data + each.size)
          expected.push(`${ring.output(data, each.size, BigInt(each.flags)) >>> 0} ${hex(ctx)}`)
        } else if (each.kind === 'pair') {
          view.setBigUint64(8, BigInt(each.query), true)
          script.push(`run 1 ${hex(ctx)}`)
          const first = ring.reserve(24, 0n)
          let answer = 99
          if (first !== 0) {
            const second = ring.reserve(37, 0n)
            if (second !== 0) {
              for (let at = 0; at < 32; at += 8)
                arena.view.setBigUint64(second + at, 0x1122334455667788n, true)
              arena.view.setUint32(second + 32, 0x55667788, true)
              arena.view.setUint8(second + 36, 0x88)
              ring.submit(second, 0n)
            }
            for (let at = 0; at < 24; at += 8) arena.view.setBigUint64(first + at, 7n, true)
            ring.discard(first, 0n)
            answer = ring.query(BigInt(each.query))
          }
          expected.push(`${answer >>> 0} ${hex(ctx)}`)
        } else {
          const [from, to] = [ring.query(abi.BPF_RB_CONS_POS), ring.query(abi.BPF_RB_PROD_POS)]
          const target =
            each.kind === 'set'
              ? each.position
              : from + Math.floor((Math.max(0, to - from) * each.share) / 8) * 8
          arena.view.setBigUint64(consumer.offset, BigInt(target), true)
          script.push(`ring 0 ${size} ${target}`)
          expected.push('')
        }
        show()
      }
      const theirs = oracle().run(script)
      expect(theirs.slice(0, 4)).toEqual(['0', '0', '0', '0'])
      const answers = theirs.slice(4).map((answer, index) => (expected[index] === '' ? '' : answer))
      for (const [index, answer] of answers.entries()) {
        expect(`${script[index + 4]?.slice(0, 60)}: ${expected[index]}`).toBe(
          `${script[index + 4]?.slice(0, 60)}: ${answer}`,
        )
      }
    }
    fc.assert(fc.property(fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }), runScript), {
      numRuns: 20,
    })
  })
})
