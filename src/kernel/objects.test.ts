/** Pins, links and streams: who holds what, and that nothing stays behind. */
import { describe, expect, test } from 'vitest'
import {
  BPF_ATTACH_TYPE,
  BPF_LINK_INFO_SIZE,
  BPF_PROG_TYPE,
  bpfLinkInfoNetns,
  linkDetachAttr,
  objGetInfoAttr,
  objPinAttr,
  progStreamReadAttr,
  progTestRunAttr,
} from '../abi/index.ts'
import { StructureVerifier } from '../verifier/index.ts'
import { createKernel } from './kernel.ts'
import { Caller, u32, u64 } from './testing/caller.ts'
import { TinyPort } from './testing/tiny-port.ts'
import type { KernelOptions } from './types.ts'

function setUp(options: Partial<KernelOptions> = {}) {
  const port = new TinyPort({ cpuCount: 2 })
  const kernel = createKernel({ port, arenaBytes: 8 << 20, ...options })
  const client = kernel.openClient()
  const caller = new Caller(client)
  const pin = (fd: number, path: string) =>
    caller.bpf('BPF_OBJ_PIN', objPinAttr.encode({ bpf_fd: fd, pathname: caller.put(path) }))
  const get = (path: string) => caller.bpf('BPF_OBJ_GET', objPinAttr.encode({ pathname: caller.put(path) }))
  return { port, kernel, client, caller, pin, get }
}

const nothing = { maps: 0, programs: 0, links: 0, btfs: 0, descriptors: 0, probes: 0 }

describe('pins', () => {
  test('keep objects alive without a descriptor, until the last name is gone', () => {
    const { kernel, client, caller, pin, get } = setUp()
    const map = caller.createArray(8, 2)
    expect(caller.update(map, u32(1), u64(5n))).toBe(0)
    expect(client.mkdir('/sys/fs/bpf/app')).toBe(0)
    expect(pin(map, '/sys/fs/bpf/app/one')).toBe(0)
    expect(pin(map, '/sys/fs/bpf/two')).toBe(0)
    expect(client.readDirectory('/sys/fs/bpf')).toEqual(['app', 'two'])
    client.close(map)
    expect(client.unlink('/sys/fs/bpf/two')).toBe(0)
    expect(kernel.stats()).toMatchObject({ ...nothing, maps: 1 })
    const again = get('/sys/fs/bpf/app/one')
    expect(caller.lookupU64(again, u32(1))).toBe(5n)
    client.unlink('/sys/fs/bpf/app/one')
    expect(kernel.stats().maps).toBe(1)
    client.close(again)
    expect(kernel.stats()).toMatchObject(nothing)
    expect(client.rmdir('/sys/fs/bpf/app')).toBe(0)
  })

  test('of a link keep the program attached', () => {
    const { port, kernel, client, caller, pin, get } = setUp()
    const count = caller.createArray(8)
    const program = caller.load(`r1 = map[fd:${count}][0]\nr2 = 1\nlock *(u64 *)(r1 +0) += r2\nr0 = 0\nexit`)
    const event = caller.openProbe('add_one')
    const link = caller.link(program, event)
    expect(pin(link, '/sys/fs/bpf/probe')).toBe(0)
    for (const fd of [program, event, link]) client.close(fd)
    port.call('add_one', 1n)
    expect(caller.lookupU64(count, u32(0))).toBe(1n)
    client.close(get('/sys/fs/bpf/probe'))
    client.unlink('/sys/fs/bpf/probe')
    port.call('add_one', 1n)
    expect(caller.lookupU64(count, u32(0))).toBe(1n)
    client.close(count)
    expect(kernel.stats()).toMatchObject(nothing)
  })

  test('outlive the process that made them, but not the kernel', () => {
    const { kernel, client, caller, pin } = setUp()
    pin(caller.createArray(8), '/sys/fs/bpf/map')
    pin(caller.load('r0 = 0\nexit'), '/sys/fs/bpf/program')
    client[Symbol.dispose]()
    expect(kernel.stats()).toMatchObject({ ...nothing, maps: 1, programs: 1 })
    kernel[Symbol.dispose]()
    expect(kernel.stats()).toMatchObject(nothing)
  })

  test('are listed by getdents64, record by record', () => {
    const { kernel, caller, client, pin } = setUp()
    const map = caller.createArray(8)
    for (const name of ['a', 'long_name_of_a_map', 'c']) pin(map, `/sys/fs/bpf/${name}`)
    client.mkdir('/sys/fs/bpf/dir')
    const memory = new Uint8Array(4096)
    using process = kernel.createProcess({
      memory: {
        read: (pointer, into) =>
          into.set(memory.subarray(Number(pointer), Number(pointer) + into.length)) === undefined,
        write: (pointer, bytes) => memory.set(bytes, Number(pointer)) === undefined,
      },
    })
    memory.set(new TextEncoder().encode('/sys/fs/bpf\0'), 16)
    const fd = process.syscall(56, -100n, 16n, 0o200000n)
    const seen: [string, number][] = []
    for (;;) {
      const length = Number(process.syscall(61, fd, 64n, 64n))
      expect(length).toBeGreaterThanOrEqual(0)
      if (length === 0) break
      const view = new DataView(memory.buffer)
      for (let at = 64; at < 64 + length; at += view.getUint16(at + 16, true)) {
        const end = memory.indexOf(0, at + 19)
        seen.push([new TextDecoder().decode(memory.subarray(at + 19, end)), view.getUint8(at + 18)])
      }
    }
    expect(seen).toEqual([
      ['.', 4],
      ['..', 4],
      ['a', 8],
      ['long_name_of_a_map', 8],
      ['c', 8],
      ['dir', 4],
    ])
    expect(process.syscall(61, fd, 64n, 16n)).toBe(0n)
  })
})

