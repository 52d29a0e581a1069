/** Ring buffers and perf buffers, from a program to a reader that maps, polls and consumes. */
import { describe, expect, test } from 'vitest'
import {
  BPF_F_MMAPABLE,
  BPF_MAP_TYPE,
  BPF_RINGBUF_DISCARD_BIT,
  EPERM,
  MAP_SHARED,
  mapElemAttr,
  PERF_MMAP_DATA_HEAD,
  PERF_MMAP_DATA_TAIL,
  PERF_RECORD_SAMPLE,
  PERF_SAMPLE_RAW,
  POLLFD_SIZE,
  POLLIN,
  POLLNVAL,
  PROT_READ,
  PROT_WRITE,
  perfEventAttr,
} from '../abi/index.ts'
import { createKernel } from './kernel.ts'
import { Caller, u32 } from './testing/caller.ts'
import { TinyPort } from './testing/tiny-port.ts'

function setUp(cpuCount = 1) {
  const port = new TinyPort({ cpuCount })
  const kernel = createKernel({ port })
  const client = kernel.openClient()
  return { port, kernel, client, caller: new Caller(client) }
}

/** struct pollfd for one descriptor; `revents` reads the answer. */
function pollfd(caller: Caller, fd: number) {
  const bytes = new Uint8Array(POLLFD_SIZE)
  const view = new DataView(bytes.buffer)
  view.setInt32(0, fd, true)
  view.setUint16(4, POLLIN, true)
  const pointer = caller.put(bytes)
  return {
    pointer,
    revents: () => {
      const answered = caller.syscalls.memory.view(pointer, POLLFD_SIZE)
      return new DataView(answered.buffer, answered.byteOffset).getUint16(6, true)
    },
  }
}

/** Sends a0, as 8 bytes, through the ring. */
const sendArgument = (map: number) => `
  r2 = *(u64 *)(r1 +80)
  *(u64 *)(r10 -8) = r2
  r1 = map[fd:${map}]
  r2 = r10
  r2 += -8
  r3 = 8
  r4 = 0
  call bpf_ringbuf_output
  r0 = 0
  exit
`

function ringSetUp() {
  const made = setUp()
  const { caller, client } = made
  const map = caller.createMap({ map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_RINGBUF, max_entries: 4096 })
  const consumer = client.mmap(0n, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0)
  const producer = client.mmap(0n, 4096 + 2 * 4096, PROT_READ, MAP_SHARED, map, 4096)
  expect(consumer).toBeGreaterThan(0n)
  expect(producer).toBeGreaterThan(0n)
  caller.link(caller.load(sendArgument(map)), caller.openProbe('add_one'))
  const word = (at: bigint) => {
    const bytes = client.memory.view(at, 8)
    return new DataView(bytes.buffer, bytes.byteOffset, 8)
  }
  /** Takes all records away. */
  const consume = (): bigint[] => {
    const values: bigint[] = []
    let position = word(consumer).getBigUint64(0, true)
    while (position < word(producer).getBigUint64(0, true)) {
      const record = producer + 4096n + (position % 4096n)
      const length = word(record).getUint32(0, true)
      if ((length & BPF_RINGBUF_DISCARD_BIT) === 0) values.push(word(record + 8n).getBigUint64(0, true))
      position += BigInt(((length & 0x3fff_ffff) + 8 + 7) & ~7)
      word(consumer).setBigUint64(0, position, true)
    }
    return values
  }
  return { ...made, map, consumer, producer, consume }
}

describe('a ring buffer', () => {
  test('carries records in order, around its end many times', () => {
    const { port, consume } = ringSetUp()
    for (let round = 0n; round < 20n; round++) {
      const sent = Array.from({ length: 100 }, (_, i) => round * 100n + BigInt(i))
      for (const value of sent) port.call('add_one', value)
      expect(consume()).toEqual(sent)
    }
  })

  test('poll answers at once with a timeout of 0, wakes when a record comes, and gives up in time', async () => {
    const { port, client, caller, map, consume } = ringSetUp()
    const fds = pollfd(caller, map)
    expect(await client.poll(fds.pointer, 1, 0)).toBe(0)
    const waiting = client.poll(fds.pointer, 1, -1)
    port.call('add_one', 5n)
    expect(await waiting).toBe(1)
    expect(fds.revents()).toBe(POLLIN)
    expect(consume()).toEqual([5n])
    expect(await client.poll(fds.pointer, 1, 5)).toBe(0)
  })

  test('poll reports a descriptor that is not open', async () => {
    const { client, caller } = ringSetUp()
    const fds = pollfd(caller, 999)
    expect(await client.poll(fds.pointer, 1, 0)).toBe(1)
    expect(fds.revents()).toBe(POLLNVAL)
  })

  test('the producer side cannot be written through read(2) either', () => {
    const { client, caller, producer } = ringSetUp()
    expect(caller.syscalls.mmap(0n, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 4096)).toBe(BigInt(-EPERM))
    const file = client.open('/proc/kallsyms', 0)
    expect(client.read(file, producer, 8)).toBe(-14)
  })

  test('lives on in its mapping when every descriptor is closed', () => {
    const { port, kernel, client, consumer, producer, map, consume } = ringSetUp()
    client.close(map)
    port.call('add_one', 9n)
    expect(consume()).toEqual([9n])
    for (let fd = 0; fd < 16; fd++) client.close(fd)
    expect(kernel.stats().maps).toBe(1)
    expect(client.munmap(consumer, 4096)).toBe(0)
    expect(client.munmap(producer, 3 * 4096)).toBe(0)
    expect(kernel.stats().maps).toBe(0)
    expect(() => client.memory.view(consumer, 8)).toThrow(RangeError)
  })
})

