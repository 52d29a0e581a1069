/** What an entry of a map of maps holds, and for how long. Which maps fit in is compared with Linux elsewhere. */
import { beforeEach, describe, expect, test } from 'vitest'
import * as abi from '../abi/index.ts'
import { Arena, Grace } from '../memory/index.ts'
import { type ArrayOfMaps, type BpfMap, createMap, type HashOfMaps, type MapDefinition } from './index.ts'

const T = abi.BPF_MAP_TYPE
interface Held {
  readonly id: number
  readonly map: BpfMap
  references: number
}

let host: { arena: Arena; grace: Grace; cpuCount: number; random: () => number }
let held: Held[]

beforeEach(() => {
  host = { arena: new Arena(), grace: new Grace(), cpuCount: 1, random: () => 1 }
  held = []
})

function make(definition: Partial<MapDefinition>): BpfMap {
  const base = { type: T.BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4, maxEntries: 4, flags: 0, name: 'm' }
  const map = createMap(host, { ...base, ...definition })
  if (typeof map === 'number') throw new Error(abi.errnoName(map))
  return map
}

/** Descriptor n is the n-th map of `held`. */
function outer(type: number): ArrayOfMaps<Held> | HashOfMaps<Held> {
  held = [0, 1].map((id) => ({ id: id + 50, map: make({}), references: 1 }))
  const map = make({ type, inner: held[0]?.map ?? 0 }) as ArrayOfMaps<Held> | HashOfMaps<Held>
  map.descriptors = {
    resolve(fd) {
      const entry = held[fd]
      if (entry === undefined) return -abi.EBADF
      entry.references++
      return entry
    },
    idOf: (entry) => entry.id,
    mapOf: (entry) => entry.map,
    release: (entry) => entry.references--,
  }
  return map
}

const word = (value: number) => Uint8Array.of(value, 0, 0, 0)
const references = () => held.map((entry) => entry.references)

describe.each([
  ['array', T.BPF_MAP_TYPE_ARRAY_OF_MAPS],
  ['hash', T.BPF_MAP_TYPE_HASH_OF_MAPS],
] as const)('an %s of maps', (_name, type) => {
  test('gives programs the map and user space its id', () => {
    const map = outer(type)
    const key = host.arena.allocate(4) as number
    host.arena.bytes[key] = 2
    expect(map.lookup(key, 0)).toBe(0)
    expect(map.write(word(2), word(1), 0n)).toBe(0)
    expect(host.arena.address(map.lookup(key, 0))).toBe(held[1]?.map.address)
    expect(map.read(word(2), 0n)).toEqual(word(51))
    expect(map.read(word(1), 0n)).toBe(-abi.ENOENT)
    // the offset itself is not the program's to read
    expect(host.arena.check(map.address, 1, false)).toBe(-1)
  })

  test('holds a reference for each entry, until programs that may have seen it have ended', () => {
    const map = outer(type)
    map.write(word(1), word(0), 0n)
    map.write(word(2), word(0), 0n)
    expect(references()).toEqual([3, 1])
    expect(map.write(word(1), word(9), 0n)).toBe(-abi.EBADF)
    expect(map.write(word(1), word(1), 3n)).toBe(-abi.EINVAL)
    expect(references()).toEqual([3, 1])
    host.grace.enter()
    map.write(word(1), word(1), 0n)
    expect(map.remove(word(2))).toBe(0)
    expect(references()).toEqual([3, 2])
    host.grace.leave()
    expect(references()).toEqual([1, 2])
    map[Symbol.dispose]()
    expect(references()).toEqual([1, 1])
  })
})
