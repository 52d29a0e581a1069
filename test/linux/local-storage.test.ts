/** Storage of control groups and packets' IPsec in test runs, on the Linux that runs the tests and on both engines. */
import { afterAll, describe, expect, test } from 'vitest'
import { EBUSY, type Syscalls } from '../../src/abi/index.ts'
import {
  type Collection,
  LoadError,
  load,
  ObjectError,
  openObject,
  SyscallError,
} from '../../src/client/index.ts'
import { createKernel } from '../../src/kernel/index.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { compileObject } from './compile.ts'

const linux = openLinux()
const noLinux = linux instanceof LinuxUnavailable ? linux.message : ''
const object = compileObject('local-storage')
const noObject = typeof object === 'string' ? object : ''
afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
})

function loaded(kernel: Syscalls, program: string): Collection | LoadError {
  const spec = openObject(object as Uint8Array, { name: 'storage' })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  return load(spec, kernel, { programs: [program] })
}

function everywhere(use: (kernel: Syscalls) => unknown): unknown {
  const here = (['jit', 'interpreter'] as const).map((engine) => {
    using kernel = createKernel({ port: new TinyPort(), engine })
    using client = kernel.openClient()
    const result = use(client)
    expect(kernel.faults()).toEqual([])
    expect(kernel.stats()).toMatchObject({ maps: 0, programs: 0 })
    return result
  })
  expect(here[0]).toEqual(here[1])
  if (!(linux instanceof LinuxUnavailable)) expect(here[0]).toEqual(use(linux))
  return here[0]
}

const beside = noLinux === '' ? '' : ` (without Linux: ${noLinux})`
describe.skipIf(noObject !== '')(`test runs${noObject === '' ? beside : ` (skipped: ${noObject})`}`, () => {
  const data = Uint8Array.from({ length: 64 }, (_, i) => (i === 12 ? 8 : i === 14 ? 0x45 : 0))

  function orThrow(collection: Collection | LoadError): Collection {
    if (collection instanceof LoadError) throw new Error(collection.message)
    return collection
  }

  test('storage is zero at first and lives as long as the test run', () => {
    const found = everywhere((kernel) => {
      using collection = orThrow(loaded(kernel, 'counts'))
      return [1, 3, 1].map((repeat) => {
        const run = collection.program('counts').testRun({ data, repeat })
        if (run instanceof SyscallError) throw run
        return [run.returnValue, collection.globals.get('state')]
      })
    })
    expect(found).toEqual([
      [1, 101n],
      [1, 303n],
      [1, 101n],
    ])
  })

  test('a program has one of each kind', () => {
    const found = everywhere((kernel) => {
      const refused = loaded(kernel, 'two_of_a_kind')
      if (!(refused instanceof LoadError)) throw new Error('it was loaded')
      return [
        refused.errno,
        String('log' in refused ? refused.log : '').includes('only one cgroup storage of each type'),
      ]
    })
    expect(found).toEqual([EBUSY, true])
  })

  test('no packet has been through IPsec', () => {
    const found = everywhere((kernel) => {
      using collection = orThrow(loaded(kernel, 'encrypted'))
      const run = collection.program('encrypted').testRun({ data })
      if (run instanceof SyscallError) throw run
      return [collection.globals.get('state'), collection.globals.get('left')]
    })
    expect(found).toEqual([-22n, new Uint8Array(24)])
  })
})