test('a mapped array is the memory that programs and lookups see', () => {
  const { port, client, caller } = setUp()
  const map = caller.createMap({
    map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY,
    key_size: 4,
    value_size: 8,
    max_entries: 4,
    map_flags: BPF_F_MMAPABLE,
  })
  const base = client.mmap(0n, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0)
  const word = (index: number) => {
    const bytes = client.memory.view(base + BigInt(index * 8), 8)
    return new DataView(bytes.buffer, bytes.byteOffset)
  }
  word(2).setBigUint64(0, 77n, true)
  expect(caller.lookupU64(map, u32(2))).toBe(77n)
  const increment = `
    r1 = map[fd:${map}]
    *(u32 *)(r10 -4) = 2
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r1 = 1
    lock *(u64 *)(r0 +0) += r1
  out:
    r0 = 0
    exit
  `
  caller.link(caller.load(increment), caller.openProbe('add_one'))
  port.call('add_one', 1n)
  expect(word(2).getBigUint64(0, true)).toBe(78n)
})

describe('a perf buffer', () => {
  const send = (map: number) => `
    r6 = *(u64 *)(r1 +80)
    *(u64 *)(r10 -8) = r6
    r2 = map[fd:${map}]
    r3 = 0xffffffff ll
    r4 = r10
    r4 += -8
    r5 = 8
    call bpf_perf_event_output
    r0 = 0
    exit
  `

  const eventAttr = perfEventAttr.encode({
    type: 1,
    size: perfEventAttr.size,
    config: 10n,
    sample_type: PERF_SAMPLE_RAW,
    wakeup_events: 1,
  })

  test('one ring for each CPU, filled by the program that runs there', async () => {
    const { port, client, caller } = setUp(2)
    const array = caller.createMap({
      map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_PERF_EVENT_ARRAY,
      key_size: 4,
      value_size: 4,
      max_entries: 2,
    })
    const rings = [0, 1].map((cpu) => {
      const fd = client.perfEventOpen(caller.put(eventAttr), -1, cpu, -1, 8n)
      const base = client.mmap(0n, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
      expect(base).toBeGreaterThan(0n)
      expect(caller.update(array, u32(cpu), u32(fd))).toBe(0)
      const view = () => {
        const bytes = client.memory.view(base, 3 * 4096)
        return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
      }
      return { fd, view }
    })
    caller.link(caller.load(send(array)), caller.openProbe('add_one'))
    const fds = pollfd(caller, rings[1]!.fd)
    const waiting = client.poll(fds.pointer, 1, 1000)
    port.call('add_one', 70n, 0)
    port.call('add_one', 71n, 1)
    expect(await waiting).toBe(1)
    rings.forEach(({ view }, cpu) => {
      const page = view()
      expect(page.getUint32(4096, true)).toBe(PERF_RECORD_SAMPLE)
      expect(page.getBigUint64(4096 + 12, true)).toBe(70n + BigInt(cpu))
      const head = page.getBigUint64(PERF_MMAP_DATA_HEAD, true)
      expect(Number(head)).toBe(page.getUint16(4096 + 6, true))
      page.setBigUint64(PERF_MMAP_DATA_TAIL, head, true)
    })
    expect(await client.poll(fds.pointer, 1, 0)).toBe(0)
  })

  test('the event is that of the process which updated the array, whoever fires', () => {
    const { port, kernel, client, caller } = setUp()
    const array = caller.createMap({
      map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_PERF_EVENT_ARRAY,
      key_size: 4,
      value_size: 4,
      max_entries: 1,
    })
    const event = client.perfEventOpen(caller.put(eventAttr), -1, 0, -1, 8n)
    const base = client.mmap(0n, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, event, 0)
    // In another process the same number is another file.
    using other = kernel.openClient()
    const stranger = new Caller(other)
    while (other.open('/proc/kallsyms', 0) < event) {}
    expect(caller.update(array, u32(0), u32(event))).toBe(0)
    caller.link(caller.load(send(array)), caller.openProbe('add_one'))
    port.call('add_one', 3n)
    const bytes = client.memory.view(base, 8192)
    expect(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(4096 + 12, true)).toBe(3n)
    // And a process that does not have the array's descriptor cannot put anything in.
    const attr = mapElemAttr.encode({
      map_fd: array,
      key: stranger.put(u32(0)),
      value: stranger.put(u32(event)),
    })
    expect(stranger.bpf('BPF_MAP_UPDATE_ELEM', attr)).toBeLessThan(0)
  })

  test('entries leave with the descriptor that they were entered through', () => {
    const { kernel, client, caller } = setUp()
    const array = caller.createMap({
      map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_PERF_EVENT_ARRAY,
      key_size: 4,
      value_size: 4,
      max_entries: 1,
    })
    const event = client.perfEventOpen(caller.put(eventAttr), -1, 0, -1, 8n)
    caller.update(array, u32(0), u32(event))
    client.close(event)
    client.close(array)
    expect(kernel.stats()).toMatchObject({ maps: 0, descriptors: 0 })
  })
})
