/**
 * The map types that there are: what BPF_MAP_CREATE checks of each, and the class behind it.
 *
 * To add a type is a row here and a file.
 *
 * Source: the *_map_alloc_check functions of kernel/bpf/ of Linux, compared with a running kernel by
 * map-oracle.test.ts.
 */
import {
  BPF_F_CLONE,
  BPF_F_INNER_MAP,
  BPF_F_LINK,
  BPF_F_MMAPABLE,
  BPF_F_NO_COMMON_LRU,
  BPF_F_NO_PREALLOC,
  BPF_F_NO_USER_CONV,
  BPF_F_NUMA_NODE,
  BPF_F_PRESERVE_ELEMS,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_SEGV_ON_FAULT,
  BPF_F_STACK_BUILD_ID,
  BPF_F_VTYPE_BTF_OBJ_FD,
  BPF_F_WRONLY,
  BPF_F_WRONLY_PROG,
  BPF_F_ZERO_SEED,
  BPF_MAP_TYPE,
  E2BIG,
  EINVAL,
  ENOTSUPP,
  ERANGE,
  MAX_BPF_STACK,
  PAGE_SIZE,
} from '../abi/index.ts'
import { ArenaMap } from './arena-map.ts'
import { ArrayMap } from './array.ts'
import { ArrayOfMaps } from './array-of-maps.ts'
import { BloomFilter } from './bloom-filter.ts'
import { DeviceHash } from './device-hash.ts'
import { cgroupStorage, EmptyMap, reuseportArray, sockHash, sockMap, xskMap } from './empty-map.ts'
import { HashMap } from './hash.ts'
import { HashOfMaps } from './hash-of-maps.ts'
import { checkInnerMap } from './inner-map.ts'
import { LpmTrie } from './lpm-trie.ts'
import { LruHashMap } from './lru-hash.ts'
import type { BpfMap, MapDefinition, MapHost } from './map.ts'
import { OwnerStorage } from './owner-storage.ts'
import { QueueMap } from './queue.ts'
import { checkCpu, checkDevice, RedirectArray } from './redirect-array.ts'
import { ReferenceArray } from './reference-array.ts'
import { RingBuffer } from './ringbuf.ts'
import { BUILD_ID_BYTES, StackTraceMap } from './stack-trace.ts'
import { type StructOpsLayout, StructOpsMap } from './struct-ops-map.ts'
import { UserRingBuffer } from './user-ringbuf.ts'

export type BatchCommand = 'lookup' | 'lookupAndDelete' | 'update' | 'delete'

const HASH_BATCHES: readonly BatchCommand[] = ['lookup', 'lookupAndDelete', 'update', 'delete']
const ARRAY_BATCHES: readonly BatchCommand[] = ['lookup', 'update']
const TRIE_BATCHES: readonly BatchCommand[] = ['lookup', 'update', 'delete']

export interface MapTypeRow {
  readonly type: number
  readonly name: string
  /** BPF_F_* that BPF_MAP_CREATE takes. */
  readonly flags: number
  /** Whether a value has a copy for each CPU. */
  readonly isPerCpu: boolean
  /** Whether `map_extra` means something; for other types it must be 0. */
  readonly hasExtra?: true
  /** The batch commands of bpf(2) that user space may use; none by default. */
  readonly batches?: readonly BatchCommand[]
  /** What Linux looks at before the flags: 0, or why it refuses the definition. */
  checkFirst?(definition: MapDefinition): number
  /** 0, or why Linux refuses the definition; flags outside `flags` are refused before. */
  check(definition: MapDefinition): number
  /** May throw OutOfArena. The definition has passed `check`. */
  create(host: MapHost, definition: MapDefinition): BpfMap
}

const ACCESS = BPF_F_RDONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY | BPF_F_WRONLY_PROG
const BOTH_PROGRAM_ACCESSES = BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG
const HASH_FLAGS = BPF_F_NO_PREALLOC | BPF_F_NO_COMMON_LRU | BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | ACCESS
const ARRAY_FLAGS = BPF_F_NUMA_NODE | ACCESS

