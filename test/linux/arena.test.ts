/**
 * Arenas: each program runs on the Linux that runs the tests, in this project's compiler and in its interpreter, and
 * all three must leave the same in the global `out` and in the arena.
 */
import { afterAll, describe, expect, test } from 'vitest'
import { PAGE_SIZE, type Syscalls } from '../../src/abi/index.ts'
import { LoadError, load, ObjectError, openObject, SyscallError } from '../../src/client/index.ts'
import { createKernel } from '../../src/kernel/index.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { compileObject } from './compile.ts'

const linux = openLinux()
const object = compileObject('arena')
const why =
  linux instanceof LinuxUnavailable ? linux.message : typeof object === 'string' ? object : undefined
afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
})

function open(bytes: Uint8Array) {
  const spec = openObject(bytes, { name: 'arena' })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  return spec
}

/** What the program leaves on a kernel, with the arena at `start`. */
function runOn(kernel: Syscalls, program: string, start: bigint): unknown {
  const spec = open(object as Uint8Array)
  const maps = spec.maps.map((map) => (map.name === 'arena' ? { ...map, mapExtra: start } : map))
  const collection = load({ ...spec, maps }, kernel, { programs: [program], globals: { start } })
  if (collection instanceof LoadError) {
    const log = 'log' in collection ? `\n${String(collection.log).slice(-1500)}` : ''
    throw new Error(`${collection.message}${log}`)
  }
  using open_ = collection
  const run = open_.program(program).testRun({})
  if (run instanceof SyscallError) throw run
  const { arena } = open_.map('arena')
  // Page by page: what is there, and what touching it makes be there.
  const pages = Array.from({ length: arena.sizeBytes / PAGE_SIZE }, (_, page) => {
    const bytes = arena.read(arena.address + BigInt(page * PAGE_SIZE), PAGE_SIZE)
    return bytes.every((byte) => byte === 0)
      ? ''
      : Buffer.from(bytes)
          .toString('hex')
          .replace(/(00)+$/, '')
  })
  return {
    returned: run.returnValue,
    out: open_.globals.get('out'),
    pages,
    seven: open_.globals.get('seven'),
  }
}

describe.skipIf(why !== undefined)(`arenas${why === undefined ? '' : ` (skipped: ${why})`}`, () => {
  const names = why === undefined ? open(object as Uint8Array).programs.map(({ name }) => name) : []
  test.each(names)('%s', (name) => {
    // Addresses that were looked at are this process's until the collector has been.
    const start = 2n ** 44n + BigInt(names.indexOf(name)) * 2n ** 32n
    const expected = runOn(linux as Syscalls, name, start)
    for (const engine of ['interpreter', 'jit'] as const) {
      using kernel = createKernel({ port: new TinyPort(), engine })
      using client = kernel.openClient()
      const found = runOn(client, name, start)
      expect(kernel.faults()).toEqual([])
      expect({ engine, found }).toEqual({ engine, found: expected })
    }
  })
})
