/** Reading, writing and removing many elements: with batches and without, on this kernel and on Linux, the same. */
import { expect, test } from 'vitest'
import { BPF_CMD, BPF_MAP_TYPE, E2BIG, ENOTSUPP, type Syscalls, u32, u64 } from '../src/abi/index.ts'
import { BpfMap, createMap, MapHandle } from '../src/client/index.ts'
import { mapSpec } from '../src/client/testing/specs.ts'
import { LinuxUnavailable, openLinux } from '../src/ports/linux/index.ts'
import { GuestUnderTest } from './support/guest.ts'

const linux = openLinux()
const why = linux instanceof LinuxUnavailable ? ` (skipped: ${linux.message})` : ''

function hash(syscalls: Syscalls, maxEntries: number): BpfMap<number, bigint> {
  const type = BPF_MAP_TYPE.BPF_MAP_TYPE_HASH
  const made = createMap(syscalls, { map_type: type, key_size: 4, value_size: 8, max_entries: maxEntries })
  if (typeof made === 'number') throw new Error(`map: ${made}`)
  const handle = new MapHandle(syscalls, made, { keySize: 4, valueBytes: 8, maxEntries })
  return new BpfMap(mapSpec({ name: 'all', type, keySize: 4, valueSize: 8, maxEntries }), handle, u32, u64)
}

/** A kernel without the batch commands; `calls` are those that it got. */
function withoutBatches(syscalls: Syscalls, calls: number[] = []): Syscalls {
  const batches: readonly number[] = [
    BPF_CMD.BPF_MAP_LOOKUP_BATCH,
    BPF_CMD.BPF_MAP_LOOKUP_AND_DELETE_BATCH,
    BPF_CMD.BPF_MAP_UPDATE_BATCH,
    BPF_CMD.BPF_MAP_DELETE_BATCH,
  ]
  return new Proxy(syscalls, {
    get(target, name) {
      if (name === 'bpf') {
        return (cmd: number, attr: bigint, size: number) => {
          calls.push(cmd)
          return batches.includes(cmd) ? -ENOTSUPP : target.bpf(cmd, attr, size)
        }
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

function exercise(syscalls: Syscalls): void {
  using map = hash(syscalls, 64)
  const entries = Array.from({ length: 60 }, (_, key): [number, bigint] => [key, BigInt(key * key)])
  const sorted = (some: [number, bigint][]) => some.sort(([a], [b]) => a - b)
  expect(map.readAll()).toEqual([])
  expect(map.setAll([])).toBeUndefined()
  expect(map.setAll(entries)).toBeUndefined()
  expect(sorted(map.readAll())).toEqual(entries)
  // 3 and 99 are not there.
  expect(map.delete(3)).toBe(true)
  expect(map.deleteAll([1, 2, 3, 4, 99, 5])).toBe(4)
  expect(map.deleteAll([99])).toBe(0)
  expect(sorted(map.takeAll())).toEqual(entries.filter(([key]) => key === 0 || key > 5))
  expect(map.readAll()).toEqual([])
  const tooMany = Array.from({ length: 70 }, (_, key): [number, bigint] => [key, 1n])
  expect(map.setAll(tooMany)).toMatchObject({ errno: E2BIG })
  expect(map.readAll().length).toBe(64)
}

test('in a guest, with batches', () => {
  using guest = new GuestUnderTest()
  exercise(guest.client)
})

test('in a guest, one by one', () => {
  using guest = new GuestUnderTest()
  const calls: number[] = []
  exercise(withoutBatches(guest.client, calls))
  expect(calls.filter((cmd) => cmd === BPF_CMD.BPF_MAP_LOOKUP_ELEM).length).toBeGreaterThan(60)
})

test.skipIf(why !== '')(`on Linux, with batches${why}`, () => exercise(linux as Syscalls))
test.skipIf(why !== '')(`on Linux, one by one${why}`, () => exercise(withoutBatches(linux as Syscalls)))
