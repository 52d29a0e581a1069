/**
 * Hash maps against a plain Map, under random operations of programs and user space inside and outside of runs.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  BPF_EXIST,
  BPF_F_NO_PREALLOC,
  BPF_MAP_TYPE,
  BPF_NOEXIST,
  E2BIG,
  EEXIST,
  ENOENT,
} from '../abi/index.ts'
import { Arena, Grace } from '../memory/index.ts'
import { createMap, HashMap } from './index.ts'

const operation = fc.record({
  kind: fc.constantFrom('update', 'update', 'delete', 'lookup', 'write', 'remove', 'read', 'enter', 'leave'),
  key: fc.nat(30),
  value: fc.nat(0xffff_ffff),
  flags: fc.constantFrom(0, 0, 0, BPF_NOEXIST, BPF_EXIST),
})

test.each([
  { name: 'preallocated', flags: 0, keySize: 4 },
  { name: 'on demand', flags: BPF_F_NO_PREALLOC, keySize: 4 },
  { name: 'keys of 7 bytes', flags: 0, keySize: 7 },
])('$name', ({ flags, keySize }) => {
  const maxEntries = 20
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 300, size: 'max' }), (operations) => {
      const arena = new Arena()
      const grace = new Grace()
      const host = { arena, grace, cpuCount: 2, random: () => 99 }
      const definition = {
        type: BPF_MAP_TYPE.BPF_MAP_TYPE_HASH,
        keySize,
        valueSize: 4,
        maxEntries,
        flags,
        name: 'm',
      }
      const map = createMap(host, definition)
      if (!(map instanceof HashMap)) throw new Error(`${map}`)
      const model = new Map<number, number>()
      /** What a running program holds: offset and contents, which must stay until the run ends. */
      let held: { offset: number; value: number }[] = []
      const [keyAt, valueAt] = [arena.allocate(keySize) as number, arena.allocate(4) as number]
      const expected = (key: number, mode: number) => {
        if (model.has(key) && mode === BPF_NOEXIST) return -EEXIST
        if (!model.has(key) && mode === BPF_EXIST) return -ENOENT
        return !model.has(key) && model.size === maxEntries ? -E2BIG : 0
      }
      for (const { kind, key, value, flags: mode } of operations) {
        const keyBytes = new Uint8Array(keySize)
        keyBytes[keySize - 1] = key
        const valueBytes = new Uint8Array(Uint32Array.of(value).buffer)
        arena.bytes.set(keyBytes, keyAt)
        arena.bytes.set(valueBytes, valueAt)
        if (kind === 'update' || kind === 'write') {
          const want = expected(key, mode)
          const got =
            kind === 'update'
              ? map.update(keyAt, valueAt, BigInt(mode), 0)
              : map.write(keyBytes, valueBytes, BigInt(mode))
          expect(got).toBe(want)
          if (want === 0) model.set(key, value)
        } else if (kind === 'delete' || kind === 'remove') {
          const want = model.delete(key) ? 0 : -ENOENT
          expect(kind === 'delete' ? map.delete(keyAt) : map.remove(keyBytes)).toBe(want)
        } else if (kind === 'lookup') {
          const offset = map.lookup(keyAt, 0)
          expect(offset === 0 ? undefined : arena.view.getUint32(offset, true)).toBe(model.get(key))
          if (offset !== 0 && grace.isRunning) held.push({ offset, value: model.get(key) as number })
        } else if (kind === 'read') {
          const read = map.read(keyBytes, 0n)
          expect(typeof read === 'number' ? undefined : new Uint32Array(read.buffer)[0]).toBe(model.get(key))
        } else if (kind === 'enter') {
          grace.enter()
        } else if (grace.isRunning) {
          grace.leave()
          if (!grace.isRunning) held = []
        }
        for (const { offset, value: contents } of held)
          expect(arena.view.getUint32(offset, true)).toBe(contents)
        expect(map.count).toBe(model.size)
      }
      const keys = new Set<number>()
      for (let key = map.nextKey(undefined); typeof key !== 'number'; key = map.nextKey(key)) {
        keys.add(key[keySize - 1] as number)
      }
      expect(keys).toEqual(new Set(model.keys()))
    }),
    { numRuns: 60 },
  )
})

test('a run that replaces one value without end keeps within bounds', () => {
  const arena = new Arena()
  const grace = new Grace()
  const host = { arena, grace, cpuCount: 1, random: () => 5 }
  const definition = {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_HASH,
    keySize: 4,
    valueSize: 64,
    maxEntries: 1,
    flags: 0,
    name: 'm',
  }
  const map = createMap(host, definition)
  if (typeof map === 'number') throw new Error(`${map}`)
  const [key, value] = [arena.allocate(4) as number, arena.allocate(64) as number]
  grace.enter()
  for (let round = 0; round < 100_000; round++) expect(map.update(key, value, 0n, 0)).toBe(0)
  expect(map.memoryBytes).toBeLessThan(4 << 20)
  grace.leave()
  expect(map.update(key, value, 0n, 0)).toBe(0)
  expect(map.count).toBe(1)
})
