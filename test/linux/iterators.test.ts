/**
 * Iterators: what they walk and how their text comes, on the Linux that runs the tests and on both engines. All must
 * give the same pieces for reads of the same sizes.
 */
import { afterAll, describe, expect, test } from 'vitest'
import { BPF_CMD, EACCES, EBADF, EINVAL, ENOSPC, iterCreateAttr, type Syscalls } from '../../src/abi/index.ts'
import {
  AttachError,
  type Collection,
  IteratorReader,
  type Link,
  LoadError,
  load,
  ObjectError,
  openObject,
  possibleCpuCount,
} from '../../src/client/index.ts'
import { createKernel } from '../../src/kernel/index.ts'
import type { TaskIdentity } from '../../src/kernel/port.ts'
import { taskTypes } from '../../src/kernel/testing/task-types.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { DATA } from '../../src/probes/testing/tiny-riscv.ts'
import { GuestUnderTest } from '../support/guest.ts'
import { compileObject } from './compile.ts'
import { bpf } from './raw-map.ts'

const linux = openLinux()
const cpuCount = linux instanceof LinuxUnavailable ? 1 : possibleCpuCount(linux)
const noLinux = linux instanceof LinuxUnavailable ? linux.message : ''
const object = compileObject('iterators')
const noObject = typeof object === 'string' ? object : ''
afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
})

class PortWithTasks extends TinyPort {
  override types = taskTypes()

  allTasks(): readonly TaskIdentity[] {
    return [9, 1, 5, 6].map((pid) => {
      const offset = 0x40 * pid
      new DataView(this.data.buffer, this.data.byteOffset + offset).setInt32(0, pid, true)
      const tgid = pid === 6 ? 5 : pid
      return { pid, tgid, uid: 0, gid: 0, comm: 'task', address: DATA + BigInt(offset) }
    })
  }
}

function loaded(kernel: Syscalls, programs: readonly string[]): Collection {
  const spec = openObject(object as Uint8Array, { name: 'iterators' })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  const collection = load(spec, kernel, { programs: [...programs] })
  if (!(collection instanceof LoadError)) return collection
  throw new Error(`${collection.message}\n${'log' in collection ? String(collection.log).slice(-1500) : ''}`)
}

function attached(link: Link | AttachError): Link {
  if (link instanceof AttachError) throw new Error(link.message)
  return link
}

/** Of a map, a program or a link. */
function idOf(kernel: Syscalls, fd: number): number {
  const { memory } = kernel
  const info = memory.allocate(64)
  const attr = new Uint8Array(16)
  const words = new DataView(attr.buffer)
  words.setUint32(0, fd, true)
  words.setUint32(4, 64, true)
  words.setBigUint64(8, info, true)
  const result = bpf(kernel, BPF_CMD.BPF_OBJ_GET_INFO_BY_FD, attr)
  const id = new DataView(memory.view(info, 64).slice().buffer).getUint32(4, true)
  memory.free(info)
  return result < 0 ? result : id
}

/** The results of reads of these sizes, the last one again and again until the end. */
function pieces(kernel: Syscalls, link: Link, sizes: readonly number[]): readonly (number | string)[] {
  const fd = bpf(kernel, BPF_CMD.BPF_ITER_CREATE, iterCreateAttr.encode({ link_fd: link.fd }))
  if (fd < 0) return [fd]
  const { memory } = kernel
  const buffer = memory.allocate(1 << 20)
  const found: (number | string)[] = []
  for (let n = 0; n < 400; n++) {
    const size = sizes[Math.min(n, sizes.length - 1)] as number
    const count = kernel.read(fd, buffer, size)
    const text = count <= 0 ? count : new TextDecoder().decode(memory.view(buffer, count).slice())
    found.push(typeof text === 'number' ? text : text.replace(/\0{2,}/g, (blanks) => `<${blanks.length}>`))
    if (count === 0 && size > 0) break
    if (count < 0 && n >= sizes.length + 2) break
  }
  memory.free(buffer)
  kernel.close(fd)
  return found
}

