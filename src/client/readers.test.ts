import { describe, expect, test } from 'vitest'
import {
  BPF_MAP_TYPE,
  BPF_RINGBUF_BUSY_BIT,
  BPF_RINGBUF_DISCARD_BIT,
  EACCES,
  PAGE_SIZE,
  PERF_MMAP_DATA_HEAD,
  PERF_RECORD_LOST,
  PERF_RECORD_SAMPLE,
  u32,
} from '../abi/index.ts'
import { createMap } from './calls.ts'
import { bytesCodec, type Codec } from './codec.ts'
import { SyscallError } from './errors.ts'
import { viewOf } from './globals.ts'
import { BpfMap } from './map.ts'
import { MapHandle } from './map-handle.ts'
import { Descriptor } from './owner.ts'
import { PerfReader } from './perf-buffer.ts'
import { RingBufferReader, recordsOf } from './ring-buffer.ts'
import { FakeKernel, type FakeKernelOptions, type FakeMap } from './testing/fake-kernel.ts'
import { mapSpec } from './testing/specs.ts'
import { TracePipe } from './trace-pipe.ts'

function makeMap(
  kernel: FakeKernel,
  type: number,
  keySize: number,
  valueSize: number,
  maxEntries: number,
): BpfMap {
  const sizes = { map_type: type, key_size: keySize, value_size: valueSize, max_entries: maxEntries }
  const descriptor = createMap(kernel, sizes)
  if (!(descriptor instanceof Descriptor)) throw new Error(`map create: ${descriptor}`)
  const spec = mapSpec({ name: 'events', type, keySize, valueSize, maxEntries })
  const handle = new MapHandle(kernel, descriptor, { keySize, valueBytes: valueSize, maxEntries })
  return new BpfMap(spec, handle, bytesCodec(keySize) as Codec<never>, bytesCodec(valueSize) as Codec<never>)
}

function opened<T>(reader: T | SyscallError): T {
  if (reader instanceof SyscallError) throw reader
  return reader
}

/** What programs do to a ring buffer. */
class RingProducer {
  readonly #map: FakeMap
  readonly size: number

  constructor(map: FakeMap) {
    this.#map = map
    this.size = map.attr.max_entries
  }

