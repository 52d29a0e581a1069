import { describe, expect, test } from 'vitest'
import {
  BPF_EXIST,
  BPF_MAP_TYPE,
  BPF_NOEXIST,
  type BpfMapType,
  chars,
  E2BIG,
  EEXIST,
  ENOENT,
  struct,
  u32,
  u64,
} from '../abi/index.ts'
import { createMap } from './calls.ts'
import { bytesCodec, type Codec, perCpuCodec, structCodec } from './codec.ts'
import { SyscallError } from './errors.ts'
import { BpfMap } from './map.ts'
import { MapHandle } from './map-handle.ts'
import { FakeKernel } from './testing/fake-kernel.ts'
import { mapSpec } from './testing/specs.ts'

function makeMap<K, V>(
  kernel: FakeKernel,
  type: BpfMapType,
  key: Codec<K>,
  value: Codec<V>,
  maxEntries: number,
) {
  const isPerCpu = type === BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_HASH
  const whole = isPerCpu ? perCpuCodec(value, 2) : value
  const spec = mapSpec({ name: 'counts', type, keySize: key.size, valueSize: value.size, maxEntries })
  const attr = { map_type: type, key_size: key.size, value_size: value.size, max_entries: maxEntries }
  const descriptor = createMap(kernel, attr)
  if (typeof descriptor === 'number') throw new Error(`map create: ${descriptor}`)
  const handle = new MapHandle(kernel, descriptor, { keySize: key.size, valueBytes: whole.size, maxEntries })
  return new BpfMap(spec, handle, key, whole as Codec<V>)
}

const HASH = BPF_MAP_TYPE.BPF_MAP_TYPE_HASH
const hash = (kernel: FakeKernel, maxEntries = 4) => makeMap(kernel, HASH, u32, u64, maxEntries)

describe('elements', () => {
  test('are set, read, taken and deleted', () => {
    const kernel = new FakeKernel()
    using map = hash(kernel)
    expect(map.get(1)).toBeUndefined()
    expect(map.set(1, 10n)).toBeUndefined()
    expect(map.set(2, 20n)).toBeUndefined()
    expect(map.get(1)).toBe(10n)
    expect(map.take(1)).toBe(10n)
    expect(map.get(1)).toBeUndefined()
    expect(map.delete(2)).toBe(true)
    expect(map.delete(2)).toBe(false)
  })

  test('what the kernel forbids comes back as a value', () => {
    const kernel = new FakeKernel()
    using map = hash(kernel, 1)
    expect(map.set(1, 1n, BPF_EXIST)).toMatchObject({ errno: ENOENT })
    expect(map.set(1, 1n, BPF_NOEXIST)).toBeUndefined()
    expect(map.set(1, 1n, BPF_NOEXIST)).toMatchObject({ errno: EEXIST })
    expect(map.set(2, 1n)).toMatchObject({
      errno: E2BIG,
      message: "BPF_MAP_UPDATE_ELEM: E2BIG: map 'counts'",
    })
  })

  test('of a per-CPU map are arrays', () => {
    const kernel = new FakeKernel()
    const value = structCodec(struct('value', { count: u64, comm: chars(12) }))
    const type = BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_HASH
    using map = makeMap(kernel, type, u32, value, 4).withCodecs(u32, perCpuCodec(value, 2))
    const both = [
      { count: 1n, comm: 'sh' },
      { count: 2n, comm: 'cat' },
    ]
    expect(map.set(7, both)).toBeUndefined()
    expect(map.get(7)).toEqual(both)
    expect(() => map.set(7, both.slice(1))).toThrow('one element for each of 2 CPUs, not 1')
  })
})

describe('iteration', () => {
  test('gives each element once', () => {
    const kernel = new FakeKernel()
    using map = hash(kernel)
    for (const key of [3, 1, 2]) map.set(key, BigInt(key * 10))
    expect([...map]).toEqual([
      [3, 30n],
      [1, 10n],
      [2, 20n],
    ])
    expect([...map.keys()]).toEqual([3, 1, 2])
    expect([...map.values()]).toEqual([30n, 10n, 20n])
  })

  test('goes on while the caller deletes what it is given', () => {
    const kernel = new FakeKernel()
    using map = hash(kernel, 8)
    for (let key = 0; key < 8; key++) map.set(key, 0n)
    const seen: number[] = []
    for (const [key] of map) {
      seen.push(key)
      map.delete(key)
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    expect([...map]).toEqual([])
  })

  test('starts again where the next element vanished, and still gives each once', () => {
    const kernel = new FakeKernel()
    using map = hash(kernel, 8)
    for (let key = 0; key < 8; key++) map.set(key, 0n)
    const seen: number[] = []
    for (const key of map.keys()) {
      seen.push(key)
      // The iteration has already asked for this one.
      if (key === 3) map.delete(4)
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  test('ends although elements come and go without end', () => {
    const kernel = new FakeKernel()
    using map = hash(kernel, 4)
    map.set(0, 0n)
    map.set(1, 0n)
    const entries = map.entries()
    let steps = 0
    let fresh = 2
    for (;;) {
      const step = entries.next()
      if (step.done) {
        expect(step.value).toEqual({ isComplete: false })
        break
      }
      map.delete(step.value[0])
      map.set(fresh++, 0n)
      expect(++steps).toBeLessThan(100)
    }
  })

  test('is complete in the ordinary case, and clear() leaves nothing', () => {
    const kernel = new FakeKernel()
    using map = hash(kernel)
    map.set(1, 1n)
    const entries = map.entries()
    entries.next()
    expect(entries.next()).toEqual({ done: true, value: { isComplete: true } })
    map.clear()
    expect([...map]).toEqual([])
  })
})

test('a mistake of the caller is thrown', () => {
  const kernel = new FakeKernel({
    fail: (_index, call) => (call === 'BPF_MAP_LOOKUP_ELEM' ? -524 : undefined),
  })
  const map = hash(kernel)
  expect(() => map.get(1)).toThrow(SyscallError)
  expect(() => map.withCodecs(u64, u64)).toThrow(
    "map 'counts' has keys of 4 and values of 8 bytes, not 8 and 8",
  )
  expect(() => map.withCodecs(u32, bytesCodec(3))).toThrow('not 4 and 3')
  map[Symbol.dispose]()
  map[Symbol.dispose]()
  expect(() => map.get(1)).toThrow('this map has been closed')
  expect(kernel.fds.size).toBe(0)
  expect(kernel.memory.allocations).toBe(0)
})
