/** Typed access of the client to maps without keys, maps of maps and batches, on this project's kernel. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BPF_MAP_TYPE, E2BIG, EINVAL, ENOENT, ENOTSUPP, u32, u64 } from '../src/abi/index.ts'
import {
  BpfBloomFilter,
  BpfMap,
  BpfMapOfMaps,
  BpfQueue,
  bytesCodec,
  type Codec,
  createMap,
  deleteMany,
  MapHandle,
  perCpuCodec,
  readBatches,
  SyscallError,
  setMany,
} from '../src/client/index.ts'
import { mapSpec } from '../src/client/testing/specs.ts'
import { createKernel } from '../src/kernel/kernel.ts'
import { TinyPort } from '../src/kernel/testing/tiny-port.ts'

const T = BPF_MAP_TYPE
let kernel: ReturnType<typeof createKernel>
let client: ReturnType<(typeof kernel)['openClient']>

beforeEach(() => {
  kernel = createKernel({ port: new TinyPort({ cpuCount: 2 }) })
  client = kernel.openClient()
})
afterEach(() => kernel[Symbol.dispose]())

function make<K, V>(
  type: (typeof T)[keyof typeof T],
  key: Codec<K>,
  value: Codec<V>,
  options: { readonly valueSize?: number; readonly maxEntries?: number; readonly inner?: number } = {},
): BpfMap<K, V> {
  const { valueSize = value.size, maxEntries = 100, inner = 0 } = options
  const descriptor = createMap(client, {
    map_type: type,
    key_size: key.size,
    value_size: valueSize,
    max_entries: maxEntries,
    inner_map_fd: inner,
  })
  if (typeof descriptor === 'number') throw new SyscallError('BPF_MAP_CREATE', descriptor, 'test')
  const spec = mapSpec({ name: 'm', type, keySize: key.size, valueSize, maxEntries })
  const handle = new MapHandle(client, descriptor, {
    keySize: key.size,
    valueBytes: value.size,
    maxEntries,
  })
  return new BpfMap(spec, handle, key, value)
}

const none = bytesCodec(0)
const errnoOf = (error: SyscallError | undefined) => error?.errno

describe('queues and filters', () => {
  test('a queue gives the oldest first, a stack the youngest', () => {
    for (const [type, order] of [
      [T.BPF_MAP_TYPE_QUEUE, [1n, 2n, 3n]],
      [T.BPF_MAP_TYPE_STACK, [3n, 2n, 1n]],
    ] as const) {
      using map = make(type, none, u64, { maxEntries: 3 })
      const queue = new BpfQueue(map)
      for (const value of [1n, 2n, 3n]) expect(queue.push(value)).toBeUndefined()
      expect(errnoOf(queue.push(4n))).toBe(E2BIG)
      expect(queue.peek()).toBe(order[0])
      expect([...queue.drain()]).toEqual(order)
      expect(queue.pop()).toBeUndefined()
    }
  })

  test('the oldest makes room if it is told to', () => {
    using map = make(T.BPF_MAP_TYPE_QUEUE, none, u32, { maxEntries: 2 })
    const queue = new BpfQueue(map)
    for (const value of [1, 2, 3]) expect(queue.push(value, { dropsOldest: true })).toBeUndefined()
    expect([...queue.drain()]).toEqual([2, 3])
  })

  test('a bloom filter knows what was added', () => {
    using map = make(T.BPF_MAP_TYPE_BLOOM_FILTER, none, u32)
    const filter = new BpfBloomFilter(map)
    for (let value = 0; value < 50; value++) expect(filter.add(value)).toBeUndefined()
    for (let value = 0; value < 50; value++) expect(filter.has(value)).toBe(true)
    const wrong = Array.from({ length: 1000 }, (_, index) => filter.has(1000 + index)).filter(Boolean)
    expect(wrong.length).toBeLessThan(100)
    expect(() => new BpfQueue(map)).toThrow('no queue')
  })
})

describe('maps of maps', () => {
  test('hold the inner map after its last descriptor has gone', () => {
    using model = make(T.BPF_MAP_TYPE_HASH, u32, u64)
    using outer = make(T.BPF_MAP_TYPE_HASH_OF_MAPS, u32, u32, { inner: model.fd })
    const maps = new BpfMapOfMaps(outer)
    const inner = make(T.BPF_MAP_TYPE_HASH, u32, u64)
    expect(maps.set(7, inner)).toBeUndefined()
    inner[Symbol.dispose]()
    const id = maps.idOf(7)
    expect(id).toBeGreaterThan(0)
    using other = make(T.BPF_MAP_TYPE_HASH, u32, u32)
    expect(errnoOf(maps.set(8, other))).toBe(EINVAL)
    expect(maps.idOf(8)).toBeUndefined()
    expect(maps.delete(7)).toBe(true)
    expect(maps.delete(7)).toBe(false)
  })
})

describe('batches', () => {
  const entries = Array.from({ length: 60 }, (_, index): [number, bigint] => [index * 3, BigInt(index)])

  test.each([
    ['hash', T.BPF_MAP_TYPE_HASH],
    ['LRU hash', T.BPF_MAP_TYPE_LRU_HASH],
  ] as const)('a %s is written, read and emptied', (_name, type) => {
    using map = make(type, u32, u64)
    expect(setMany(map, entries)).toEqual({ done: 60 })
    for (const size of [1, 7, 1000]) {
      const read = [...readBatches(map, { size })].flat()
      expect(read.sort(([a], [b]) => a - b)).toEqual(entries)
    }
    const partly = deleteMany(map, [0, 3, 1, 6])
    expect([partly.done, errnoOf(partly.error)]).toEqual([2, ENOENT])
    expect(deleteMany(map, [6, 9])).toEqual({ done: 2 })
    expect([...readBatches(map, { deletes: true })].flat()).toHaveLength(56)
    expect([...readBatches(map)]).toEqual([])
  })

  test('a full map takes what it has room for', () => {
    using map = make(T.BPF_MAP_TYPE_HASH, u32, u64, { maxEntries: 10 })
    const result = setMany(map, entries)
    expect([result.done, errnoOf(result.error)]).toEqual([10, E2BIG])
  })

  test('values of all CPUs', () => {
    using map = make(T.BPF_MAP_TYPE_PERCPU_ARRAY, u32, perCpuCodec(u64, 2), { valueSize: 8, maxEntries: 3 })
    expect(setMany(map, [[1, [5n, 6n]]])).toEqual({ done: 1 })
    expect([...readBatches(map, { size: 2 })].flat()).toEqual([
      [0, [0n, 0n]],
      [1, [5n, 6n]],
      [2, [0n, 0n]],
    ])
  })

  test('a map without batches says so', () => {
    using map = make(T.BPF_MAP_TYPE_QUEUE, none, u64)
    expect(() => [...readBatches(map)]).toThrow(SyscallError)
    expect(errnoOf(setMany(map, [[new Uint8Array(0), 1n]]).error)).toBe(ENOTSUPP)
    using array = make(T.BPF_MAP_TYPE_ARRAY, u32, u64)
    const result = deleteMany(array, [1])
    expect([result.done, errnoOf(result.error)]).toEqual([0, ENOTSUPP])
  })
})