  get position(): number {
    return Number(viewOf(this.#map.producer).getBigUint64(0, true))
  }

  get consumed(): number {
    return Number(viewOf(this.#map.consumer).getBigUint64(0, true))
  }

  /** Returns where its header is, or undefined where there is no room. */
  reserve(data: Uint8Array, flags = BPF_RINGBUF_BUSY_BIT): number | undefined {
    const start = this.position
    const next = start + 8 + ((data.length + 7) & ~7)
    if (next - this.consumed > this.size - 1) return undefined
    this.#write(start, Uint8Array.from({ length: 8 }), flags | data.length)
    this.#writeBytes(start + 8, data)
    viewOf(this.#map.producer).setBigUint64(0, BigInt(next), true)
    return start
  }

  commit(start: number, length: number, flags = 0): void {
    this.#write(start, undefined, flags | length)
  }

  push(data: Uint8Array): boolean {
    const start = this.reserve(data)
    if (start !== undefined) this.commit(start, data.length)
    return start !== undefined
  }

  #write(position: number, bytes: Uint8Array | undefined, header: number): void {
    if (bytes) this.#writeBytes(position, bytes)
    const word = new Uint8Array(4)
    viewOf(word).setUint32(0, header >>> 0, true)
    this.#writeBytes(position, word)
  }

  /** The data area is shown twice; the fake keeps both copies in step. */
  #writeBytes(position: number, bytes: Uint8Array): void {
    for (const [index, byte] of bytes.entries()) {
      const at = (position + index) % this.size
      this.#map.producer[PAGE_SIZE + at] = byte
      this.#map.producer[PAGE_SIZE + this.size + at] = byte
    }
  }
}

function setUpRing(options: FakeKernelOptions = {}) {
  const kernel = new FakeKernel(options)
  const map = makeMap(kernel, BPF_MAP_TYPE.BPF_MAP_TYPE_RINGBUF, 0, 0, PAGE_SIZE)
  return { kernel, map, producer: new RingProducer(kernel.objects('map')[0] as FakeMap) }
}

const text = (string: string) => new TextEncoder().encode(string)
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes.slice())

describe('RingBufferReader', () => {
  test('drains what is there and gives the room back', () => {
    const { map, producer } = setUpRing()
    using reader = opened(RingBufferReader.open(map, { decode }))
    producer.push(text('one'))
    producer.push(text('a longer record'))
    expect(reader.backlogBytes).toBe(16 + 24)
    expect([...reader.drain()]).toEqual(['one', 'a longer record'])
    expect(reader).toMatchObject({ backlogBytes: 0, received: 2, discarded: 0, lost: undefined })
    expect(producer.consumed).toBe(producer.position)
  })

  test('keeps the order over many turns of the ring, and loses nothing that was accepted', () => {
    const { map, producer } = setUpRing()
    let refused = 0
    using reader = opened(RingBufferReader.open(map, { decode: recordsOf(u32), lostCounter: () => refused }))
    const accepted: number[] = []
    const got: number[] = []
    for (let number = 0; number < 3000; number++) {
      const record = new Uint8Array(4 + ((number * 7) % 61))
      viewOf(record).setUint32(0, number, true)
      if (producer.push(record)) accepted.push(number)
      else refused++
      if (number % 97 === 0) got.push(...reader.drain())
    }
    got.push(...reader.drain())
    expect(got).toEqual(accepted)
    expect(refused).toBeGreaterThan(0)
    expect(reader.lost).toBe(refused)
  })

  test('waits behind a record that is being written, and skips a discarded one', () => {
    const { map, producer } = setUpRing()
    using reader = opened(RingBufferReader.open(map, { decode }))
    const slow = producer.reserve(text('slow'))!
    const dropped = producer.reserve(text('dropped'))!
    producer.push(text('fast'))
    producer.commit(dropped, 7, BPF_RINGBUF_DISCARD_BIT)
    expect([...reader.drain()]).toEqual([])
    producer.commit(slow, 4)
    expect([...reader.drain()]).toEqual(['slow', 'fast'])
    expect(reader.discarded).toBe(1)
  })

  test('iterates until it is told to stop', async () => {
    const { kernel, map, producer } = setUpRing()
    const abort = new AbortController()
    {
      using reader = opened(RingBufferReader.open(map, { decode }))
      setTimeout(() => producer.push(text('later')), 10)
      producer.push(text('now'))
      const got: string[] = []
      for await (const record of reader.records(abort.signal)) {
        got.push(record)
        if (got.length === 2) setTimeout(() => abort.abort(), 10)
      }
      expect(got).toEqual(['now', 'later'])
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
    map[Symbol.dispose]()
    expect(kernel.memory).toMatchObject({ allocations: 0, mappings: 0 })
  })

  test('a mapping that fails leaves nothing behind', () => {
    for (const failing of [0, 1]) {
      let mmaps = 0
      const { kernel, map } = setUpRing({
        fail: (_index, call) => (call === 'mmap' && mmaps++ === failing ? -EACCES : undefined),
      })
      expect(RingBufferReader.open(map)).toMatchObject({ errno: EACCES, call: 'mmap' })
      map[Symbol.dispose]()
      expect(kernel.fds.size).toBe(0)
      expect(kernel.memory).toMatchObject({ allocations: 0, mappings: 0 })
    }
  })
})

describe('PerfReader', () => {
  /** Appends a record to the ring of an event, wrapping as the kernel does. */
  function append(pages: Uint8Array, type: number, body: Uint8Array): void {
    const size = pages.length - PAGE_SIZE
    const head = Number(viewOf(pages).getBigUint64(PERF_MMAP_DATA_HEAD, true))
    const record = new Uint8Array(8 + body.length)
    viewOf(record).setUint32(0, type, true)
    viewOf(record).setUint16(6, record.length, true)
    record.set(body, 8)
    for (const [index, byte] of record.entries()) pages[PAGE_SIZE + ((head + index) % size)] = byte
    viewOf(pages).setBigUint64(PERF_MMAP_DATA_HEAD, BigInt(head + record.length), true)
  }

  function sample(string: string): Uint8Array {
    const body = new Uint8Array(4 + ((string.length + 11) & ~7) - 4)
    viewOf(body).setUint32(0, string.length, true)
    body.set(text(string), 4)
    return body
  }

  test('reads samples of all CPUs over many turns, and counts the lost ones', () => {
    const kernel = new FakeKernel()
    using map = makeMap(kernel, BPF_MAP_TYPE.BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2)
    const name = (bytes: Uint8Array, cpu: number) => `${cpu}:${decode(bytes)}`
    {
      using reader = opened(PerfReader.open(map, { decode: name }))
      const rings = kernel.objects('event')
      expect(rings.map(({ isEnabled, attr }) => [isEnabled, attr.type, attr.config])).toEqual([
        [true, 1, 10n],
        [true, 1, 10n],
      ])
      expect(kernel.objects('map')[0]?.elements.size).toBe(2)
      const [first, second] = rings.map(({ pages }) => pages) as [Uint8Array, Uint8Array]
      append(second, PERF_RECORD_SAMPLE, sample('b'))
      for (let turn = 0; turn < 200; turn++) {
        for (let index = 0; index < 20; index++)
          append(first, PERF_RECORD_SAMPLE, sample(`event ${turn} ${index}`))
        const got = [...reader.drain()]
        expect(got.slice(0, 20)).toEqual(Array.from({ length: 20 }, (_, index) => `0:event ${turn} ${index}`))
        expect(got.slice(20)).toEqual(turn === 0 ? ['1:b'] : [])
      }
      const lost = new Uint8Array(16)
      viewOf(lost).setBigUint64(8, 41n, true)
      append(first, PERF_RECORD_LOST, lost)
      append(second, PERF_RECORD_LOST, lost)
      expect([...reader.drain()]).toEqual([])
      expect(reader.lost).toBe(82)
    }
    expect(kernel.fds.size).toBe(1)
    expect(kernel.memory.mappings).toBe(0)
  })

  test('whichever call fails, nothing stays open', () => {
    for (let failing = 1; failing <= 8; failing++) {
      const kernel = new FakeKernel({ fail: (index) => (index === failing ? -EACCES : undefined) })
      const map = makeMap(kernel, BPF_MAP_TYPE.BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2)
      expect(PerfReader.open(map)).toMatchObject({ errno: EACCES })
      map[Symbol.dispose]()
      expect(kernel.fds.size, `call ${failing}`).toBe(0)
      expect(kernel.memory).toMatchObject({ allocations: 0, mappings: 0 })
    }
  })
})

describe('TracePipe', () => {
  test('gives whole lines, and nothing twice', async () => {
    const kernel = new FakeKernel({ files: { '/sys/kernel/tracing/trace_pipe': 'one\ntwo\nthr' } })
    using pipe = opened(TracePipe.open(kernel))
    expect([...pipe.drain()]).toEqual(['one', 'two'])
    const [file] = kernel.objects('file')
    if (file) file.text = text('ee\nfour\n')
    const abort = new AbortController()
    for await (const line of pipe.lines(abort.signal)) {
      expect(line).toBe('three')
      abort.abort()
    }
    expect([...pipe.drain()]).toEqual(['four'])
  })

  test('looks where older systems mount it, and says where it looked', () => {
    const old = '/sys/kernel/debug/tracing/trace_pipe'
    const files = { '/sys/kernel/tracing/trace_pipe': undefined }
    using pipe = opened(TracePipe.open(new FakeKernel({ files: { ...files, [old]: 'x\n' } })))
    expect([...pipe.drain()]).toEqual(['x'])
    expect(TracePipe.open(new FakeKernel({ files }))).toMatchObject({
      message: 'open: ENOENT: /sys/kernel/tracing/trace_pipe',
    })
  })
})
