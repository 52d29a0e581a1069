/** Maps to perform random scripts on: one shape or more of each type that Linux has. */
import * as abi from '../../src/abi/index.ts'

const T = abi.BPF_MAP_TYPE

/** The key, or value, number `index` of `size` bytes. */
export function keyOf(size: number, index: number): Uint8Array {
  const key = new Uint8Array(size)
  new DataView(key.buffer).setUint8(0, index & 0xff)
  if (size > 1) key[size - 1] = (index * 37) & 0xff
  return key
}

export interface Shape {
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

export const shapes: readonly Shape[] = [
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
    name: 'arena',
    type: T.BPF_MAP_TYPE_ARENA,
    keySize: 0,
    valueSize: 0,
    maxEntries: 3,
    flags: abi.BPF_F_MMAPABLE,
  },
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
