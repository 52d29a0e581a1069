/** Rubbish in every argument: nothing throws, nothing hangs, nothing is left behind. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BPF_ATTACH_TYPE, BPF_CMD, BPF_MAP_TYPE, BPF_PROG_TYPE } from '../abi/index.ts'
import { bpfCommands } from './bpf/dispatch.ts'
import { createKernel } from './kernel.ts'
import { syscallTable } from './syscall-table.ts'
import { Caller } from './testing/caller.ts'
import { TinyPort } from './testing/tiny-port.ts'

/** Numbers that decide something: small ones, descriptors, sizes, flags, extremes. */
const word = fc.oneof(
  fc.constantFrom(
    0n,
    1n,
    2n,
    3n,
    4n,
    5n,
    6n,
    7n,
    8n,
    16n,
    64n,
    4096n,
    0xffff_ffffn,
    0x7fff_ffffn,
    (1n << 64n) - 1n,
  ),
  fc.bigInt({ min: 0n, max: 40n }),
  fc.nat(63).map((bit) => 1n << BigInt(bit)),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
)

/** An attribute as 32-bit words, some of them pointers to memory that is there. */
const attribute = fc.array(fc.oneof(word, fc.constant('pointer' as const)), { maxLength: 42 })

function attributeBytes(caller: Caller, words: readonly (bigint | 'pointer')[]): Uint8Array {
  const bytes = new Uint8Array(words.length * 4 + 4)
  const view = new DataView(bytes.buffer)
  words.forEach((value, i) => {
    if (value === 'pointer') view.setBigUint64(i * 4, caller.put(new Uint8Array(256)), true)
    else view.setUint32(i * 4, Number(BigInt.asUintN(32, value)), true)
  })
  return bytes
}

/** What `setUp` opens. */
const LAST_FD = 18

function setUp() {
  const port = new TinyPort({ cpuCount: 2 })
  const text = port.text.slice()
  const kernel = createKernel({ port, arenaBytes: 8 << 20 })
  const client = kernel.openClient({ firstFd: 0 })
  const caller = new Caller(client)
  // Something of every kind to get hold of.
  caller.createArray(8, 4)
  caller.createMap({ map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_HASH, key_size: 4, value_size: 8, max_entries: 4 })
  caller.createMap({ map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_RINGBUF, max_entries: 4096 })
  caller.createMap({
    map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY,
    key_size: 4,
    value_size: 4,
    max_entries: 2,
  })
  const program = caller.load('r0 = 0\nexit')
  const event = caller.openProbe('add_one')
  caller.link(program, event)
  caller.openProbe('add_two', { isReturn: true })
  client.open('/proc/kallsyms', 0)
  for (const prog_type of [BPF_PROG_TYPE.BPF_PROG_TYPE_XDP, BPF_PROG_TYPE.BPF_PROG_TYPE_SCHED_CLS]) {
    caller.load('r0 = *(u32 *)(r1 +4)\nexit', { prog_type })
  }
  const lookup = caller.load('r0 = 1\nexit', {
    prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_SK_LOOKUP,
    expected_attach_type: BPF_ATTACH_TYPE.BPF_SK_LOOKUP,
  })
  caller.link(lookup, client.open('/proc/self/ns/net', 0), 0n, BPF_ATTACH_TYPE.BPF_SK_LOOKUP)
  client.open('/sys/fs/bpf', 0)
  return { port, text, kernel, client, caller }
}

test.each(bpfCommands.map(({ name }) => [name] as const))('%s', (name) => {
  const { kernel, client, caller, port } = setUp()
  fc.assert(
    fc.property(attribute, (words) => {
      const result = caller.bpf(BPF_CMD[name], attributeBytes(caller, words))
      expect(Number.isInteger(result)).toBe(true)
      // Keep the descriptors that were made for it.
      if (result > LAST_FD) client.close(result)
      port.call('add_two', 1n)
    }),
    { numRuns: 150 },
  )
  kernel[Symbol.dispose]()
})

test('any system call with any arguments', () => {
  const { kernel, port, text } = setUp()
  const memory = {
    read: (pointer: bigint, into: Uint8Array) => pointer !== 0n && into.length < 1 << 20,
    write: (pointer: bigint, bytes: Uint8Array) => pointer !== 0n && bytes.length < 1 << 20,
  }
  fc.assert(
    fc.property(
      fc.oneof(fc.constantFrom(...syscallTable.map(({ nr }) => nr)), fc.nat(400)),
      fc.array(word, { minLength: 6, maxLength: 6 }),
      (nr, args) => {
        using process = kernel.createProcess({ memory, firstFd: 512 })
        const [a0, a1, a2, a3, a4, a5] = args
        expect(typeof process.syscall(nr, a0, a1, a2, a3, a4, a5)).toBe('bigint')
      },
    ),
    { numRuns: 2000 },
  )
  kernel[Symbol.dispose]()
  expect(kernel.stats()).toMatchObject({ maps: 0, programs: 0, links: 0, btfs: 0, probes: 0, descriptors: 0 })
  expect(Buffer.compare(port.text.subarray(0, 0x3000), text.subarray(0, 0x3000))).toBe(0)
})

test('perf_event_open with any attribute', () => {
  const { kernel, client, caller } = setUp()
  fc.assert(
    fc.property(attribute, fc.array(word, { minLength: 4, maxLength: 4 }), (words, args) => {
      const bytes = attributeBytes(caller, words)
      new DataView(bytes.buffer).setUint32(0, words.length % 8, true)
      const [pid, cpu, group] = args.map((arg) => Number(BigInt.asIntN(32, arg))) as [number, number, number]
      const fd = client.perfEventOpen(caller.put(bytes), pid, cpu, group, args[3] as bigint)
      if (fd > LAST_FD) client.close(fd)
    }),
    { numRuns: 1000 },
  )
  kernel[Symbol.dispose]()
})
