/** From a client's system calls to counts of a machine's functions. */
import { describe, expect, test } from 'vitest'
import {
  BPF_PROG_TYPE,
  EBADF,
  EEXIST,
  EILSEQ,
  EINVAL,
  ENOENT,
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_SET_BPF,
} from '../abi/index.ts'
import { createKernel } from './kernel.ts'
import { Caller, u32 } from './testing/caller.ts'
import { TinyPort } from './testing/tiny-port.ts'

function setUp(options: { cpuCount?: number } = {}) {
  const port = new TinyPort(options)
  const text = port.text.slice()
  const kernel = createKernel({ port })
  const client = kernel.openClient()
  const caller = new Caller(client)
  return { port, text, kernel, client, caller }
}

/** Adds `what` to the first value of an array map. */
const addTo = (map: number, what = 'r2 = 1') => `
  r6 = r1
  r1 = map[fd:${map}][0]
  ${what}
  lock *(u64 *)(r1 +0) += r2
  r0 = 0
  exit
`

describe('a kprobe', () => {
  test('counts the calls of a function, exactly while it is attached', () => {
    const { port, text, kernel, client, caller } = setUp()
    const map = caller.createArray(8)
    const program = caller.load(addTo(map))
    expect(program).toBeGreaterThan(0)
    const event = caller.openProbe('add_one')
    expect(event).toBeGreaterThan(0)
    port.call('add_one', 1n)
    expect(caller.lookupU64(map, u32(0))).toBe(0n)
    const link = caller.link(program, event)
    expect(link).toBeGreaterThan(0)
    expect(port.call('add_one', 41n)).toBe(42n)
    expect(port.call('add_two', 40n)).toBe(42n)
    expect(caller.lookupU64(map, u32(0))).toBe(3n)
    client.close(link)
    port.call('add_one', 1n)
    expect(caller.lookupU64(map, u32(0))).toBe(3n)
    expect(Buffer.compare(port.text.subarray(0, 0x3000), text.subarray(0, 0x3000))).toBe(0)
    kernel[Symbol.dispose]()
    expect(kernel.stats()).toMatchObject({ maps: 0, programs: 0, links: 0, probes: 0, descriptors: 0 })
  })

  test('gives the program the registers as they stand before the instruction', () => {
    const { port, caller } = setUp()
    const map = caller.createArray(8)
    // a0 is x10, at 80 of struct pt_regs
    const event = caller.openProbe('add_one')
    caller.link(caller.load(addTo(map, 'r2 = *(u64 *)(r6 +80)')), event)
    port.call('add_one', 100n)
    expect(caller.lookupU64(map, u32(0))).toBe(100n)
  })

  test('at an offset stops there', () => {
    const { port, caller } = setUp()
    const map = caller.createArray(8)
    // after c.addi a0,1
    const event = caller.openProbe('add_one', { offset: 2n })
    caller.link(caller.load(addTo(map, 'r2 = *(u64 *)(r6 +80)')), event)
    expect(port.call('add_one', 100n)).toBe(101n)
    expect(caller.lookupU64(map, u32(0))).toBe(101n)
  })

  test('disable and enable', () => {
    const { port, text, client, caller } = setUp()
    const map = caller.createArray(8)
    const event = caller.openProbe('add_one', { disabled: true })
    caller.link(caller.load(addTo(map)), event)
    const runs = () => {
      port.call('add_one', 1n)
      return caller.lookupU64(map, u32(0))
    }
    expect(runs()).toBe(0n)
    expect(client.ioctl(event, PERF_EVENT_IOC_ENABLE, 0n)).toBe(0)
    expect(runs()).toBe(1n)
    expect(client.ioctl(event, PERF_EVENT_IOC_DISABLE, 0n)).toBe(0)
    expect(Buffer.compare(port.text.subarray(0, 0x3000), text.subarray(0, 0x3000))).toBe(0)
    expect(runs()).toBe(1n)
  })

  test('closing the event restores the text; the link alone keeps it attached', () => {
    const { port, text, client, caller } = setUp()
    const map = caller.createArray(8)
    const program = caller.load(addTo(map))
    const event = caller.openProbe('add_one')
    const link = caller.link(program, event)
    client.close(program)
    client.close(event)
    port.call('add_one', 1n)
    expect(caller.lookupU64(map, u32(0))).toBe(1n)
    client.close(link)
    expect(Buffer.compare(port.text.subarray(0, 0x3000), text.subarray(0, 0x3000))).toBe(0)
  })

  test('PERF_EVENT_IOC_SET_BPF attaches once', () => {
    const { port, client, caller } = setUp()
    const map = caller.createArray(8)
    const program = caller.load(addTo(map))
    const event = caller.openProbe('add_one')
    expect(client.ioctl(event, PERF_EVENT_IOC_SET_BPF, BigInt(program))).toBe(0)
    expect(client.ioctl(event, PERF_EVENT_IOC_SET_BPF, BigInt(program))).toBe(-EEXIST)
    expect(caller.link(program, event)).toBe(-EEXIST)
    port.call('add_one', 1n)
    expect(caller.lookupU64(map, u32(0))).toBe(1n)
  })

  test('several events on one function, each with its program', () => {
    const { port, caller } = setUp()
    const maps = [1, 2, 3].map(() => caller.createArray(8))
    for (const map of maps) caller.link(caller.load(addTo(map)), caller.openProbe('add_one'))
    port.call('add_two', 1n)
    expect(maps.map((map) => caller.lookupU64(map, u32(0)))).toEqual([2n, 2n, 2n])
  })

  test.each([
    ['an unknown symbol', 'no_such_function', {}, -ENOENT],
    ['a name that two functions share', 'dup', {}, -99],
    ['the middle of an instruction', 'wide_first', { offset: 2n }, -EILSEQ],
    ['an odd offset', 'add_one', { offset: 1n }, -EILSEQ],
    ['past every function', 'wide_first', { offset: 0x50n }, -ENOENT],
    ['data', 'jiffies', {}, -EINVAL],
    ['an address of no symbol', '', { offset: 0x1234n }, -ENOENT],
    ['a return probe inside a function', 'add_one', { offset: 2n, isReturn: true }, -EINVAL],
  ] as const)('%s is refused', (_what, symbol, options, errno) => {
    const { port, text, caller } = setUp()
    expect(caller.openProbe(symbol, options)).toBe(errno)
    expect(Buffer.compare(port.text, text)).toBe(0)
  })

  test('program types are enforced where programs attach', () => {
    const { port, client, caller } = setUp()
    const event = caller.openProbe('add_one')
    const { BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_TRACEPOINT } = BPF_PROG_TYPE
    for (const prog_type of [BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_TRACEPOINT]) {
      const program = caller.load('r0 = 0\nexit', { prog_type })
      expect(caller.link(program, event)).toBe(-EINVAL)
      expect(client.ioctl(event, PERF_EVENT_IOC_SET_BPF, BigInt(program))).toBe(-EINVAL)
    }
    expect(port.call('add_one', 1n)).toBe(2n)
  })

  test('an attach cookie and the probed address reach the program', () => {
    const { port, caller } = setUp()
    const map = caller.createArray(8)
    const ask = (helper: string) =>
      caller.load(`call ${helper}\nr1 = map[fd:${map}][0]\n*(u64 *)(r1 +0) = r0\nr0 = 0\nexit`)
    const link = caller.link(ask('bpf_get_attach_cookie'), caller.openProbe('add_one'), 0x1234n)
    port.call('add_one', 1n)
    expect(caller.lookupU64(map, u32(0))).toBe(0x1234n)
    caller.syscalls.close(link)
    caller.link(ask('bpf_get_func_ip'), caller.openProbe('add_two'))
    port.call('add_two', 1n)
    expect(caller.lookupU64(map, u32(0))).toBe(port.symbolByName('add_two')?.address)
    caller.link(ask('bpf_get_func_ip'), caller.openProbe('wide_first', { offset: 4n }))
    port.call('wide_first', 1n)
    expect(caller.lookupU64(map, u32(0))).toBe(0n)
  })

  test('libbpf asks for a link to descriptor -1 and gets EBADF', () => {
    const { caller } = setUp()
    const program = caller.load('r0 = 0\nexit')
    expect(caller.link(program, -1)).toBe(-EBADF)
  })
})

describe('a kretprobe', () => {
  test('sees the returned value, in nested calls too', () => {
    const { port, caller } = setUp()
    const one = caller.createArray(8)
    const two = caller.createArray(8)
    const read = 'r2 = *(u64 *)(r6 +80)'
    caller.link(caller.load(addTo(one, read)), caller.openProbe('add_one', { isReturn: true }))
    caller.link(caller.load(addTo(two, read)), caller.openProbe('add_two', { isReturn: true }))
    expect(port.call('add_two', 5n)).toBe(7n)
    expect(caller.lookupU64(one, u32(0))).toBe(6n + 7n)
    expect(caller.lookupU64(two, u32(0))).toBe(7n)
  })
})