/** KMALLOC_MAX_SIZE and sizeof(struct htab_elem) of Linux on 64-bit machines. */
const LARGEST_ALLOCATION = 1 << 22
const LINUX_HASH_ELEMENT = 48
/** PCPU_MIN_UNIT_SIZE: the largest value with a copy for each CPU. */
const LARGEST_PER_CPU_VALUE = 32 << 10
const LARGEST_ARRAY_VALUE = 2 ** 31 - 1
/** 24 bits of page numbers, less the pages before the data. */
const LARGEST_RING = (2 ** 24 - 3) * PAGE_SIZE
const MOST_HASH_ENTRIES = 2 ** 31
/** sizeof(struct bucket) of Linux. */
const MOST_BUCKETS = Math.floor((2 ** 32 - 1) / 16)

/** u32 prefix bits before the data of a trie's key, of which there are at most 256 bytes. */
const TRIE_KEY_HEADER = 4
const LARGEST_TRIE_KEY = TRIE_KEY_HEADER + 256
/** Less the largest key and sizeof(struct lpm_trie_node). */
const LARGEST_TRIE_VALUE = LARGEST_ALLOCATION - LARGEST_TRIE_KEY - 24
/** kernel.perf_event_max_stack, as it is by default. */
const MOST_FRAMES = 127
/** NR_CPUS of the distributions' kernels. */
const MOST_CPUS = 8192
/** 4 GiB. */
const MOST_ARENA_PAGES = 2 ** 20
/** 16 bits less sizeof(struct bpf_local_storage_elem). */
const LARGEST_OWNED_VALUE = 65_535 - 128

const has = (definition: MapDefinition, flag: number) => (definition.flags & flag) !== 0

function checkHash(isPerCpu: boolean, isLru: boolean): MapTypeRow['check'] {
  return (definition) => {
    const { keySize, valueSize, maxEntries } = definition
    if ((definition.flags & BOTH_PROGRAM_ACCESSES) === BOTH_PROGRAM_ACCESSES) return -EINVAL
    if (!isLru && has(definition, BPF_F_NO_COMMON_LRU)) return -EINVAL
    if (isLru && has(definition, BPF_F_NO_PREALLOC)) return -ENOTSUPP
    if (hasNumaNode(definition) && (isPerCpu || has(definition, BPF_F_NO_COMMON_LRU))) return -EINVAL
    if (maxEntries === 0 || keySize === 0 || valueSize === 0) return -EINVAL
    if (keySize + valueSize >= LARGEST_ALLOCATION - LINUX_HASH_ELEMENT) return -E2BIG
    if (isPerCpu && valueSize > LARGEST_PER_CPU_VALUE) return -E2BIG
    if (maxEntries > MOST_HASH_ENTRIES || 2 ** Math.ceil(Math.log2(maxEntries)) > MOST_BUCKETS) return -E2BIG
    return 0
  }
}

function checkArray(isPerCpu: boolean): MapTypeRow['check'] {
  return (definition) => {
    const { keySize, valueSize, maxEntries } = definition
    if (maxEntries === 0 || keySize !== 4 || valueSize === 0) return -EINVAL
    if ((definition.flags & BOTH_PROGRAM_ACCESSES) === BOTH_PROGRAM_ACCESSES) return -EINVAL
    if (isPerCpu && hasNumaNode(definition)) return -EINVAL
    if (valueSize > LARGEST_ARRAY_VALUE) return -E2BIG
    if (isPerCpu && valueSize > LARGEST_PER_CPU_VALUE) return -E2BIG
    return 0
  }
}

/** Only descriptors fit in. */
function checkReferenceArray(definition: MapDefinition): number {
  return definition.valueSize === 4 ? checkArray(false)(definition) : -EINVAL
}

