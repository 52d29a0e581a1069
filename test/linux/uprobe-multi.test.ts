/** One program at many functions of an executable: the test's own, and one process of it that the test starts. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterAll, expect, test } from 'vitest'
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
import { compileExecutable, compileObject } from './compile.ts'

const linux = openLinux()
const object = compileObject('places')
const executable = compileExecutable('several')
const missing = [object, executable].find((one): one is string => typeof one === 'string') ?? ''
const why = linux instanceof LinuxUnavailable ? linux.message : missing
const path = typeof executable === 'string' ? '' : executable.path

afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
  if (typeof executable !== 'string') executable[Symbol.dispose]()
})

function loaded(syscalls: Syscalls): Collection {
  const spec = openObject(object as Uint8Array, { name: 'places' })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  const collection = load(spec, syscalls, { programs: ['on_entry', 'on_return'] })
  if (collection instanceof LoadError) throw new Error(collection.message)
  return collection
}

const target = (symbol: string, isReturn = false) =>
  ({ kind: 'uprobe', path, symbol, offset: 0, isReturn, isMulti: true, isSession: false }) as const

test.skipIf(why !== '')(`on the running Linux${why && ` (skipped: ${why})`}`, async () => {
  const kernel = linux as Exclude<typeof linux, LinuxUnavailable>
  const start = async () => {
    const child = spawn(path, { stdio: ['pipe', 'pipe', 'inherit'] })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    expect((await lines.next()).value).toBe('ready')
    const call = async (count: number) => {
      child.stdin.write(`${count}\n`)
      return Number((await lines.next()).value)
    }
    const end = async () => {
      child.stdin.end()
      await once(child, 'exit')
    }
    return { pid: child.pid as number, call, end }
  }
  const [one, other] = [await start(), await start()]
  const sum = (count: number) => Array.from({ length: count }, (_, i) => 3 * i + 4).reduce((a, b) => a + b, 0)
  try {
    using collection = loaded(kernel)
    const [entry, exit] = [collection.program('on_entry'), collection.program('on_return')]
    {
      const links = [
        entry.attach(target('step_*'), { pid: one.pid, cookie: 3n }),
        exit.attach(target('?alk', true), { pid: one.pid }),
      ]
      const held = links.map((link) => {
        if (link instanceof AttachError) throw new Error(link.message)
        return link
      })
      expect(await one.call(5)).toBe(sum(5))
      expect(await other.call(4)).toBe(sum(4))
      for (const link of held) link[Symbol.dispose]()
    }
    expect(await one.call(2)).toBe(sum(2))
    const value = (name: string) => collection.globals.get(name)
    expect(['entered', 'left', 'cookies'].map(value)).toEqual([15n, 5n, 45n])
    expect(entry.attach(target('stop_*'))).toMatchObject({
      code: 'unknown-symbol',
      message: expect.stringContaining("has no function 'stop_*'"),
    })
    expect(entry.attach(target('step_*'), { pid: 0x3fff_ffff })).toMatchObject({ code: 'refused', errno: 3 })
  } finally {
    await Promise.all([one.end(), other.end()])
  }
  expect(kernel.openDescriptors).toEqual([])
  expect(kernel.memory.allocations).toBe(0)
})

test.skipIf(missing !== '')(
  `on this kernel${missing && ` (skipped: ${missing})`} there are no uprobes`,
  () => {
    using kernel = createKernel({ port: new TinyPort() })
    using client = kernel.openClient()
    using collection = loaded(client)
    const program = collection.program('on_entry')
    expect(program.attach(target('step_*'))).toMatchObject({ code: 'bad-file' })
    expect(program.attach({ ...target(''), offset: 0x1000 })).toMatchObject({
      code: 'refused',
      errno: EOPNOTSUPP,
      message: expect.stringContaining('the kernel has no uprobe.multi links'),
    })
  },
)
