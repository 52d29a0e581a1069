/**
 * struct_ops variables of an object, by the client: on the Linux that runs the tests, which registers nothing of them,
 * and on this project's kernel with Linux's types.
 */
import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import { EINVAL, type Syscalls } from '../../src/abi/index.ts'
import {
  AttachError,
  LoadError,
  type LoadOptions,
  load,
  ObjectError,
  openObject,
  SyscallError,
} from '../../src/client/index.ts'
import { UserBuffer } from '../../src/client/owner.ts'
import { createKernel, type StructOps, type StructOpsType } from '../../src/kernel/index.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { compileObject } from './compile.ts'

const linux = openLinux()
const object = compileObject('struct-ops')
const why =
  linux instanceof LinuxUnavailable ? linux.message : typeof object === 'string' ? object : undefined
afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
})

function opened(kernel: Syscalls, options: LoadOptions = {}) {
  const spec = openObject(object as Uint8Array, { name: 'ops' })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  const collection = load(spec, kernel, options)
  if (collection instanceof LoadError) {
    const log = 'log' in collection ? `\n${String(collection.log).slice(-1500)}` : ''
    throw new Error(`${collection.message}${log}`)
  }
  return collection
}

function ourKernel(structOps: readonly StructOpsType[] = []) {
  const port = new TinyPort()
  port.types = new Uint8Array(readFileSync('/sys/kernel/btf/vmlinux'))
  return createKernel({ port, structOps })
}

/** A congestion control that nobody uses. */
function congestionControl() {
  const registered: StructOps[] = []
  const events: string[] = []
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1').replace(/\0.*/s, '')
  const members = new Map<string, string>()
  const type: StructOpsType = {
    name: 'tcp_congestion_ops',
    initMember({ name, bytes }) {
      if (name !== 'name' && name !== 'flags') return 0
      members.set(name, name === 'name' ? text(bytes) : `${bytes[0]}`)
      return 1
    },
    validate: (ops) => (ops.has('ssthresh') ? 0 : -EINVAL),
    register(ops) {
      events.push('registered')
      registered.push(ops)
      return 0
    },
    unregister() {
      events.push('unregistered')
      registered.pop()
    },
  }
  return { type, registered, events, members }
}

describe.skipIf(why !== undefined)(`struct_ops${why === undefined ? '' : ` (skipped: ${why})`}`, () => {
  test('programs are loaded for the members that they stand at, run, and cannot be registered', () => {
    const answers = (kernel: Syscalls) => {
      using collection = opened(kernel)
      const { memory } = kernel
      using state = UserBuffer.of(memory, new Uint8Array(Int32Array.of(5).buffer))
      const run = (name: string, words: readonly bigint[]) => {
        const context = new Uint8Array(BigUint64Array.from(words).buffer)
        const result = collection.program(name).testRun({ context })
        if (result instanceof SyscallError) return result.message
        return [result.returnValue, new Int32Array(state.bytes.slice().buffer)[0]]
      }
      const runs = [
        run('test_1', [state.pointer]),
        run('test_1', [0n]),
        run('test_2', [state.pointer, 1n, 20n, 30n, 400n]),
        run('test_2', [0n, 1n, 20n, 30n, 400n]),
      ]
      const links = collection.attach()
      return {
        runs,
        loaded: [...collection.programs.keys()],
        structs: [...collection.structOps.keys()],
        attached: links instanceof AttachError ? links.message : 'attached',
      }
    }
    using kernel = ourKernel()
    using client = kernel.openClient()
    const found = answers(client)
    expect(found).toEqual(answers(linux as Syscalls))
    expect(found).toMatchObject({
      runs: [[5, 90], [7, 90], [451, 451], "BPF_PROG_TEST_RUN: EINVAL: program 'test_2'"],
      loaded: ['test_1', 'test_2'],
      structs: ['dummy'],
    })
    expect(found.attached).toContain('EOPNOTSUPP')
  })

  test('a struct is registered by a link, as the object has it', () => {
    const { type, registered, events, members } = congestionControl()
    using kernel = ourKernel([type])
    using client = kernel.openClient()
    using collection = opened(client, { structOps: { linked: {}, dummy: { test_1: null, test_2: null } } })
    expect([...collection.programs.keys()]).toEqual(['ssthresh', 'undo_cwnd'])
    const link = collection.structOps.get('linked')?.attach()
    if (link === undefined || link instanceof AttachError) throw new Error(link?.message)
    expect(Object.fromEntries(members)).toEqual({ name: 'mine', flags: '3' })
    const [ops] = registered as [StructOps]
    expect([ops.call('ssthresh', [0n]), ops.call('undo_cwnd', [0n]), ops.call('cong_avoid', [])]).toEqual([
      21n,
      22n,
      undefined,
    ])
    link[Symbol.dispose]()
    expect(events).toEqual(['registered', 'unregistered'])
  })

  test('members are set, and functions exchanged, before it is loaded', () => {
    const { type, registered, members } = congestionControl()
    using kernel = ourKernel([type])
    using client = kernel.openClient()
    const linked = { name: 'yours', flags: 9, undo_cwnd: 'undo_otherwise' }
    using collection = opened(client, { structOps: { linked, dummy: { test_1: null, test_2: null } } })
    using link = collection.structOps.get('linked')?.attach() as Disposable
    expect(link).not.toBeInstanceOf(AttachError)
    expect(Object.fromEntries(members)).toEqual({ name: 'yours', flags: '9' })
    expect(registered[0]?.call('undo_cwnd', [0n])).toBe(23n)
  })

  test.each<[string, LoadOptions['structOps'] & object, string]>([
    ['a variable that there is not', { nothing: {} }, "no struct_ops variable 'nothing'"],
    ['a member that there is not', { dummy: { test_9: null } }, "no member 'test_9'"],
    ['a number for a function', { dummy: { test_1: 1 } }, "'test_1' is a function"],
    ['a text for a number', { linked: { flags: 'many' } }, "'flags'"],
    ['a function that the kernel lacks', { dummy: { test_3: 'test_1' } }, "has no member 'test_3'"],
    ['one program for two functions', { dummy: { test_2: 'test_1' } }, 'two functions'],
  ])('%s is refused', (_name, structOps, message) => {
    using kernel = ourKernel([congestionControl().type])
    using client = kernel.openClient()
    expect(() => opened(client, { structOps })).toThrow(message)
    expect(kernel.stats()).toMatchObject({ maps: 0, programs: 0, btfs: 0 })
  })
})