function checkRingBuffer({ keySize, valueSize, maxEntries }: MapDefinition): number {
  const isPowerOfTwo = maxEntries !== 0 && 2 ** Math.round(Math.log2(maxEntries)) === maxEntries
  if (keySize !== 0 || valueSize !== 0 || !isPowerOfTwo || maxEntries % PAGE_SIZE !== 0) return -EINVAL
  return maxEntries > LARGEST_RING ? -E2BIG : 0
}

function checkHashOfMaps(definition: MapDefinition): number {
  if (definition.valueSize !== 4) return -EINVAL
  const refusal = checkHash(false, false)(definition)
  return refusal !== 0 ? refusal : checkInnerMap(definition.inner)
}

function checkArrayOfMaps(definition: MapDefinition): number {
  const refusal = checkReferenceArray(definition)
  return refusal !== 0 ? refusal : checkInnerMap(definition.inner)
}

function checkTrie(definition: MapDefinition): number {
  const { keySize, valueSize, maxEntries, flags } = definition
  if (maxEntries === 0 || !has(definition, BPF_F_NO_PREALLOC)) return -EINVAL
  if ((flags & BOTH_PROGRAM_ACCESSES) === BOTH_PROGRAM_ACCESSES) return -EINVAL
  if (keySize < TRIE_KEY_HEADER + 1 || keySize > LARGEST_TRIE_KEY) return -EINVAL
  return valueSize === 0 || valueSize > LARGEST_TRIE_VALUE ? -EINVAL : 0
}

function checkQueue({ keySize, valueSize, maxEntries, flags }: MapDefinition): number {
  if (maxEntries === 0 || keySize !== 0 || valueSize === 0) return -EINVAL
  if ((flags & BOTH_PROGRAM_ACCESSES) === BOTH_PROGRAM_ACCESSES) return -EINVAL
  return valueSize > LARGEST_ALLOCATION ? -E2BIG : 0
}

function checkBloomFilter({ keySize, valueSize, maxEntries, flags, extra = 0n }: MapDefinition): number {
  if (maxEntries === 0 || keySize !== 0 || valueSize === 0 || extra > 0xfn) return -EINVAL
  return (flags & BOTH_PROGRAM_ACCESSES) === BOTH_PROGRAM_ACCESSES ? -EINVAL : 0
}

function checkStackTrace(definition: MapDefinition): number {
  const { keySize, valueSize, maxEntries } = definition
  const frameBytes = has(definition, BPF_F_STACK_BUILD_ID) ? BUILD_ID_BYTES : 8
  if (maxEntries === 0 || keySize !== 4 || valueSize < 8) return -EINVAL
  if (valueSize % frameBytes !== 0 || valueSize / frameBytes > MOST_FRAMES) return -EINVAL
  return maxEntries > 2 ** 31 ? -E2BIG : 0
}

/** A u32 index, and a u32 or, with a program, a pair of them. */
function checkRedirectMap(mostEntries: number): MapTypeRow['check'] {
  return ({ keySize, valueSize, maxEntries }) => {
    if (maxEntries === 0 || keySize !== 4 || (valueSize !== 4 && valueSize !== 8)) return -EINVAL
    return maxEntries > mostEntries ? -E2BIG : 0
  }
}

function checkDeviceHash(definition: MapDefinition): number {
  const refusal = checkRedirectMap(2 ** 32)(definition)
  return refusal !== 0 ? refusal : definition.maxEntries > 2 ** 31 ? -EINVAL : 0
}

function checkXskMap({ keySize, valueSize, maxEntries }: MapDefinition): number {
  return maxEntries === 0 || keySize !== 4 || valueSize !== 4 ? -EINVAL : 0
}

function checkSockHash({ keySize, valueSize, maxEntries }: MapDefinition): number {
  if (maxEntries === 0 || keySize === 0 || (valueSize !== 4 && valueSize !== 8)) return -EINVAL
  return keySize > MAX_BPF_STACK ? -E2BIG : 0
}

