/**
 * Probes on the running Linux: functions of a process that the test starts itself, and its system calls.
 *
 * Rules: nothing of other processes is looked at. uprobes are on the test's own executable and one process of it;
 * tracepoints, which fire for all, are filtered in the program, and detached at once.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import type { Syscalls } from '../../src/abi/index.ts'
import {
  AttachError,
  btfCodec,
  type Collection,
  type Link,
  LoadError,
  type LoadOptions,
  load,
  ObjectError,
  openObject,
  RingBufferReader,
  recordsOf,
  SyscallError,
  type UprobeTarget,
} from '../../src/client/index.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { compileExecutable, compileObject } from './compile.ts'

const linux = openLinux()
const object = compileObject('probed')
const executable = compileExecutable('probed')
const why = [linux instanceof LinuxUnavailable ? linux.message : undefined, object, executable].find(
  (one): one is string => typeof one === 'string',
)

afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
  if (typeof executable !== 'string') executable[Symbol.dispose]()
})

/** A process of the executable, which calls `work` as often as it is told. */
class Probed {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(path: string) {
    this.#child = spawn(path, { stdio: ['pipe', 'pipe', 'inherit'] })
    if (this.#child.stdout === null) throw new Error('no pipe')
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  get pid(): number {
    return this.#child.pid as number
  }

  async ready(): Promise<this> {
    expect((await this.#lines.next()).value).toBe('ready')
    return this
  }

  /** Calls work(0) ... work(count - 1), and returns the sum that the process got. */
  async call(count: number): Promise<number> {
    this.#child.stdin?.write(`${count}\n`)
    return Number((await this.#lines.next()).value)
  }

  async end(): Promise<void> {
    this.#child.stdin?.end()
    await once(this.#child, 'exit')
  }
}

const result = (number: number) => number * 3 - 50
const sumOf = (count: number) =>
  Array.from({ length: count }, (_, number) => result(number)).reduce((a, b) => a + b, 0)

const title =
  why === undefined ? 'probes on the running Linux' : `probes on the running Linux (skipped: ${why})`

describe.skipIf(why !== undefined)(title, () => {
  const kernel = linux as Exclude<typeof linux, LinuxUnavailable>
  const path = typeof executable === 'string' ? '' : executable.path
  const spec = typeof object === 'string' ? undefined : openObject(object, { name: 'probed' })
  const started: Probed[] = []

  const start = async () => {
    const probed = new Probed(path)
    started.push(probed)
    return probed.ready()
  }

  afterEach(async () => {
    await Promise.all(started.splice(0).map((probed) => probed.end()))
    expect(kernel.openDescriptors).toEqual([])
    expect(kernel.memory.allocations).toBe(0)
  })

  function loaded(options: LoadOptions, on: Syscalls = kernel): Collection {
    if (spec === undefined || spec instanceof ObjectError) throw new Error(spec?.message)
    const collection = load(spec, on, options)
    if (collection instanceof LoadError) throw new Error(collection.message)
    return collection
  }

  function attached(link: Link | AttachError): Link {
    if (link instanceof AttachError) throw new Error(link.message)
    return link
  }

  const target = (isReturn: boolean): UprobeTarget => ({
    kind: 'uprobe',
    path,
    symbol: 'work',
    offset: 0,
    isReturn,
    isMulti: false,
    isSession: false,
  })

  function events(collection: Collection) {
    const { btf } = collection.spec
    const type = btf?.find('event')
    const codec = btf && type !== undefined ? btfCodec(btf, type) : undefined
    if (codec === undefined) throw new Error('no struct event')
    const reader = RingBufferReader.open(collection.map('events'), { decode: recordsOf(codec) })
    if (reader instanceof SyscallError) throw reader
    return reader
  }

  const uprobes = { programs: ['on_entry', 'on_return'] }

  test('count the calls of one process, and see arguments and results', async () => {
    const [one, other] = [await start(), await start()]
    using collection = loaded(uprobes)
    using reader = events(collection)
    const { pid } = one
    {
      using _return = attached(
        collection.program('on_return').attach(target(true), { pid, cookie: 0x1234_5678_9abc_def0n }),
      )
      using _entry = attached(collection.program('on_entry').attach(target(false), { pid, cookie: 7n }))
      expect(await one.call(40)).toBe(sumOf(40))
      expect(await other.call(25)).toBe(sumOf(25))
      expect(await one.call(3)).toBe(sumOf(3))
    }
    // Detached: the process goes on as it was.
    expect(await one.call(10)).toBe(sumOf(10))
    expect(collection.globals.get('entered')).toBe(43n)
    expect(collection.globals.get('left')).toBe(43n)
    const numbers = [...Array(40).keys(), ...Array(3).keys()]
    expect([...reader.drain()]).toEqual(
      numbers.flatMap((number) => [
        { pid, is_return: 0, number: BigInt(number), cookie: 7n },
        { pid, is_return: 1, number: BigInt(result(number)), cookie: 0x1234_5678_9abc_def0n },
      ]),
    )
  })

  test('count the calls of all processes of the executable', async () => {
    const [one, other] = [await start(), await start()]
    using collection = loaded({ programs: ['on_entry'] })
    using link = attached(collection.program('on_entry').attach(target(false)))
    expect(await one.call(5)).toBe(sumOf(5))
    expect(await other.call(6)).toBe(sumOf(6))
    const late = await start()
    expect(await late.call(7)).toBe(sumOf(7))
    expect(collection.globals.get('entered')).toBe(18n)
    link[Symbol.dispose]()
    expect(await other.call(8)).toBe(sumOf(8))
    expect(collection.globals.get('entered')).toBe(18n)
  })

  test('follow a process as it goes', async () => {
    const one = await start()
    using collection = loaded({ programs: ['on_return'] })
    using reader = events(collection)
    using _link = attached(collection.program('on_return').attach(target(true), { pid: one.pid }))
    const called = one.call(5)
    const seen: unknown[] = []
    for await (const event of reader) {
      seen.push((event as { number: bigint }).number)
      if (seen.length === 5) break
    }
    expect(seen).toEqual([0, 1, 2, 3, 4].map((number) => BigInt(result(number))))
    expect(await called).toBe(sumOf(5))
  })

  test('do not attach where there is nothing', () => {
    using collection = loaded({ programs: ['on_entry'] })
    const program = collection.program('on_entry')
    expect(program.attach({ ...target(false), symbol: 'wrok' })).toMatchObject({
      code: 'unknown-symbol',
      message: expect.stringContaining('did you mean work'),
    })
    expect(program.attach({ ...target(false), path: `${path}.none` })).toMatchObject({ code: 'bad-file' })
    expect(program.attach({ ...target(false), symbol: '', offset: 1 << 30 })).toMatchObject({
      code: 'refused',
    })
    expect(program.attach(target(false), { pid: 0x3fff_ffff })).toMatchObject({ code: 'refused', errno: 3 })
  })

  test('count system calls of one process at a raw tracepoint', async () => {
    const one = await start()
    using collection = loaded({ programs: ['on_system_call'], globals: { only_pid: one.pid } })
    {
      using _link = attached(collection.program('on_system_call').attach())
      expect(await one.call(11)).toBe(sumOf(11))
    }
    expect(await one.call(4)).toBe(sumOf(4))
    expect(collection.globals.get('calls')).toBe(11n)
    expect(collection.globals.get('others')).toBeGreaterThan(0n)
    expect(
      collection.program('on_system_call').attach({ kind: 'rawTracepoint', name: 'sys_entry' }),
    ).toMatchObject({ code: 'no-tracepoint', errno: 2 })
  })

  test('count system calls of one process at a tracepoint', async ({ skip }) => {
    // tracefs need not be mounted for everybody: a process of ours has it in a mount namespace of its own.
    const mount = 'mount -t tracefs none /sys/kernel/tracing && echo mounted && exec cat'
    const holder = spawn('unshare', ['-m', 'sh', '-c', mount], { stdio: ['pipe', 'pipe', 'ignore'] })
    const lines = createInterface({ input: holder.stdout })[Symbol.asyncIterator]()
    const isMounted = (await lines.next()).value === 'mounted'
    try {
      if (!isMounted) return skip('tracefs cannot be mounted')
      const within = `/proc/${holder.pid}/root`
      const namespaced: Syscalls = Object.create(kernel, {
        memory: { value: kernel.memory },
        open: {
          value: (file: string, flags: number) =>
            kernel.open(file.startsWith('/sys/kernel/tracing/') ? `${within}${file}` : file, flags),
        },
      })
      for (const name of [
        'bpf',
        'perfEventOpen',
        'ioctl',
        'read',
        'close',
        'mmap',
        'munmap',
        'poll',
      ] as const) {
        Object.defineProperty(namespaced, name, { value: kernel[name].bind(kernel) })
      }
      const one = await start()
      using collection = loaded({ programs: ['on_tracepoint'], globals: { only_pid: one.pid } }, namespaced)
      {
        using _link = attached(collection.program('on_tracepoint').attach())
        expect(await one.call(11)).toBe(sumOf(11))
      }
      expect(await one.call(4)).toBe(sumOf(4))
      expect(collection.globals.get('calls')).toBe(11n)
    } finally {
      holder.stdin.end()
      await once(holder, 'exit')
    }
  })
})
