/**
 * Every map type on two kernels: this project's and the Linux that runs the tests, call for call, errno for errno.
 *
 * Everything is small and closed again: the running kernel belongs to everybody.
 */
import { afterAll, describe, expect, test } from 'vitest'
import {
  BPF_CMD,
  BPF_MAP_TYPE,
  MAP_PRIVATE,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  type Syscalls,
} from '../../src/abi/index.ts'
import { bpf, createRaw, hex, RawMap } from './raw-map.ts'
import { openBoth, u32 } from './two-kernels.ts'

const both = openBoth()
const why = typeof both === 'string' ? both : ''
const cpuCount = typeof both === 'string' ? 1 : both.cpuCount
const T = BPF_MAP_TYPE

afterAll(() => {
  if (typeof both !== 'string') both[Symbol.dispose]()
})

interface MapRow {
  readonly name: string
  readonly type: number
  readonly keyBytes?: number
  readonly valueBytes?: number
  readonly maxEntries?: number
  readonly flags?: number
  readonly mapExtra?: bigint
  readonly perCpu?: true
  /** Values are descriptors: of an inner array, or nothing that could be put in. */
  readonly values?: 'maps' | 'none'
  /** Keys beside small numbers. */
  readonly keys?: readonly Uint8Array[]
}

const prefix = (bits: number, ...address: number[]) => Uint8Array.of(...u32(bits), ...address)

const mapRows: readonly MapRow[] = [
  { name: 'hash', type: T.BPF_MAP_TYPE_HASH },
  { name: 'hash without preallocation', type: T.BPF_MAP_TYPE_HASH, flags: 1 },
  { name: 'hash with 5-byte keys', type: T.BPF_MAP_TYPE_HASH, keyBytes: 5, valueBytes: 3 },
  { name: 'hash that only programs may write', type: T.BPF_MAP_TYPE_HASH, flags: 8 },
  { name: 'hash that only programs may read', type: T.BPF_MAP_TYPE_HASH, flags: 16 },
  { name: 'array', type: T.BPF_MAP_TYPE_ARRAY },
  { name: 'array with 12-byte values', type: T.BPF_MAP_TYPE_ARRAY, valueBytes: 12 },
  { name: 'array to be mapped', type: T.BPF_MAP_TYPE_ARRAY, flags: 1024 },
  { name: 'percpu_hash', type: T.BPF_MAP_TYPE_PERCPU_HASH, perCpu: true },
  { name: 'percpu_array', type: T.BPF_MAP_TYPE_PERCPU_ARRAY, perCpu: true },
  { name: 'lru_hash', type: T.BPF_MAP_TYPE_LRU_HASH, maxEntries: 64 },
  { name: 'lru_percpu_hash', type: T.BPF_MAP_TYPE_LRU_PERCPU_HASH, maxEntries: 64, perCpu: true },
  {
    name: 'lpm_trie',
    type: T.BPF_MAP_TYPE_LPM_TRIE,
    keyBytes: 8,
    flags: 1,
    keys: [
      prefix(0, 0, 0, 0, 0),
      prefix(8, 10, 0, 0, 0),
      prefix(16, 10, 1, 0, 0),
      prefix(32, 10, 1, 2, 3),
      prefix(33, 10, 1, 2, 3),
      prefix(24, 10, 1, 2, 0),
      prefix(9, 10, 128, 9, 9),
    ],
  },
  { name: 'queue', type: T.BPF_MAP_TYPE_QUEUE, keyBytes: 0 },
  { name: 'stack', type: T.BPF_MAP_TYPE_STACK, keyBytes: 0 },
  // With a seed of zero, as what a filter finds by mistake depends on it.
  { name: 'bloom_filter', type: T.BPF_MAP_TYPE_BLOOM_FILTER, keyBytes: 0, flags: 64 },
  {
    name: 'bloom_filter of 2 hashes',
    type: T.BPF_MAP_TYPE_BLOOM_FILTER,
    keyBytes: 0,
    flags: 64,
    mapExtra: 2n,
  },
  { name: 'array_of_maps', type: T.BPF_MAP_TYPE_ARRAY_OF_MAPS, valueBytes: 4, values: 'maps' },
  { name: 'hash_of_maps', type: T.BPF_MAP_TYPE_HASH_OF_MAPS, valueBytes: 4, values: 'maps' },
  { name: 'prog_array', type: T.BPF_MAP_TYPE_PROG_ARRAY, valueBytes: 4, values: 'none' },
  { name: 'perf_event_array', type: T.BPF_MAP_TYPE_PERF_EVENT_ARRAY, valueBytes: 4, values: 'none' },
  { name: 'cgroup_array', type: T.BPF_MAP_TYPE_CGROUP_ARRAY, valueBytes: 4, values: 'none' },
  { name: 'stack_trace', type: T.BPF_MAP_TYPE_STACK_TRACE, valueBytes: 16, values: 'none' },
  { name: 'ringbuf', type: T.BPF_MAP_TYPE_RINGBUF, keyBytes: 0, valueBytes: 0, maxEntries: PAGE_SIZE },
  {
    name: 'user_ringbuf',
    type: T.BPF_MAP_TYPE_USER_RINGBUF,
    keyBytes: 0,
    valueBytes: 0,
    maxEntries: PAGE_SIZE,
  },
]

