/** The client against this project's kernel, tracing a real guest. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BPF_EXIST, chars, E2BIG, ENOENT, EPERM, s32, struct, u32, u64 } from '../src/abi/index.ts'
import {
  AttachError,
  Collection,
  type LoadOptions,
  load,
  ObjectError,
  openObject,
  possibleCpuCount,
  RingBufferReader,
  recordsOf,
  SyscallError,
  structCodec,
  TracePipe,
} from '../src/client/index.ts'
import { GuestUnderTest, repositoryFile } from './support/guest.ts'

function loadArtefact(guest: GuestUnderTest, name: string, options?: LoadOptions): Collection {
  const spec = openObject(repositoryFile(`bpf/${name}.bpf.o`), { name })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  const collection = load(spec, guest.client, options)
  if (!(collection instanceof Collection)) throw new Error(collection.message)
  return collection
}

function opened<T>(reader: T | SyscallError): T {
  if (reader instanceof SyscallError) throw reader
  return reader
}

function attach(collection: Collection) {
  const links = collection.attach()
  if (links instanceof AttachError) throw new Error(links.message)
  return links
}

/** Boots as far as the shell's prompt, and types commands. */
function type(guest: GuestUnderTest, commands: string): void {
  expect(guest.guest.run({ maxInstructions: 100_000_000 })).toEqual({ kind: 'idle' })
  guest.guest.machine.uart.receive(new TextEncoder().encode(`${commands}\nexit\n`))
}

describe('maps and variables', () => {
  let guest: GuestUnderTest
  let collection: Collection
  beforeAll(() => {
    guest = new GuestUnderTest({ harts: 2 })
    collection = loadArtefact(guest, 'syscount', {
      globals: { target_pid: 9, by_process: true },
      maxEntries: { entries: 8 },
    })
  })
  afterAll(() => {
    collection[Symbol.dispose]()
    expect(guest.guest.kernel.stats()).toMatchObject({
      maps: 0,
      programs: 0,
      links: 0,
      btfs: 0,
      descriptors: 0,
    })
    guest[Symbol.dispose]()
  })

  test('per-CPU values have an element for each hart', () => {
    expect(possibleCpuCount(guest.client)).toBe(2)
    expect(collection.cpuCount).toBe(2)
    const processes = collection.map<number, readonly object[]>('processes')
    const value = (count: bigint) => ({ totals: { count, errors: 0n, time_ns: 0n }, comm: `on ${count}` })
    expect(processes.set(7, [value(1n), value(2n)])).toBeUndefined()
    expect(processes.get(7)).toEqual([value(1n), value(2n)])
    expect(collection.map('calls').get(1023)).toEqual([
      { count: 0n, errors: 0n, time_ns: 0n },
      { count: 0n, errors: 0n, time_ns: 0n },
    ])
    processes.clear()
    expect([...processes]).toEqual([])
  })

  test('iteration meets every element of a hash map once, also while it shrinks', () => {
    const processes = collection.map<number, readonly object[]>('processes')
    const empty = { totals: { count: 0n, errors: 0n, time_ns: 0n }, comm: '' }
    const pids = Array.from({ length: 100 }, (_, pid) => pid + 1)
    for (const pid of pids) processes.set(pid, [empty, empty])
    expect([...processes.keys()].sort((a, b) => a - b)).toEqual(pids)
    const met: number[] = []
    for (const pid of processes.keys()) {
      met.push(pid)
      expect(processes.delete(pid)).toBe(true)
    }
    expect(met.sort((a, b) => a - b)).toEqual(pids)
    expect(processes.delete(1)).toBe(false)
  })

  test('errors of the kernel come back as values', () => {
    const processes = collection.map<number, readonly object[]>('processes')
    const empty = { totals: { count: 0n, errors: 0n, time_ns: 0n }, comm: '' }
    expect(processes.set(1, [empty, empty], BPF_EXIST)).toMatchObject({ errno: ENOENT })
    expect(collection.map('calls').set(1024, [{}, {}] as never)).toMatchObject({ errno: E2BIG })
    expect(collection.globals.set('target_pid', 1)).toMatchObject({ errno: EPERM })
    expect(() => collection.map('calls').delete(0)).toThrow(SyscallError)
  })

  test('variables have the values given, and can be changed where they are no constants', () => {
    expect(collection.globals.get('target_pid')).toBe(9)
    expect(collection.globals.get('by_process')).toBe(true)
    expect(collection.globals.set('lost', 1n << 60n)).toBeUndefined()
    expect(collection.globals.get('lost')).toBe(1n << 60n)
  })

  test('an unknown function is refused, and leaves no probe', () => {
    const program = collection.program('syscall_entry')
    const link = program.attach({ kind: 'kprobe', symbol: 'no_such_function', offset: 0, isReturn: false })
    expect(link).toMatchObject({ code: 'unknown-symbol', errno: ENOENT })
    expect(guest.guest.kernel.stats()).toMatchObject({ links: 0, probes: 0 })
  })

  test('a link can be made at an offset, and taken away', () => {
    const program = collection.program('syscall_entry')
    const inside = program.attach({ kind: 'kprobe', symbol: 'syscall_dispatch', offset: 1, isReturn: false })
    expect(inside).toBeInstanceOf(AttachError)
    const link = program.attach({ kind: 'kprobe', symbol: 'syscall_dispatch', offset: 4, isReturn: false })
    if (link instanceof AttachError) throw new Error(link.message)
    expect(guest.guest.kernel.stats()).toMatchObject({ links: 1 })
    link[Symbol.dispose]()
    expect(guest.guest.kernel.stats()).toMatchObject({ links: 0, probes: 0 })
  })
})

