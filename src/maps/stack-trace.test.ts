import { expect, test } from 'vitest'
import * as abi from '../abi/index.ts'
import { Arena, Grace } from '../memory/index.ts'
import { createMap, type MapDefinition, StackTraceMap } from './index.ts'

function make(rest: Partial<MapDefinition> = {}): StackTraceMap {
  const made = createMap(
    { arena: new Arena(), grace: new Grace(), cpuCount: 1, random: () => 1 },
    {
      type: abi.BPF_MAP_TYPE.BPF_MAP_TYPE_STACK_TRACE,
      keySize: 4,
      valueSize: 24,
      maxEntries: 4,
      flags: 0,
      name: 'stacks',
      ...rest,
    },
  )
  if (!(made instanceof StackTraceMap)) throw new Error(`${made}`)
  return made
}

const plain = { comparesHashOnly: false, replaces: false }
const key = (id: number) => new Uint8Array(Uint32Array.of(id).buffer)
const words = (value: Uint8Array | number) => {
  if (typeof value === 'number') throw new Error(`${value}`)
  return [...new BigUint64Array(value.buffer)]
}

/** Two stacks for one place of the map. */
function colliding(map: StackTraceMap): readonly [bigint[], bigint[]] {
  for (let address = 2n; ; address++) {
    const copy = make(map.definition)
    const first = copy.idOf([1n], plain)
    if (copy.idOf([address], plain) === -abi.EEXIST && first >= 0) return [[1n], [address]]
  }
}

test('the same stack has the same number, and is read back with zeros behind it', () => {
  const map = make()
  const id = map.idOf([0xffff_8000n, 5n], plain)
  expect(id).toBeGreaterThanOrEqual(0)
  expect(map.idOf([0xffff_8000n, 5n], plain)).toBe(id)
  expect(words(map.read(key(id), 0n))).toEqual([0xffff_8000n, 5n, 0n])
  expect(map.nextKey(undefined)).toEqual(key(id))
  expect(map.nextKey(key(id))).toBe(-abi.ENOENT)
  expect(words(map.readAndRemove(key(id), 0n))).toEqual([0xffff_8000n, 5n, 0n])
  expect(map.read(key(id), 0n)).toBe(-abi.ENOENT)
  expect(map.remove(key(id))).toBe(-abi.ENOENT)
  expect(map.remove(key(4))).toBe(-abi.E2BIG)
})

test('only so many frames count as a value holds', () => {
  const map = make()
  expect(map.idOf([1n, 2n, 3n, 4n], plain)).toBe(map.idOf([1n, 2n, 3n, 5n], plain))
})

test('another stack in the same place is refused, or replaces it', () => {
  const map = make()
  const [first, second] = colliding(map)
  const id = map.idOf(first, plain)
  expect(map.idOf(second, plain)).toBe(-abi.EEXIST)
  expect(map.idOf(second, { ...plain, replaces: true })).toBe(id)
  expect(words(map.read(key(id), 0n))[0]).toBe(second[0])
  // what was replaced is free again
  for (let round = 0; round < 20; round++) {
    expect(map.idOf(round % 2 === 0 ? first : second, { ...plain, replaces: true })).toBe(id)
  }
})

test('when every stack is in use there is no memory for another', () => {
  const map = make({ maxEntries: 3 })
  const numbers = new Set<number>()
  for (let address = 1n; numbers.size < 3; address++) numbers.add(map.idOf([address], plain))
  numbers.delete(-abi.EEXIST)
  for (let address = 1n; numbers.size < 3; address++) {
    const id = map.idOf([address], plain)
    if (id >= 0) numbers.add(id)
  }
  let answer = 0
  for (let address = 1000n; answer !== -abi.ENOMEM; address++) {
    answer = map.idOf([address], plain)
    expect([-abi.EEXIST, -abi.ENOMEM]).toContain(answer)
  }
})

test('with BPF_F_STACK_BUILD_ID a frame says that it is an address', () => {
  const map = make({ flags: abi.BPF_F_STACK_BUILD_ID, valueSize: 64 })
  const value = map.read(key(map.idOf([7n, 8n], plain)), 0n) as Uint8Array
  const view = new DataView(value.buffer)
  expect([view.getInt32(0, true), view.getBigUint64(24, true)]).toEqual([2, 7n])
  expect([view.getInt32(32, true), view.getBigUint64(56, true)]).toEqual([2, 8n])
})