const innerMap = { map_type: T.BPF_MAP_TYPE_ARRAY, key_size: 4, value_size: 8, max_entries: 2 }

const outcomeOfMap = (kernel: Syscalls, row: MapRow): readonly string[] => {
  const { type, keyBytes = 4, valueBytes = 8, maxEntries = 4, flags = 0, mapExtra = 0n } = row
  const innerFd = row.values === 'maps' ? createRaw(kernel, innerMap) : 0
  const fd = createRaw(kernel, {
    map_type: type,
    key_size: keyBytes,
    value_size: valueBytes,
    max_entries: maxEntries,
    map_flags: flags,
    map_extra: mapExtra,
    inner_map_fd: innerFd,
  })
  if (fd < 0) return [`BPF_MAP_CREATE: ${fd}`]
  const userBytes = row.perCpu ? ((valueBytes + 7) & ~7) * cpuCount : valueBytes
  using map = new RawMap(kernel, fd, userBytes)
  let fill = 1
  const value = () => {
    if (row.values === 'maps') return u32(innerFd)
    if (row.values === 'none') return u32(0x7fff)
    return new Uint8Array(userBytes).map(
      (_, index) => (fill * 7 + index) & 255 & (index % 8 < valueBytes ? 255 : 0),
    )
  }
  // The id of an inner map is a kernel's own affair.
  const shown = (found: string) => (row.values === 'maps' && !found.startsWith('-') ? 'a map' : found)
  const numbers = [0, 1, 2, 3, 4, 5, 0xffff_ffff].map((number) => u32(number, 0).slice(0, keyBytes))
  const keys = row.keys ?? (keyBytes === 0 ? [1, 2, 3, 4, 5].map(() => new Uint8Array(0)) : numbers)
  const log: string[] = []
  const say = (what: string, key: Uint8Array, answer: number | string) => {
    log.push(`${what} ${hex(key)}: ${answer}`)
  }
  for (const key of keys) {
    say('lookup', key, shown(map.lookup(key)))
    say('delete', key, map.delete(key))
    for (const bits of [2n, 1n, 1n, 0n, 2n, 3n, 4n, 8n, 1n << 40n]) {
      fill++
      say(`update ${bits}`, key, map.update(key, value(), bits))
    }
    say('lookup', key, shown(map.lookup(key, { value: value() })))
    say('lookup with a flag', key, shown(map.lookup(key, { flags: 8n })))
    say('lookup with a lock', key, shown(map.lookup(key, { flags: 4n })))
  }
  if (keyBytes > 0) log.push(`keys: ${map.keys(keyBytes)}`)
  // In a hash, which key is the last is chance.
  const next = keys.map((key) => map.next(key, keyBytes)).map((key) => (key.startsWith('-') ? key : 'a key'))
  log.push(`next: ${next.sort()}`)
  for (const key of keys.slice(1)) {
    say('take', key, shown(map.lookup(key, { isTaken: true })))
    say('take', key, shown(map.lookup(key, { isTaken: true })))
    say('delete', key, map.delete(key))
  }
  if (keyBytes > 0) log.push(`keys: ${map.keys(keyBytes)}`)
  say('freeze', new Uint8Array(0), bpf(kernel, BPF_CMD.BPF_MAP_FREEZE, u32(fd)))
  say('freeze', new Uint8Array(0), bpf(kernel, BPF_CMD.BPF_MAP_FREEZE, u32(fd)))
  const [first = new Uint8Array(0)] = keys
  say('update', first, map.update(first, value()))
  say('lookup', first, shown(map.lookup(first)))
  for (const [prot, sharing, length, offset] of [
    [PROT_READ, MAP_SHARED, PAGE_SIZE, 0],
    [PROT_READ | PROT_WRITE, MAP_SHARED, PAGE_SIZE, 0],
    [PROT_READ, MAP_PRIVATE, PAGE_SIZE, 0],
    [PROT_READ, MAP_SHARED, 3 * PAGE_SIZE, PAGE_SIZE],
    [PROT_READ | PROT_WRITE, MAP_SHARED, 3 * PAGE_SIZE, PAGE_SIZE],
    [PROT_READ, MAP_SHARED, 64 * PAGE_SIZE, 0],
    [PROT_READ, MAP_SHARED, PAGE_SIZE, 1],
    [PROT_READ, MAP_SHARED, 0, 0],
  ] as const) {
    const address = kernel.mmap(0n, length, prot, sharing, fd, offset)
    log.push(`mmap ${prot} ${sharing} ${length} ${offset}: ${address < 0n ? address : 'mapped'}`)
    if (address >= 0n) log.push(`munmap: ${kernel.munmap(address, length)}`)
  }
  if (innerFd > 0) kernel.close(innerFd)
  return log
}

