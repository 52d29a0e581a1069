import { beforeEach, describe, expect, test } from 'vitest'
import * as abi from '../abi/index.ts'
import { Arena, Grace } from '../memory/index.ts'
import { createMap, RingBuffer } from './index.ts'

const SIZE = 4096
let arena: Arena
let ring: RingBuffer
let wakeups: number

beforeEach(() => {
  arena = new Arena()
  const host = { arena, grace: new Grace(), cpuCount: 2, random: () => 0 }
  const definition = {
    type: abi.BPF_MAP_TYPE.BPF_MAP_TYPE_RINGBUF,
    keySize: 0,
    valueSize: 0,
    maxEntries: SIZE,
    flags: 0,
    name: 'ring',
  }
  ring = createMap(host, definition) as RingBuffer
  wakeups = 0
  ring.onWakeup = () => wakeups++
})

const consumerAt = () => ring.regions.consumer.offset
const producerAt = () => ring.regions.producerAndData.offset
const dataAt = () => producerAt() + abi.PAGE_SIZE

/** Reads as libbpf does: through both mappings, giving up at a busy record. */
function consume(): { text: string; discarded: boolean }[] {
  const records: { text: string; discarded: boolean }[] = []
  const { view, bytes } = arena
  let position = Number(view.getBigUint64(consumerAt(), true))
  while (position < Number(view.getBigUint64(producerAt(), true))) {
    const header = dataAt() + (position % SIZE)
    const word = view.getUint32(header, true)
    if ((word & abi.BPF_RINGBUF_BUSY_BIT) !== 0) break
    const length = word & (abi.BPF_RINGBUF_DISCARD_BIT - 1)
    records.push({
      text: new TextDecoder().decode(bytes.slice(header + 8, header + 8 + length)),
      discarded: (word & abi.BPF_RINGBUF_DISCARD_BIT) !== 0,
    })
    position += Math.ceil((length + 8) / 8) * 8
    view.setBigUint64(consumerAt(), BigInt(position), true)
  }
  return records
}

function send(text: string, flags = 0n): number {
  const bytes = new TextEncoder().encode(text)
  const at = arena.allocate(bytes.length) as number
  arena.bytes.set(bytes, at)
  const result = ring.output(at, bytes.length, flags)
  arena.free(at)
  return result
}

test('what goes in comes out, in order, around the end many times', () => {
  for (let round = 0; round < 200; round++) {
    const texts = [`first ${round}`, 'x'.repeat((round * 37) % 900), `last ${round}`]
    for (const text of texts) expect(send(text)).toBe(0)
    expect(consume().map(({ text }) => text)).toEqual(texts)
  }
  expect(ring.query(abi.BPF_RB_PROD_POS)).toBeGreaterThan(10 * SIZE)
  expect(ring.readable()).toBe(false)
})

describe('a reserved record', () => {
  test("is the program's until it is committed, to the byte", () => {
    const record = ring.reserve(13, 0n)
    expect(arena.check(arena.address(record), 13, true)).toBe(record)
    expect(arena.check(arena.address(record), 14, true)).toBe(-1)
    expect(arena.check(arena.address(record - 8), 8, false)).toBe(-1)
    expect(ring.isReserved(record)).toBe(true)
    ring.submit(record, 0n)
    expect(arena.check(arena.address(record), 1, false)).toBe(-1)
    expect(ring.isReserved(record)).toBe(false)
  })

  test('holds back what was committed behind it', () => {
    const [first, second] = [ring.reserve(8, 0n), ring.reserve(8, 0n)]
    ring.submit(second, 0n)
    expect(consume()).toEqual([])
    ring.discard(first, 0n)
    expect(consume().map(({ discarded }) => discarded)).toEqual([true, false])
  })

  test('names the map it belongs to', () => {
    ring.reserve(3000, 0n)
    const record = ring.reserve(8, 0n)
    expect(arena.address(RingBuffer.headerOf(arena.view, record))).toBe(ring.address)
    for (const wrong of [record + 8, record - 8, consumerAt() + 8, 8, arena.bytes.length]) {
      expect([wrong, ring.isReserved(wrong)]).toEqual([wrong, false])
    }
  })

  test('inside another record cannot be forged', () => {
    const record = ring.reserve(64, 0n)
    arena.view.setUint32(record + 16, (8 | abi.BPF_RINGBUF_BUSY_BIT) >>> 0, true)
    arena.view.setUint32(record + 20, 3, true)
    expect(ring.isReserved(record + 24)).toBe(false)
  })

  test('is not overrun when user space moves its position', () => {
    const busy = ring.reserve(1000, 0n)
    for (let sent = 0; sent < 2; sent++) expect(send('y'.repeat(1000))).toBe(0)
    arena.view.setBigUint64(consumerAt(), BigInt(ring.query(abi.BPF_RB_PROD_POS)), true)
    expect(send('y'.repeat(1500))).toBe(-abi.EAGAIN)
    expect(ring.isReserved(busy)).toBe(true)
    for (const absurd of [2n ** 63n, 2n ** 64n - 8n]) {
      arena.view.setBigUint64(consumerAt(), absurd, true)
      expect(send('z')).toBe(-abi.EAGAIN)
    }
  })
})

test('limits: flags, sizes, and a ring that is full', () => {
  expect(ring.reserve(8, 1n)).toBe(0)
  expect(ring.reserve(SIZE - 7, 0n)).toBe(0)
  expect(ring.reserve(0x4000_0000, 0n)).toBe(0)
  expect(ring.reserve(Number.MAX_SAFE_INTEGER, 0n)).toBe(0)
  expect(ring.output(dataAt(), 8, 4n)).toBe(-abi.EINVAL)
  const before = ring.dropped
  expect(send('a'.repeat(SIZE - 24))).toBe(0)
  expect(ring.query(abi.BPF_RB_AVAIL_DATA)).toBe(SIZE - 16)
  expect(send('12345678')).toBe(-abi.EAGAIN)
  expect(send('')).toBe(0)
  expect(send('')).toBe(-abi.EAGAIN)
  expect(ring.dropped).toBe(before + 2)
  expect(ring.query(abi.BPF_RB_RING_SIZE)).toBe(SIZE)
  expect(ring.query(9n)).toBe(0)
})

describe('wake-ups', () => {
  test('only for the record that the reader waits for', () => {
    send('one')
    expect(wakeups).toBe(1)
    send('two')
    expect(wakeups).toBe(1)
    consume()
    send('three')
    expect(wakeups).toBe(2)
  })

  test('flags force and suppress them', () => {
    send('one', abi.BPF_RB_NO_WAKEUP)
    expect(wakeups).toBe(0)
    send('two', abi.BPF_RB_FORCE_WAKEUP)
    expect(wakeups).toBe(1)
    consume()
    const record = ring.reserve(8, 0n)
    ring.discard(record, 0n)
    expect(wakeups).toBe(2)
  })
})

test('element operations are not supported, as on Linux', () => {
  const none = new Uint8Array(0)
  const results = [
    ring.read(none, 0n),
    ring.write(none, none, 0n),
    ring.remove(none),
    ring.nextKey(undefined),
    ring.readAndRemove(none, 0n),
  ]
  expect(results).toEqual(results.map(() => -abi.ENOTSUPP))
})
