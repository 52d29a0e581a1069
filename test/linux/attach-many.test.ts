/**
 * One program at many functions, and programs at system calls, by the client: on this project's kernel; on the Linux
 * that runs the tests, only functions that nobody but a test run calls.
 */
import { afterAll, describe, expect, test } from 'vitest'
import { EOPNOTSUPP, type Syscalls } from '../../src/abi/index.ts'
import {
  AttachError,
  type Collection,
  LoadError,
  load,
  ObjectError,
  openObject,
} from '../../src/client/index.ts'
import { createKernel } from '../../src/kernel/kernel.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { compileObject } from './compile.ts'

const object = compileObject('many')
const noObject = typeof object === 'string' ? object : ''

function loaded(syscalls: Syscalls, programs: readonly string[]): Collection {
  const spec = openObject(object as Uint8Array, { name: 'many' })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  const collection = load(spec, syscalls, { programs })
  if (collection instanceof LoadError) throw new Error(collection.message)
  return collection
}

describe.skipIf(noObject !== '')(`on this kernel${noObject && ` (skipped: ${noObject})`}`, () => {
  test('patterns of the sections', () => {
    const port = new TinyPort()
    const kernel = createKernel({ port })
    const client = kernel.openClient()
    using collection = loaded(client, ['on_entry', 'on_return'])
    {
      const links = collection.attach()
      if (links instanceof AttachError) throw new Error(links.message)
      using _links = links
      // At add_one, and at the returns of add_one and add_two: add_two calls add_one twice.
      expect(kernel.stats().links).toBe(2)
      expect(port.call('add_two', 1n)).toBe(3n)
    }
    port.call('add_two', 1n)
    expect(['entered', 'left'].map((name) => collection.globals.get(name))).toEqual([2n, 3n])
    expect(kernel.stats()).toMatchObject({ probes: 0, links: 0 })
  })

  test('names and cookies of the caller', () => {
    const port = new TinyPort()
    using kernel = createKernel({ port })
    using client = kernel.openClient()
    using collection = loaded(client, ['on_entry'])
    const program = collection.program('on_entry')
    const target = { kind: 'kprobeMulti', pattern: '', isReturn: false, isSession: false } as const
    const symbols = ['add_one', 'wide_first']
    const link = program.attach({ ...target, symbols }, { cookies: [5n, 70n] })
    if (link instanceof AttachError) throw new Error(link.message)
    port.call('add_one', 1n)
    port.call('wide_first', 1n)
    expect(collection.globals.get('cookies')).toBe(75n)
    link[Symbol.dispose]()
    expect(program.attach({ ...target, symbols: ['dup'] })).toMatchObject({
      code: 'unknown-symbol',
      message: expect.stringContaining('or several of one name'),
    })
    expect(program.attach({ ...target, pattern: 'no_*' })).toMatchObject({ code: 'unknown-symbol' })
  })

  test('sessions are refused, system calls found', () => {
    const port = new TinyPort()
    using kernel = createKernel({ port })
    using client = kernel.openClient()
    using collection = loaded(client, ['in_session', 'on_call'])
    expect(collection.program('in_session').attach()).toMatchObject({
      code: 'refused',
      errno: EOPNOTSUPP,
      message: expect.stringContaining('the kernel has no kprobe.session links'),
    })
    expect(collection.program('on_call').attach()).toMatchObject({
      code: 'unknown-symbol',
      message: expect.stringContaining("system call 'getppid'"),
    })
    const symbol = { ...port.kernelSymbols[0], name: 'sys_getppid' } as (typeof port.kernelSymbols)[0]
    ;(port.kernelSymbols as (typeof symbol)[]).push(symbol)
    const link = collection.program('on_call').attach()
    if (link instanceof AttachError) throw new Error(link.message)
    port.call('add_one', 1n)
    expect(collection.globals.get('entered')).toBe(1n)
  })
})

const linux = openLinux()
const why = linux instanceof LinuxUnavailable ? linux.message : noObject
afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
})

test.skipIf(why !== '')(`on the running Linux${why && ` (skipped: ${why})`}`, () => {
  const kernel = linux as Exclude<typeof linux, LinuxUnavailable>
  {
    using collection = loaded(kernel, ['on_linux'])
    const link = collection.program('on_linux').attach()
    // A kernel without kprobes says so; one with them takes it, and nothing else calls these functions.
    if (link instanceof AttachError) {
      expect(link).toMatchObject({ code: 'refused', program: 'on_linux' })
      expect(link.message).toMatch(
        /^kprobe\.multi at bpf_fentry_test\*: E[A-Z]+: the kernel has no kprobe\.multi links/,
      )
    } else {
      link[Symbol.dispose]()
    }
  }
  expect(kernel.openDescriptors).toEqual([])
  expect(kernel.memory.allocations).toBe(0)
})
