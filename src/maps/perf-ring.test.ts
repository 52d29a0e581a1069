import { expect, test } from 'vitest'
import * as abi from '../abi/index.ts'
import { Arena } from '../memory/index.ts'
import { PerfRing } from './index.ts'

interface Record {
  readonly type: number
  readonly bytes: Uint8Array
}

function setUp(wakeupEvents = 1) {
  const arena = new Arena()
  let wakeups = 0
  const ring = PerfRing.create(arena, { dataPages: 1, wakeupEvents, id: 77n, onWakeup: () => wakeups++ })
  if (ring === undefined) throw new Error('no memory')
  const page = ring.region.offset
  const size = abi.PAGE_SIZE
  const data = arena.allocate(4096) as number
  arena.bytes.fill(0x5a, data, data + 4096)
  const word = (at: number) => Number(arena.view.getBigUint64(page + at, true))
  /** Reads as libbpf's perf buffer does. */
  const consume = (): Record[] => {
    const records: Record[] = []
    const [head, start] = [word(abi.PERF_MMAP_DATA_HEAD), page + word(abi.PERF_MMAP_DATA_OFFSET)]
    let tail = word(abi.PERF_MMAP_DATA_TAIL)
    while (tail < head) {
      const byte = (index: number) => arena.bytes[start + ((tail + index) % size)] as number
      const header = abi.perfEventHeader.read(Uint8Array.from({ length: 8 }, (_, index) => byte(index)))
      records.push({
        type: header.type,
        bytes: Uint8Array.from({ length: header.size }, (_, index) => byte(index)),
      })
      tail += header.size
    }
    arena.view.setBigUint64(page + abi.PERF_MMAP_DATA_TAIL, BigInt(tail), true)
    return records
  }
  return { arena, ring, data, word, consume, wakeups: () => wakeups }
}

test('samples arrive whole, around the end many times', () => {
  const { ring, data, word, consume } = setUp()
  expect(word(abi.PERF_MMAP_DATA_SIZE)).toBe(4096)
  for (let round = 0; round < 300; round++) {
    const size = (round * 13) % 500
    expect(ring.outputSample(data, size)).toBe(0)
    expect(ring.readable()).toBe(true)
    const [record, ...more] = consume()
    expect(more).toEqual([])
    expect(record?.type).toBe(abi.PERF_RECORD_SAMPLE)
    const bytes = record?.bytes as Uint8Array
    expect(bytes.length % 8).toBe(0)
    expect(new DataView(bytes.buffer).getUint32(8, true)).toBe(bytes.length - 12)
    expect(bytes.subarray(12, 12 + size).every((byte) => byte === 0x5a)).toBe(true)
    expect(bytes.subarray(12 + size).every((byte) => byte === 0)).toBe(true)
    expect(bytes.length - 12 - size).toBeLessThan(8)
  }
})

test('what finds no room is counted and reported before the next sample', () => {
  const { ring, data, consume } = setUp()
  let sent = 0
  while (ring.outputSample(data, 500) === 0) sent++
  expect(sent).toBe(7)
  expect(ring.outputSample(data, 500)).toBe(-abi.ENOSPC)
  expect(ring.lost).toBe(2)
  expect(consume()).toHaveLength(7)
  expect(ring.outputSample(data, 8)).toBe(0)
  expect(ring.lost).toBe(0)
  const [lost, sample] = consume()
  expect(lost?.type).toBe(abi.PERF_RECORD_LOST)
  const view = new DataView((lost as Record).bytes.buffer)
  expect([view.getBigUint64(8, true), view.getBigUint64(16, true)]).toEqual([77n, 2n])
  expect(sample?.type).toBe(abi.PERF_RECORD_SAMPLE)
})

test('the reader is told every so many events, or at half of the ring', () => {
  const every = setUp(3)
  for (let sent = 0; sent < 7; sent++) every.ring.outputSample(every.data, 8)
  expect(every.wakeups()).toBe(2)
  const half = setUp(0)
  for (let sent = 0; sent < 8; sent++) half.ring.outputSample(half.data, 500 - 12)
  expect(half.wakeups()).toBe(1)
})

test('programs cannot touch the ring, and its memory is given back', () => {
  const { arena, ring } = setUp()
  const { offset, sizeBytes } = ring.region
  expect(arena.check(arena.address(offset), 1, false)).toBe(-1)
  const before = arena.allocatedBytes
  ring[Symbol.dispose]()
  expect(arena.allocatedBytes).toBeLessThanOrEqual(before - sizeBytes)
})