test('a link to the network namespace ends with its last holder, and holds its program until then', () => {
  const { kernel, client, caller } = setUp()
  const namespace = client.open('/proc/self/ns/net', 0)
  const load = () =>
    caller.load('r0 = 1\nexit', {
      prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_SK_LOOKUP,
      expected_attach_type: BPF_ATTACH_TYPE.BPF_SK_LOOKUP,
    })
  const program = load()
  const link = caller.link(program, namespace, 0n, BPF_ATTACH_TYPE.BPF_SK_LOOKUP)
  client.close(program)
  expect(kernel.stats()).toMatchObject({ links: 1, programs: 1 })
  const info = () => {
    const buffer = client.memory.allocate(BPF_LINK_INFO_SIZE)
    const attr = { bpf_fd: link, info_len: BPF_LINK_INFO_SIZE, info: buffer }
    expect(caller.bpf('BPF_OBJ_GET_INFO_BY_FD', objGetInfoAttr.encode(attr))).toBe(0)
    return bpfLinkInfoNetns.read(client.memory.view(buffer, BPF_LINK_INFO_SIZE))
  }
  expect(info().netns_ino).not.toBe(0)
  expect(caller.bpf('BPF_LINK_DETACH', linkDetachAttr.encode({ link_fd: link }))).toBe(0)
  expect(info().netns_ino).toBe(0)
  client.close(link)
  client.close(namespace)
  expect(kernel.stats()).toMatchObject(nothing)
})

describe('packets', () => {
  const read = (offset: number, size = 8) => `
    r2 = *(u32 *)(r1 +0)
    r0 = *(u${size} *)(r2 +${offset})
    exit`
  const testRun = (caller: Caller, prog_fd: number, data: Uint8Array) =>
    caller.bpf(
      'BPF_PROG_TEST_RUN',
      progTestRunAttr.encode({ prog_fd, data_in: caller.put(data), data_size_in: data.length }),
    )

  test("end where they end: one byte further is a fault, which the program's stderr tells of", () => {
    const { kernel, client, caller } = setUp({ verifier: new StructureVerifier() })
    const frame = new Uint8Array(61)
    const load = (offset: number, size?: number) =>
      caller.load(read(offset, size), { prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_XDP })
    expect(testRun(caller, load(60), frame)).toBe(0)
    const before = kernel.stats().arenaBytesInUse
    expect(testRun(caller, load(59, 16), frame)).toBe(0)
    for (const [offset, size] of [
      [61, 8],
      [60, 16],
      [58, 32],
      [-8, 8],
      [4096, 8],
    ] as const) {
      const program = load(offset, size)
      expect(testRun(caller, program, frame)).toBe(-14)
      const stream_buf = client.memory.allocate(400)
      const attr = { stream_buf, stream_buf_len: 400, stream_id: 2, prog_fd: program }
      const length = caller.bpf('BPF_PROG_STREAM_READ_BY_FD', progStreamReadAttr.encode(attr))
      expect(new TextDecoder().decode(client.memory.view(stream_buf, length).slice())).toMatch(/^ERROR: .*1/)
      expect(caller.bpf('BPF_PROG_STREAM_READ_BY_FD', progStreamReadAttr.encode(attr))).toBe(0)
    }
    expect(kernel.stats().arenaBytesInUse).toBe(before)
  })

  test('leave nothing behind, whatever happens to them', () => {
    const { kernel, client, caller } = setUp()
    const grow = `r2 = 10000\nr3 = 0\ncall bpf_skb_change_tail\nr0 = 0\nexit`
    // The first run makes the stacks.
    const first = caller.load('r0 = 0\nexit', { prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_XDP })
    expect(testRun(caller, first, new Uint8Array(60))).toBe(0)
    client.close(first)
    const before = kernel.stats().arenaBytesInUse
    const types = [BPF_PROG_TYPE.BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE.BPF_PROG_TYPE_LWT_XMIT]
    for (const prog_type of types) {
      const program = caller.load(grow, { prog_type })
      for (const size of [0, 13, 60, 3000, 5000]) testRun(caller, program, new Uint8Array(size))
      client.close(program)
    }
    expect(kernel.stats()).toMatchObject({ ...nothing, arenaBytesInUse: before })
  })
})