/** `use` on both of this project's engines, and on Linux if there is one; all must give the same. */
function everywhere(use: (kernel: Syscalls) => unknown): unknown {
  const here = (['jit', 'interpreter'] as const).map((engine) => {
    using kernel = createKernel({ port: new PortWithTasks({ cpuCount }), engine })
    using client = kernel.openClient()
    const result = use(client)
    expect(kernel.faults()).toEqual([])
    expect(kernel.stats()).toMatchObject({ maps: 0, programs: 0, links: 0 })
    return result
  })
  expect(here[0]).toEqual(here[1])
  if (!(linux instanceof LinuxUnavailable)) expect(here[0]).toEqual(use(linux))
  return here[0]
}

const walkElements =
  (widths: (n: number) => number, sizes: readonly number[], again = { at: 1000, times: 0 }) =>
  (kernel: Syscalls) => {
    using collection = loaded(kernel, ['lines'])
    const elements = collection.map<number, bigint>('elements')
    elements.setAll(Array.from({ length: 40 }, (_, n) => [n, BigInt(widths(n))] as const))
    collection.globals.set('again_at', again.at)
    collection.globals.set('again_times', again.times)
    const program = collection.program('lines')
    using link = attached(program.attach(undefined, { over: { kind: 'map', fd: elements.fd } }))
    const found = pieces(kernel, link, sizes)
    // The program counts its visits in the elements themselves.
    const visits = Array.from({ length: 40 }, (_, n) => Number(elements.get(n) ?? 0n) - widths(n))
    return { found, visits, results: collection.globals.get('results') }
  }