function checkReuseportArray(definition: MapDefinition): number {
  return definition.valueSize !== 4 && definition.valueSize !== 8 ? -EINVAL : checkArray(false)(definition)
}

function checkOwnerStorage(definition: MapDefinition): number {
  const { keySize, valueSize, maxEntries, hasTypes } = definition
  if (!has(definition, BPF_F_NO_PREALLOC) || maxEntries !== 0 || keySize !== 4) return -EINVAL
  if (valueSize === 0 || hasTypes !== true) return -EINVAL
  return valueSize > LARGEST_OWNED_VALUE ? -E2BIG : 0
}

function checkStructOps({ keySize, valueSize, maxEntries, structOps }: MapDefinition): number {
  if (keySize !== 4 || maxEntries !== 1 || structOps === undefined) return -EINVAL
  if (typeof structOps === 'number') return structOps
  return valueSize === structOps.sizeBytes ? 0 : -EINVAL
}

/** All of it lies in one stretch of 4 GiB of user space. */
function checkArena(definition: MapDefinition): number {
  const { keySize, valueSize, maxEntries, extra = 0n } = definition
  if (keySize !== 0 || valueSize !== 0 || maxEntries === 0 || !has(definition, BPF_F_MMAPABLE)) return -EINVAL
  if (extra % BigInt(PAGE_SIZE) !== 0n) return -EINVAL
  if (maxEntries > MOST_ARENA_PAGES) return -E2BIG
  const last = BigInt.asUintN(64, extra + BigInt(maxEntries * PAGE_SIZE) - 1n)
  return extra >> 32n !== last >> 32n ? -ERANGE : 0
}

/** Sizes come before the flags. */
function checkCgroupSizes(isPerCpu: boolean): MapTypeRow['check'] {
  return ({ keySize, valueSize }) => {
    if ((keySize !== 8 && keySize !== 16) || valueSize === 0) return -EINVAL
    return valueSize > (isPerCpu ? LARGEST_PER_CPU_VALUE : LARGEST_OWNED_VALUE) ? -E2BIG : 0
  }
}

function checkCgroupStorage({ maxEntries, flags }: MapDefinition): number {
  if ((flags & BOTH_PROGRAM_ACCESSES) === BOTH_PROGRAM_ACCESSES) return -EINVAL
  return maxEntries !== 0 ? -EINVAL : 0
}

const OWNER_STORAGES = {
  task_storage: BPF_MAP_TYPE.BPF_MAP_TYPE_TASK_STORAGE,
  sk_storage: BPF_MAP_TYPE.BPF_MAP_TYPE_SK_STORAGE,
  inode_storage: BPF_MAP_TYPE.BPF_MAP_TYPE_INODE_STORAGE,
  cgrp_storage: BPF_MAP_TYPE.BPF_MAP_TYPE_CGRP_STORAGE,
}

/** What a lookup gives belongs to the kernel, so Linux adds the flag itself. */
function readOnlyForPrograms(definition: MapDefinition): MapDefinition {
  return { ...definition, flags: definition.flags | BPF_F_RDONLY_PROG }
}

/** A node was asked for; -1 is Linux's NUMA_NO_NODE. */
function hasNumaNode(definition: MapDefinition): boolean {
  return has(definition, BPF_F_NUMA_NODE) && definition.numaNode !== 0xffff_ffff
}

/** With lists of its own, each CPU gets the same number of elements, at least one. */
function evenShares(host: MapHost, definition: MapDefinition): MapDefinition {
  if (!has(definition, BPF_F_NO_COMMON_LRU)) return definition
  const up = Math.ceil(definition.maxEntries / host.cpuCount) * host.cpuCount
  return { ...definition, maxEntries: up < 2 ** 32 ? up : up - host.cpuCount }
}

