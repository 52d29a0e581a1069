/**
 * The map types that there are: what BPF_MAP_CREATE checks of each, and the class behind it.
 *
 * To add a type is a row here and a file.
 *
 * Source: the *_map_alloc_check functions of kernel/bpf/ of Linux, compared with a running kernel by
 * map-oracle.test.ts.
 */
import {
  BPF_F_INNER_MAP,
  BPF_F_MMAPABLE,
  BPF_F_NO_COMMON_LRU,
  BPF_F_NO_PREALLOC,
  BPF_F_NUMA_NODE,
  BPF_F_PRESERVE_ELEMS,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY,
  BPF_F_WRONLY_PROG,
  BPF_F_ZERO_SEED,
  BPF_MAP_TYPE,
  E2BIG,
  EINVAL,
  ENOTSUPP,
  PAGE_SIZE,
} from '../abi/index.ts'
import { ArrayMap } from './array.ts'
import { HashMap } from './hash.ts'
import { LruHashMap } from './lru-hash.ts'
import type { BpfMap, MapDefinition, MapHost } from './map.ts'
import { ReferenceArray } from './reference-array.ts'
import { RingBuffer } from './ringbuf.ts'

export interface MapTypeRow {
  readonly type: number
  readonly name: string
  /** BPF_F_* that BPF_MAP_CREATE takes. */
  readonly flags: number
  /** Whether a value has a copy for each CPU. */
  readonly isPerCpu: boolean
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
    isPerCpu: false,
    check: checkHash(false, false),
    create: (host, definition) => new HashMap(host, definition, false),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY,
    name: 'array',
    flags: ARRAY_FLAGS | BPF_F_MMAPABLE | BPF_F_INNER_MAP,
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
    isPerCpu: true,
    check: checkHash(true, false),
    create: (host, definition) => new HashMap(host, definition, true),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_ARRAY,
    name: 'percpu_array',
    flags: ARRAY_FLAGS,
    isPerCpu: true,
    check: checkArray(true),
    create: (host, definition) => new ArrayMap(host, definition, true),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_LRU_HASH,
    name: 'lru_hash',
    flags: HASH_FLAGS,
    isPerCpu: false,
    check: checkHash(false, true),
    create: (host, definition) => new LruHashMap(host, evenShares(host, definition), false),
  },
  {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_LRU_PERCPU_HASH,
    name: 'lru_percpu_hash',
    flags: HASH_FLAGS,
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
]