const beside = noLinux === '' ? '' : ` (without Linux: ${noLinux})`
describe.skipIf(noObject !== '')(`iterators${noObject === '' ? beside : ` (skipped: ${noObject})`}`, () => {
  test.each([[[100]], [[1, 30, 5000]], [[65_536]], [[0, 0, 20_000]]])('pieces of %j bytes', (sizes) => {
    everywhere(walkElements((n) => n, sizes))
    everywhere(walkElements((n) => n * 300, sizes))
    everywhere(walkElements((n) => (n % 5) * 8000, sizes))
  })

  test('what is too long for the buffer is not shown', () => {
    everywhere(walkElements((n) => (n === 0 ? 40_000 : 3), [65_536]))
    everywhere(walkElements((n) => (n === 7 ? 40_000 : 3), [65_536]))
    everywhere(walkElements((n) => (n === 39 ? 32_760 : 3), [65_536]))
    for (let end = 32_754; end <= 32_762; end++)
      everywhere(walkElements((n) => (n === 39 ? end : 0), [100_000]))
  })

  test('a program asks to be run again', () => {
    for (const at of [0, 3, 39]) {
      for (const times of [1, 3, 1000]) everywhere(walkElements(() => 2, [65_536], { at, times }))
    }
  })

  test('hash tables and values of all CPUs', () => {
    const found = everywhere((kernel) => {
      using collection = loaded(kernel, ['sums', 'pairs'])
      const table = collection.map<number, number>('table')
      for (const key of [3, 1, 4]) table.set(key, key * 10)
      const each = collection.map<number, readonly number[]>('each_cpu')
      each.set(
        5,
        Array.from({ length: cpuCount }, (_, cpu) => 50 + cpu),
      )
      const sums = collection.program('sums')
      using link = attached(sums.attach(undefined, { over: { kind: 'map', fd: each.fd } }))
      const attempt = (program: string, fd: number) => {
        const made = collection.program(program).attach(undefined, { over: { kind: 'map', fd } })
        if (made instanceof AttachError) return made.errno
        made[Symbol.dispose]()
        return 0
      }
      return {
        text: pieces(kernel, link, [4096]),
        refusals: [
          attempt('pairs', table.fd),
          attempt('sums', table.fd),
          attempt('pairs', each.fd),
          attempt('pairs', collection.map('elements').fd),
          (sums.attach() as AttachError).errno,
        ],
      }
    })
    if (cpuCount > 1) expect(found).toMatchObject({ refusals: [EACCES, EACCES, 0, 0, EBADF] })
  })

  test('a map, a program and a link, each by its number', () => {
    const found = everywhere((kernel) => {
      using collection = loaded(kernel, ['maps', 'programs', 'links'])
      const table = collection.map<number, number>('table')
      for (const key of [3, 1, 4]) table.set(key, key * 10)
      const text = (program: string, id: number) => {
        using link = attached(collection.program(program).attach())
        collection.globals.set('wanted', id === 0 ? idOf(kernel, link.fd) : id)
        return pieces(kernel, link, [4096])
      }
      return [
        text('maps', idOf(kernel, table.fd)),
        text('programs', idOf(kernel, collection.program('links').fd)),
        text('links', 0),
      ]
    })
    expect(found).toEqual([
      ['table: 4 4 8, 3\nthat is all\n', 0],
      ['links: 26 28\n', 0],
      ['by links\n', 0],
    ])
  })

  test('values that programs may only read stay as they are', () => {
    using kernel = createKernel({ port: new PortWithTasks() })
    using client = kernel.openClient()
    using collection = loaded(client, ['lines'])
    const constants = collection.map<number, bigint>('constants')
    constants.set(1, 6n)
    const over = { kind: 'map', fd: constants.fd } as const
    using link = attached(collection.program('lines').attach(undefined, { over }))
    expect(pieces(client, link, [4096])).toEqual(['0: 0 .\n1: 1 <6>.\nend after 1\n', 0])
    expect([constants.get(0), constants.get(1)]).toEqual([0n, 6n])
  })

  test('what is said of a link', () => {
    const found = everywhere((kernel) => {
      using collection = loaded(kernel, ['maps', 'lines'])
      const { fd } = collection.map('elements')
      const said = (program: string, room: number, over?: { kind: 'map'; fd: number }) => {
        using link = attached(
          collection.program(program).attach(undefined, over === undefined ? {} : { over }),
        )
        const { memory } = kernel
        const at = memory.allocate(128)
        const info = new DataView(new ArrayBuffer(64))
        info.setBigUint64(16, room === 0 ? 0n : at + 64n, true)
        info.setUint32(24, room, true)
        memory.view(at, 64).set(new Uint8Array(info.buffer))
        const attr = new DataView(new ArrayBuffer(16))
        attr.setUint32(0, link.fd, true)
        attr.setUint32(4, 64, true)
        attr.setBigUint64(8, at, true)
        const result = bpf(kernel, BPF_CMD.BPF_OBJ_GET_INFO_BY_FD, new Uint8Array(attr.buffer))
        const written = new DataView(memory.view(at, 128).slice().buffer)
        const name = new TextDecoder().decode(new Uint8Array(written.buffer, 64, 14))
        memory.free(at)
        const isOfMap = written.getUint32(28, true) === (over === undefined ? 0 : idOf(kernel, fd))
        return [result, written.getUint32(0, true), name, written.getUint32(24, true), isOfMap]
      }
      const over = { kind: 'map', fd } as const
      return [
        said('maps', 0),
        said('maps', 14),
        said('maps', 4),
        said('lines', 0, over),
        said('lines', 13, over),
      ]
    })
    const none = '\0'.repeat(14)
    expect(found).toEqual([
      [0, 4, none, 8, true],
      [0, 4, `bpf_map${'\0'.repeat(7)}`, 8, true],
      [-ENOSPC, 0, `bpf${'\0'.repeat(11)}`, 4, true],
      [0, 4, none, 13, true],
      [0, 4, 'bpf_map_elem\0\0', 13, true],
    ])
  })

  test('a pinned link is a file', () => {
    using kernel = createKernel({ port: new PortWithTasks() })
    using client = kernel.openClient()
    using collection = loaded(client, ['tasks'])
    const pin = (link: Link) => {
      const path = client.memory.allocate(32)
      client.memory.view(path, 32).set(new TextEncoder().encode('/sys/fs/bpf/tasks\0'))
      const attr = new DataView(new ArrayBuffer(16))
      attr.setBigUint64(0, path, true)
      attr.setUint32(8, link.fd, true)
      return bpf(client, BPF_CMD.BPF_OBJ_PIN, new Uint8Array(attr.buffer))
    }
    {
      using link = attached(collection.program('tasks').attach())
      expect(pin(link)).toBe(0)
    }
    for (let walk = 0; walk < 2; walk++) {
      const fd = client.open('/sys/fs/bpf/tasks', 0)
      const buffer = client.memory.allocate(100)
      const length = client.read(fd, buffer, 100)
      expect(new TextDecoder().decode(client.memory.view(buffer, length).slice())).toBe(
        'task 1\ntask 5\ntask 6\ntask 9\n',
      )
      client.close(fd)
    }
    expect(client.unlink('/sys/fs/bpf/tasks')).toBe(0)
    expect(kernel.stats().links).toBe(0)
  })

  test('in a guest, beside types of its own', () => {
    using under = new GuestUnderTest()
    const { client, guest } = under
    const walk = () => {
      using collection = loaded(client, ['symbols', 'maps'])
      const reader = collection.program('symbols').openIterator()
      if (!(reader instanceof IteratorReader)) throw new Error(reader.message)
      using open = reader
      const lines = open.text().trimEnd().split('\n')
      expect(lines).toEqual(
        guest.port.symbols().map(({ name, isFunction }) => `${name} ${isFunction ? 'T' : 'D'}`),
      )
      const table = collection.map<number, number>('table')
      table.set(1, 2)
      collection.globals.set('wanted', idOf(client, table.fd))
      using link = attached(collection.program('maps').attach())
      expect(pieces(client, link, [4096])).toEqual(['table: 4 4 8, 1\nthat is all\n', 0])
    }
    // The first run makes a stack, which stays.
    walk()
    const before = guest.kernel.stats()
    walk()
    expect(guest.kernel.stats()).toEqual(before)
  })

  test('arguments that make no sense', () => {
    const found = everywhere((kernel) => {
      using collection = loaded(kernel, ['misuse'])
      using link = attached(collection.program('misuse').attach())
      return { text: pieces(kernel, link, [4096]), results: collection.globals.get('results') }
    })
    const wrong = BigInt.asUintN(64, BigInt(-EINVAL))
    expect(found).toEqual({ text: [0], results: [wrong, wrong, wrong, wrong, 0n, wrong, wrong, wrong] })
  })

  test('tasks, and symbols', () => {
    using kernel = createKernel({ port: new PortWithTasks() })
    using client = kernel.openClient()
    using collection = loaded(client, ['tasks', 'symbols'])
    const text = (
      program: string,
      over?: Parameters<ReturnType<Collection['program']>['openIterator']>[0],
    ) => {
      const reader = collection.program(program).openIterator(over)
      if (!(reader instanceof IteratorReader)) throw new Error(reader.message)
      using open = reader
      return open.text()
    }
    expect(text('tasks')).toBe('task 1\ntask 5\ntask 6\ntask 9\n')
    expect(text('tasks', { over: { kind: 'process', pid: 5 } })).toBe('task 5\ntask 6\n')
    expect(text('tasks', { over: { kind: 'thread', tid: 6 } })).toBe('task 6\n')
    expect(text('symbols')).toBe('add_one T\nadd_two T\nwide_first T\ndup T\ndup T\njiffies D\n')
  })
})
