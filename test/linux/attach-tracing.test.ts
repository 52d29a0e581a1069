/**
 * Programs of functions that the kernel's types name, and iterators, by the client: on this project's kernel, and on the
 * Linux that runs the tests as far as it lets.
 *
 * Rules: of Linux, only what nobody else calls is traced (its function for tests, the test's own map).
 */
import { afterAll, describe, expect, test } from 'vitest'
import { BPF_CMD, EBUSY, EINVAL, ENOTSUPP, EOPNOTSUPP, EPERM, type Syscalls } from '../../src/abi/index.ts'
import {
  AttachError,
  type Collection,
  type CollectionSpec,
  IteratorReader,
  type Link,
  LoadError,
  type LoadOptions,
  load,
  ObjectError,
  openObject,
  SyscallError,
} from '../../src/client/index.ts'
import { createKernel } from '../../src/kernel/kernel.ts'
import { functionTypes } from '../../src/kernel/testing/function-types.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { compileObject } from './compile.ts'

const object = compileObject('traced')
const noObject = typeof object === 'string' ? object : ''

function opened(): CollectionSpec {
  const spec = openObject(object as Uint8Array, { name: 'traced' })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  return spec
}

function loaded(syscalls: Syscalls, options: LoadOptions): Collection {
  const collection = load(opened(), syscalls, options)
  if (collection instanceof LoadError) {
    throw new Error(`${collection.message}\n${'log' in collection ? collection.log : ''}`)
  }
  return collection
}

function attached(link: Link | AttachError | undefined): Link {
  if (link === undefined || link instanceof AttachError) throw new Error(link?.message)
  return link
}

describe.skipIf(noObject !== '')(`on this kernel${noObject && ` (skipped: ${noObject})`}`, () => {
  function setUp() {
    const port = new TinyPort()
    port.types = functionTypes({ add_one: 1, add_two: 10 })
    const kernel = createKernel({ port })
    return { port, kernel, client: kernel.openClient() }
  }
  const programs = ['on_entry', 'on_exit']

  test('fentry and fexit programs go to where their sections say, and come off', () => {
    const { port, kernel, client } = setUp()
    using collection = loaded(client, { programs })
    {
      const links = collection.attach()
      if (links instanceof AttachError) throw new Error(links.message)
      using _links = links
      expect(port.call('add_two', 7n)).toBe(9n)
    }
    port.call('add_one', 1n)
    const value = (name: string) => collection.globals.get(name)
    expect(['entered', 'left', 'argument', 'result', 'cookie'].map(value)).toEqual([2n, 2n, 8n, 9n, 0n])
    expect(kernel.stats()).toMatchObject({ probes: 0, links: 0 })
  })

  test('a cookie comes to the program', () => {
    const { port, client } = setUp()
    using collection = loaded(client, { programs })
    using _link = attached(
      collection.program('on_entry').attach(undefined, { cookie: 0x1234_5678_9abc_def0n }),
    )
    port.call('add_one', 1n)
    expect(collection.globals.get('cookie')).toBe(0x1234_5678_9abc_def0n)
  })

  test('a kernel whose links know no functions is asked as older ones are', () => {
    const { port, client } = setUp()
    const older: Syscalls = Object.create(client, {
      memory: { value: client.memory },
      bpf: {
        value: (cmd: number, attr: bigint, size: number) =>
          cmd === BPF_CMD.BPF_LINK_CREATE ? -EINVAL : client.bpf(cmd, attr, size),
      },
      open: { value: client.open.bind(client) },
      read: { value: client.read.bind(client) },
      close: { value: client.close.bind(client) },
      mmap: { value: client.mmap.bind(client) },
      munmap: { value: client.munmap.bind(client) },
    })
    using collection = loaded(older, { programs })
    const program = collection.program('on_entry')
    expect(program.attach(undefined, { cookie: 1n })).toMatchObject({
      code: 'refused',
      errno: EINVAL,
      message: expect.stringContaining('does not attach fentry programs with a cookie'),
    })
    using _link = attached(program.attach())
    port.call('add_one', 5n)
    expect(collection.globals.get('argument')).toBe(5n)
    expect(program.attach()).toMatchObject({ code: 'refused', errno: EBUSY, target: 'add_one' })
  })

  test('what the kernel has not is said when it is loaded', () => {
    const { client } = setUp()
    for (const [program, message] of [
      ['on_linux', "no function 'bpf_fentry_test1'"],
      ['on_hook', "no function 'bpf_map'"],
      ['on_system_call', "no tracepoint 'sys_enter'"],
      ['answers', 'the option targetPrograms'],
    ] as const) {
      const failure = load(opened(), client, { programs: [program] })
      expect(failure, program).toMatchObject({ code: 'unknown-target', subject: program })
      expect((failure as LoadError).message).toContain(message)
    }
  })

  test('a function of another program is replaced', () => {
    const { client } = setUp()
    using one = loaded(client, { programs: ['asks'] })
    const asks = one.program('asks')
    const run = () => asks.testRun({ data: new Uint8Array(64) })
    using other = loaded(client, { programs: ['answers'], targetPrograms: { answers: asks } })
    {
      using _link = attached(other.program('answers').attach())
      expect(run()).toMatchObject({ returnValue: 8 })
    }
    expect(run()).toMatchObject({ returnValue: 7 })
  })
})