export const mapTypes: readonly MapTypeRow[] = [
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_HASH,
    name: 'hash',
    flags: HASH_FLAGS,
    batches: HASH_BATCHES,
    isPerCpu: false,
    check: checkHash(false, false),
    create: (host, definition) => new HashMap(host, definition, false),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY,
    name: 'array',
    flags: ARRAY_FLAGS | BPF_F_MMAPABLE | BPF_F_INNER_MAP,
    batches: ARRAY_BATCHES,
    isPerCpu: false,
    check: checkArray(false),
    create: (host, definition) => new ArrayMap(host, definition, false),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY,
    name: 'prog_array',
    flags: BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY,
    isPerCpu: false,
    check: checkReferenceArray,
    create: (host, definition) => new ReferenceArray(host, definition),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_PERF_EVENT_ARRAY,
    name: 'perf_event_array',
    flags: BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_PRESERVE_ELEMS,
    isPerCpu: false,
    check: checkReferenceArray,
    create: (host, definition) => new ReferenceArray(host, definition),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_HASH,
    name: 'percpu_hash',
    flags: HASH_FLAGS,
    batches: HASH_BATCHES,
    isPerCpu: true,
    check: checkHash(true, false),
    create: (host, definition) => new HashMap(host, definition, true),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_ARRAY,
    name: 'percpu_array',
    flags: ARRAY_FLAGS,
    batches: ARRAY_BATCHES,
    isPerCpu: true,
    check: checkArray(true),
    create: (host, definition) => new ArrayMap(host, definition, true),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_LRU_HASH,
    name: 'lru_hash',
    flags: HASH_FLAGS,
    batches: HASH_BATCHES,
    isPerCpu: false,
    check: checkHash(false, true),
    create: (host, definition) => new LruHashMap(host, evenShares(host, definition), false),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_LRU_PERCPU_HASH,
    name: 'lru_percpu_hash',
    flags: HASH_FLAGS,
    batches: HASH_BATCHES,
    isPerCpu: true,
    check: checkHash(true, true),
    create: (host, definition) => new LruHashMap(host, evenShares(host, definition), true),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_RINGBUF,
    name: 'ringbuf',
    flags: BPF_F_NUMA_NODE,
    isPerCpu: false,
    check: checkRingBuffer,
    create: (host, definition) => new RingBuffer(host, definition),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_LPM_TRIE,
    name: 'lpm_trie',
    flags: BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | ACCESS,
    batches: TRIE_BATCHES,
    isPerCpu: false,
    check: checkTrie,
    create: (host, definition) => new LpmTrie(host, definition),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY_OF_MAPS,
    name: 'array_of_maps',
    flags: BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY,
    batches: ARRAY_BATCHES,
    isPerCpu: false,
    check: checkArrayOfMaps,
    create: (host, definition) => new ArrayOfMaps(host, definition),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_HASH_OF_MAPS,
    name: 'hash_of_maps',
    flags: HASH_FLAGS,
    batches: HASH_BATCHES,
    isPerCpu: false,
    check: checkHashOfMaps,
    create: (host, definition) => new HashOfMaps(host, definition),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_QUEUE,
    name: 'queue',
    flags: BPF_F_NUMA_NODE | ACCESS,
    isPerCpu: false,
    check: checkQueue,
    create: (host, definition) => new QueueMap(host, definition, false),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_STACK,
    name: 'stack',
    flags: BPF_F_NUMA_NODE | ACCESS,
    isPerCpu: false,
    check: checkQueue,
    create: (host, definition) => new QueueMap(host, definition, true),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_BLOOM_FILTER,
    name: 'bloom_filter',
    flags: BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | ACCESS,
    isPerCpu: false,
    hasExtra: true,
    checkFirst: ({ valueSize }) => (valueSize > LARGEST_ALLOCATION ? -E2BIG : 0),
    check: checkBloomFilter,
    create: (host, definition) => new BloomFilter(host, definition),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_STACK_TRACE,
    name: 'stack_trace',
    flags: BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_STACK_BUILD_ID,
    isPerCpu: false,
    check: checkStackTrace,
    create: (host, definition) => new StackTraceMap(host, definition),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_CGROUP_ARRAY,
    name: 'cgroup_array',
    flags: BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY,
    isPerCpu: false,
    check: checkReferenceArray,
    create: (host, definition) => new ReferenceArray(host, definition),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_USER_RINGBUF,
    name: 'user_ringbuf',
    flags: BPF_F_NUMA_NODE,
    isPerCpu: false,
    check: checkRingBuffer,
    create: (host, definition) => new UserRingBuffer(host, definition),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_DEVMAP,
    name: 'devmap',
    flags: BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY,
    isPerCpu: false,
    check: checkRedirectMap(2 ** 32),
    create: (host, definition) => new RedirectArray(host, readOnlyForPrograms(definition), checkDevice),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_DEVMAP_HASH,
    name: 'devmap_hash',
    flags: BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY,
    isPerCpu: false,
    check: checkDeviceHash,
    create: (host, definition) => new DeviceHash(host, readOnlyForPrograms(definition)),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_CPUMAP,
    name: 'cpumap',
    flags: BPF_F_NUMA_NODE,
    isPerCpu: false,
    check: checkRedirectMap(MOST_CPUS),
    create: (host, definition) => new RedirectArray(host, definition, checkCpu),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_XSKMAP,
    name: 'xskmap',
    flags: BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY,
    isPerCpu: false,
    check: checkXskMap,
    create: (host, definition) => new EmptyMap(host, definition, xskMap),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_SOCKMAP,
    name: 'sockmap',
    flags: BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY,
    isPerCpu: false,
    check: checkRedirectMap(2 ** 32),
    create: (host, definition) => new EmptyMap(host, definition, sockMap),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_SOCKHASH,
    name: 'sockhash',
    flags: BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY,
    isPerCpu: false,
    check: checkSockHash,
    create: (host, definition) => new EmptyMap(host, definition, sockHash),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY,
    name: 'reuseport_sockarray',
    flags: ARRAY_FLAGS,
    isPerCpu: false,
    check: checkReuseportArray,
    create: (host, definition) => new EmptyMap(host, definition, reuseportArray),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_CGROUP_STORAGE,
    name: 'cgroup_storage',
    flags: BPF_F_NUMA_NODE | ACCESS,
    isPerCpu: false,
    checkFirst: checkCgroupSizes(false),
    check: checkCgroupStorage,
    create: (host, definition) => new EmptyMap(host, definition, cgroupStorage),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
    name: 'percpu_cgroup_storage',
    flags: BPF_F_NUMA_NODE | ACCESS,
    isPerCpu: true,
    checkFirst: checkCgroupSizes(true),
    check: checkCgroupStorage,
    create: (host, definition) => new EmptyMap(host, definition, cgroupStorage, true),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_STRUCT_OPS,
    name: 'struct_ops',
    flags: BPF_F_LINK | BPF_F_VTYPE_BTF_OBJ_FD,
    isPerCpu: false,
    check: checkStructOps,
    create: (host, definition) => new StructOpsMap(host, definition, definition.structOps as StructOpsLayout),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARENA,
    name: 'arena',
    flags: BPF_F_MMAPABLE | BPF_F_SEGV_ON_FAULT | BPF_F_NO_USER_CONV,
    isPerCpu: false,
    hasExtra: true,
    check: checkArena,
    create: (host, definition) => new ArenaMap(host, definition),
  },
  ...(['task_storage', 'sk_storage', 'inode_storage', 'cgrp_storage'] as const).map(
    (name): MapTypeRow => ({
      type: OWNER_STORAGES[name],
      name,
      flags: BPF_F_NO_PREALLOC | BPF_F_CLONE,
      isPerCpu: false,
      check: checkOwnerStorage,
      create: (host, definition) => new OwnerStorage(host, definition),
    }),
  ),
]