describe('while a guest runs', () => {
  const event = structCodec(
    struct('struct event', { time_ns: u64, pid: u32, result: s32, comm: chars(16), file_name: chars(96) }),
  )

  test('records come through the ring buffer in order, none lost, and the trace pipe has its lines', () => {
    using guest = new GuestUnderTest({ harts: 2, bootargs: 'script=-' })
    type(guest, 'wc /etc/rc; fail 10; cat /no/such/file')
    {
      using opensnoop = loadArtefact(guest, 'opensnoop')
      using hello = loadArtefact(guest, 'hello')
      using links = attach(opensnoop)
      using _ = attach(hello)
      expect(links.all.map(({ program }) => program)).toEqual(['open_return', 'open_entry'])
      using reader = opened(
        RingBufferReader.open(opensnoop.map('events'), {
          decode: recordsOf(event),
          lostCounter: () => opensnoop.globals.get('dropped') as bigint,
        }),
      )
      using pipe = opened(TracePipe.open(guest.client))
      const records = []
      const lines: string[] = []
      for (;;) {
        const stopped = guest.guest.run({ maxInstructions: 2_000_000 })
        records.push(...reader.drain())
        lines.push(...pipe.drain())
        if (stopped.kind !== 'budget') break
      }
      expect(records.length).toBeGreaterThan(20)
      expect(reader.lost).toBe(0)
      expect(reader.backlogBytes).toBe(0)
      const times = records.map(({ time_ns }) => time_ns)
      expect(times).toEqual(times.toSorted((a, b) => (a < b ? -1 : 1)))
      expect(records[0]).toMatchObject({ comm: 'wc', file_name: '/etc/rc' })
      expect(records[0]?.result).toBeGreaterThanOrEqual(0)
      expect(records.some(({ result, file_name }) => result === -ENOENT && file_name !== '')).toBe(true)
      expect([...opensnoop.map('names').keys()]).toEqual([])
      expect(lines.length).toBeGreaterThanOrEqual(3)
      for (const line of lines)
        expect(line).toMatch(/^ +\S+-\d+ +\[00[01]\] .* bpf_trace_printk: hello from process \d+$/)
    }
    expect(guest.guest.kernel.stats()).toMatchObject({
      maps: 0,
      programs: 0,
      links: 0,
      descriptors: 0,
      probes: 0,
    })
  })

  test('a ring that nobody reads overflows, and the program counts what is lost', () => {
    using guest = new GuestUnderTest({ bootargs: 'script=-' })
    type(guest, 'fail 50')
    using opensnoop = loadArtefact(guest, 'opensnoop', { maxEntries: { events: 4096 } })
    using _ = attach(opensnoop)
    using reader = opened(RingBufferReader.open(opensnoop.map('events'), { decode: recordsOf(event) }))
    guest.runToEnd()
    const kept = [...reader.drain()]
    // Records of 136 bytes with their header, and never the whole ring.
    expect(kept).toHaveLength(Math.floor(4095 / 136))
    expect(opensnoop.globals.get('dropped')).toBeGreaterThan(0n)
  })

  test('the async iterator waits for what comes', async () => {
    using guest = new GuestUnderTest({ bootargs: 'script=-' })
    type(guest, 'ls /; cat /nothing; wc /etc/rc')
    using opensnoop = loadArtefact(guest, 'opensnoop')
    using _ = attach(opensnoop)
    using reader = opened(RingBufferReader.open(opensnoop.map('events'), { decode: recordsOf(event) }))
    const abort = new AbortController()
    const run = setInterval(() => guest.guest.run({ maxInstructions: 500_000 }), 1)
    let count = 0
    for await (const record of reader.records(abort.signal)) {
      expect(record.file_name.length).toBeGreaterThan(0)
      if (++count === 3) abort.abort()
    }
    clearInterval(run)
    expect(count).toBe(3)
  })
})