/** What a caller gets wrong in BPF_MAP_CREATE. */
const creations = {
  'no key': { key_size: 0 },
  'no value': { value_size: 0 },
  'no room': { max_entries: 0 },
  'a key too long': { key_size: 4097 },
  'an unknown flag': { map_flags: 1 << 30 },
  'both read-only and write-only': { map_flags: 24 },
  'both for programs': { map_flags: 384 },
  'a NUMA node without the flag': { numa_node: 1 },
  'an inner map': { inner_map_fd: 0x7fff },
  extra: { map_extra: 7n },
  mappable: { map_flags: 1024 },
  'an inner map that may vary': { map_flags: 4096 },
  'zero seed': { map_flags: 64 },
  'without preallocation': { map_flags: 1 },
  'its own LRU list for each CPU': { map_flags: 2 },
  'a bad name': { map_name: 'a-b' },
  'a name': { map_name: 'a_b.c' },
  'types without a descriptor': { btf_fd: 0x7fff, btf_value_type_id: 3 },
} as const

const outcomeOfCreations = (kernel: Syscalls, row: MapRow): readonly string[] => {
  const { type, keyBytes = 4, valueBytes = 8, maxEntries = 4, flags = 0, mapExtra = 0n } = row
  const innerFd = row.values === 'maps' ? createRaw(kernel, innerMap) : 0
  const log = Object.entries(creations).map(([what, wrong]) => {
    const fd = createRaw(kernel, {
      map_type: type,
      key_size: keyBytes,
      value_size: valueBytes,
      max_entries: maxEntries,
      map_flags: flags,
      map_extra: mapExtra,
      inner_map_fd: innerFd,
      ...wrong,
    })
    if (fd >= 0) kernel.close(fd)
    return `${what}: ${fd < 0 ? fd : 'created'}`
  })
  if (innerFd > 0) kernel.close(innerFd)
  return log
}

/** Lines in which this project's kernel is known to differ, and how. */
const differences: readonly { readonly map: RegExp; readonly line: RegExp; readonly how: string }[] = [
  {
    map: /that only programs may/,
    line: /^mmap/,
    how: 'a map that cannot be mapped is ENOTSUPP before the rights are asked for, which Linux asks for first (EACCES)',
  },
]

const isKnown = (map: string, line: string | undefined): boolean =>
  line !== undefined && differences.some((known) => known.map.test(map) && known.line.test(line))

describe.skipIf(why !== '')(why === '' ? 'both kernels agree on' : `both kernels (skipped: ${why})`, () => {
  function compare(row: MapRow, outcomeOf: (kernel: Syscalls, row: MapRow) => readonly string[]): void {
    if (typeof both === 'string') throw new Error(both)
    const theirs = outcomeOf(both.linux, row)
    both.expectNothingLeft()
    const ours = outcomeOf(both.ours, row)
    const without = (lines: readonly string[], others: readonly string[]) =>
      lines.filter((line, index) => line === others[index] || !isKnown(row.name, line))
    expect(without(ours, theirs)).toEqual(without(theirs, ours))
  }

  test.each(mapRows)('elements: $name', (row) => compare(row, outcomeOfMap))
  test.each(mapRows)('what can be wrong with one: $name', (row) => compare(row, outcomeOfCreations))
})