const linux = openLinux()
const why = linux instanceof LinuxUnavailable ? linux.message : noObject
afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
})

describe.skipIf(why !== '')(`on the running Linux${why && ` (skipped: ${why})`}`, () => {
  const kernel = linux as Exclude<typeof linux, LinuxUnavailable>

  test('a function is traced, or the refusal says why', () => {
    const collection = load(opened(), kernel, { programs: ['on_linux'] })
    if (collection instanceof LoadError) {
      // Where the kernel was built or locked so that nobody may change its text.
      expect(collection).toMatchObject({ subject: 'on_linux', errno: EPERM })
      expect(collection.message).toContain('a kernel that lets its functions be traced')
      return
    }
    using _collection = collection
    const program = collection.program('on_linux')
    const link = program.attach()
    if (link instanceof AttachError) {
      expect(link).toMatchObject({ code: 'refused', program: 'on_linux', target: 'bpf_fentry_test1' })
      expect([EPERM, EBUSY, ENOTSUPP, EOPNOTSUPP]).toContain(link.errno)
      expect(link.message).toMatch(/^fentry at bpf_fentry_test1: E[A-Z]+: \w+/)
      return
    }
    expect(program.testRun()).not.toBeInstanceOf(SyscallError)
    link[Symbol.dispose]()
    expect(collection.globals.get('entered')).toBe(1n)
  })

  test('an iterator writes what its program writes of one map', () => {
    using collection = loaded(kernel, { programs: ['dump_squares'] })
    const squares = collection.map<number, bigint>('squares')
    squares.setAll(Array.from({ length: 3000 }, (_, n) => [n, BigInt(n * n)] as const))
    const expected = Array.from({ length: 3000 }, (_, n) => `${n}² = ${n * n}\n`).join('')
    const program = collection.program('dump_squares')
    const reader = program.openIterator({ over: { kind: 'map', fd: squares.fd } })
    if (!(reader instanceof IteratorReader)) throw new Error(reader.message)
    {
      using open = reader
      const pieces = [...open]
      expect(pieces.length).toBeGreaterThan(1)
      expect(pieces.join('')).toBe(expected)
      expect(open.read()).toBeUndefined()
    }
    // A link can be walked again.
    using link = attached(program.attach(undefined, { over: { kind: 'map', fd: squares.fd } }))
    for (let walk = 0; walk < 2; walk++) {
      const again = IteratorReader.open(kernel, link)
      if (again instanceof SyscallError) throw again
      using open = again
      expect(open.text()).toBe(expected)
    }
    expect(program.openIterator()).toMatchObject({
      code: 'refused',
      message: expect.stringContaining("(the option 'over')"),
    })
  })

  test('a function of another program is replaced, or the refusal says why', () => {
    using one = loaded(kernel, { programs: ['asks'] })
    const asks = one.program('asks')
    const run = () => asks.testRun({ data: new Uint8Array(64) })
    expect(run()).toMatchObject({ returnValue: 7 })
    const other = load(opened(), kernel, { programs: ['answers'], targetPrograms: { answers: asks } })
    if (other instanceof LoadError) {
      expect(other).toMatchObject({ subject: 'answers', errno: EPERM })
      expect(other.message).toContain('a kernel that lets its functions be traced')
      return
    }
    using _other = other
    const link = other.program('answers').attach()
    if (link instanceof AttachError) {
      expect(link).toMatchObject({ code: 'refused', target: 'choose' })
      expect(link.message).toMatch(/^freplace at choose: E[A-Z]+/)
      return
    }
    expect(run()).toMatchObject({ returnValue: 8 })
    link[Symbol.dispose]()
    expect(run()).toMatchObject({ returnValue: 7 })
  })

  test('nothing stays open', () => {
    expect(kernel.openDescriptors).toEqual([])
    expect(kernel.memory.allocations).toBe(0)
  })
})
