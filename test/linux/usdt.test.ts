/**
 * Places that a program marks for tracing (USDT): arguments, semaphores, several places of a name.
 *
 * Rules: probes are on the test's own executable and on one process of it, which the test starts; detached at once.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { BPF_CMD, BPF_PROG_TYPE, EINVAL, progLoadAttr, type Syscalls } from '../../src/abi/index.ts'
import {
  AttachError,
  type AttachOptions,
  type Collection,
  type Link,
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
const object = compileObject('usdt')
const executable = compileExecutable('marked')
const noObject = typeof object === 'string' ? object : ''
const why = [
  linux instanceof LinuxUnavailable ? linux.message : undefined,
  object,
  executable,
  process.arch === 'x64' ? undefined : 'the marks are in the syntax of x86-64',
].find((one): one is string => typeof one === 'string')
const path = typeof executable === 'string' ? '' : executable.path

afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
  if (typeof executable !== 'string') executable[Symbol.dispose]()
})

function loaded(syscalls: Syscalls, ...programs: readonly string[]): Collection {
  const spec = openObject(object as Uint8Array, { name: 'usdt' })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  const collection = load(spec, syscalls, { programs })
  if (collection instanceof LoadError) throw new Error(collection.message)
  return collection
}

const place = (name: string) => ({ kind: 'usdt', path, provider: 'marked', name }) as const

test.skipIf(noObject !== '')(
  `on this kernel${noObject && ` (skipped: ${noObject})`} there are no uprobes`,
  () => {
    using kernel = createKernel({ port: new TinyPort() })
    using client = kernel.openClient()
    using collection = loaded(client, 'on_step')
    expect(collection.program('on_step').attach(place('step'))).toMatchObject({
      code: 'no-uprobes',
      message: expect.stringContaining('the kernel offers no uprobes'),
    })
  },
)

describe.skipIf(why !== undefined)(
  `on the running Linux${why === undefined ? '' : ` (skipped: ${why})`}`,
  () => {
    const kernel = linux as Exclude<typeof linux, LinuxUnavailable>
    const started: ChildProcess[] = []

    async function start() {
      const child = spawn(path, { stdio: ['pipe', 'pipe', 'inherit'] })
      started.push(child)
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
      expect((await lines.next()).value).toBe('ready')
      const pass = async (count: number) => {
        child.stdin.write(`${count}\n`)
        return Number((await lines.next()).value)
      }
      return { pid: child.pid as number, pass }
    }

    afterEach(async () => {
      for (const child of started.splice(0)) {
        child.stdin?.end()
        await once(child, 'exit')
      }
      expect(kernel.openDescriptors).toEqual([])
      expect(kernel.memory.allocations).toBe(0)
    })

    function attached(collection: Collection, program: string, name: string, options: AttachOptions): Link {
      const link = collection.program(program).attach(place(name), options)
      if (link instanceof AttachError) throw new Error(link.message)
      return link
    }

    test('arguments come from registers, memory and constants, at every place of the name', async () => {
      const { pid, pass } = await start()
      using collection = loaded(kernel, 'on_step', 'on_behind')
      const value = (name: string) => collection.globals.get(name)
      {
        using _step = attached(collection, 'on_step', 'step', { pid, cookie: 0xfeedn })
        using _behind = attached(collection, 'on_behind', 'behind', { pid })
        expect(await pass(4)).toBe(0)
      }
      await pass(3)
      expect([value('steps'), value('behinds'), value('count_of_step')]).toEqual([5n, 4n, 4n])
      // Four times (-i, 250 as a signed byte is unsigned here, 1000 * i - 1, -9), once (100, 1, 2, 3).
      expect(value('sums')).toEqual([-6n + 100n, 4n * 250n + 1n, 5996n + 2n, -36n + 3n])
      expect(value('behind')).toEqual([3n, 5n])
      expect([value('cookie'), value('missing')]).toEqual([0xfeedn, 5n])
    })

    test('without cookies, programs know their place by its address', async () => {
      // What asks the kernel for cookies is a tracepoint program.
      const older: Syscalls = Object.create(kernel, {
        memory: { value: kernel.memory },
        bpf: {
          value: (cmd: number, attr: bigint, size: number) =>
            cmd === BPF_CMD.BPF_PROG_LOAD &&
            progLoadAttr.read(kernel.memory.view(attr, size)).prog_type ===
              BPF_PROG_TYPE.BPF_PROG_TYPE_TRACEPOINT
              ? -EINVAL
              : kernel.bpf(cmd, attr, size),
        },
      })
      for (const name of ['perfEventOpen', 'ioctl', 'open', 'read', 'close', 'mmap', 'munmap'] as const) {
        Object.defineProperty(older, name, { value: kernel[name].bind(kernel) })
      }
      const { pid, pass } = await start()
      using collection = loaded(older, 'on_step')
      const addresses = () => [...collection.map('__bpf_usdt_ip_to_spec_id').keys()].length
      {
        using _link = attached(collection, 'on_step', 'step', { pid, cookie: 5n })
        expect(addresses()).toBe(2)
        await pass(2)
      }
      expect(addresses()).toBe(0)
      const value = (name: string) => collection.globals.get(name)
      expect([value('steps'), value('cookie')]).toEqual([3n, 5n])
      expect(value('sums')).toEqual([-1n + 100n, 501n, 998n + 2n, -18n + 3n])
      expect(collection.program('on_step').attach(place('step'))).toMatchObject({
        code: 'refused',
        message: expect.stringContaining('name one process'),
      })
    })

    test('a semaphore is raised while somebody traces', async () => {
      const [{ pid, pass }, other] = [await start(), await start()]
      using collection = loaded(kernel, 'on_asked')
      expect(await pass(2)).toBe(0)
      {
        using _link = attached(collection, 'on_asked', 'asked', { pid })
        expect(await pass(5)).toBe(5)
        expect(await other.pass(5)).toBe(0)
      }
      expect(await pass(5)).toBe(0)
      expect([collection.globals.get('asked'), collection.globals.get('last_asked')]).toEqual([5n, 5n])
    })

    test('what is not there is said, and leaves nothing', () => {
      using collection = loaded(kernel, 'on_step')
      const program = collection.program('on_step')
      expect(program.attach(place('setp'))).toMatchObject({
        code: 'unknown-symbol',
        message: expect.stringContaining('did you mean marked:step?'),
      })
      expect(program.attach({ ...place('step'), path: `${path}.none` })).toMatchObject({ code: 'bad-file' })
      expect(program.attach(place('step'), { pid: 0x3fff_ffff })).toMatchObject({ code: 'refused', errno: 3 })
    })
  },
)
