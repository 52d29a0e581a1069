import { beforeEach, describe, expect, test } from 'vitest'
import * as abi from '../abi/index.ts'
import { Arena, Grace } from '../memory/index.ts'
import { createMap, UserRingBuffer } from './index.ts'

const SIZE = 4096
let arena: Arena
let ring: UserRingBuffer
let consumer: number
let producer: number
let data: number

beforeEach(() => {
  arena = new Arena()
  const made = createMap(
    { arena, grace: new Grace(), cpuCount: 1, random: () => 1 },
    {
      type: abi.BPF_MAP_TYPE.BPF_MAP_TYPE_USER_RINGBUF,
      keySize: 0,
      valueSize: 0,
      maxEntries: SIZE,
      flags: 0,
      name: 'ring',
    },
  )
  if (!(made instanceof UserRingBuffer)) throw new Error(`${made}`)
  ring = made
  consumer = ring.regions.consumer.offset
  producer = ring.regions.producerAndData.offset
  data = producer + abi.PAGE_SIZE
})

const position = (at: number) => Number(arena.view.getBigUint64(at, true))

/** Writes a record as user space does: header, then the data, running on past the end. */
function write(text: string, bits = 0): void {
  const bytes = new TextEncoder().encode(text)
  const at = position(producer)
  arena.view.setUint32(data + (at % SIZE), (bytes.length | bits) >>> 0, true)
  arena.bytes.set(bytes, data + ((at + 8) % SIZE))
  arena.view.setBigUint64(producer, BigInt(at + Math.ceil((bytes.length + 8) / 8) * 8), true)
}

function drain(flags = 0n, most = 1000): { result: number; seen: string[] } {
  const seen: string[] = []
  const result = ring.drain(flags, (record, size) => {
    expect(arena.check(arena.address(record), size, true)).toBe(record)
    seen.push(new TextDecoder().decode(arena.bytes.slice(record, record + size)))
    return seen.length >= most
  })
  return { result, seen }
}

describe('a drain', () => {
  test('shows records in order, once, and only while it shows them', () => {
    for (const text of ['one', 'two', 'sixteen bytes...']) write(text)
    expect(drain(0n, 2)).toEqual({ result: 2, seen: ['one', 'two'] })
    expect(drain()).toEqual({ result: 1, seen: ['sixteen bytes...'] })
    expect(drain()).toEqual({ result: 0, seen: [] })
    expect(position(consumer)).toBe(position(producer))
    expect(arena.check(arena.address(data + 8), 1, false)).toBe(-1)
  })

  test('skips what was discarded and stops at what is being written', () => {
    write('first')
    write('gone', abi.BPF_RINGBUF_DISCARD_BIT)
    write('busy', abi.BPF_RINGBUF_BUSY_BIT)
    write('behind')
    expect(drain()).toEqual({ result: 1, seen: ['first'] })
    expect(drain()).toEqual({ result: 0, seen: [] })
  })

  test('shows a record that crosses the end in one piece, and goes on at the beginning', () => {
    const long = 'x'.repeat(1000)
    for (let round = 0; round < 30; round++) {
      write(`${round} ${long}`)
      expect(drain().seen).toEqual([`${round} ${long}`])
    }
    expect(position(consumer)).toBeGreaterThan(7 * SIZE)
  })

  test.each([
    ['a producer position between records', () => arena.view.setBigUint64(producer, 12n, true), -abi.EINVAL],
    [
      'a record longer than what was produced',
      () => {
        write('four')
        arena.view.setUint32(data, 4000, true)
      },
      -abi.EINVAL,
    ],
    [
      'a record longer than the ring',
      () => {
        arena.view.setUint32(data, 5000, true)
        arena.view.setBigUint64(producer, 1n << 20n, true)
      },
      -abi.E2BIG,
    ],
  ] as const)('answers for %s', (_name, prepare, errno) => {
    prepare()
    expect(drain()).toEqual({ result: errno, seen: [] })
    expect(position(consumer)).toBe(0)
  })

  test('cannot be inside of another, and takes no other flags', () => {
    write('one')
    let inner = 0
    ring.drain(0n, () => {
      inner = drain().result
      return false
    })
    expect(inner).toBe(-abi.EBUSY)
    expect(drain(4n).result).toBe(-abi.EINVAL)
  })

  test('tells the writer that there may be room', () => {
    let told = 0
    ring.onWakeup = () => told++
    drain()
    expect(told).toBe(0)
    write('one')
    drain(abi.BPF_RB_NO_WAKEUP)
    expect(told).toBe(0)
    drain(abi.BPF_RB_FORCE_WAKEUP)
    expect(told).toBe(1)
    write('two')
    drain()
    expect(told).toBe(2)
  })

  test('there is room until the ring is full', () => {
    expect(ring.writable()).toBe(true)
    write('x'.repeat(SIZE - 8))
    expect(ring.writable()).toBe(false)
    drain()
    expect(ring.writable()).toBe(true)
  })
})
