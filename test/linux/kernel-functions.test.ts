/**
 * Kernel functions, timers, lists, trees, kernel pointers, chains of tail calls at run time: each program runs on the Linux that runs the
 * tests, in this project's compiler and in its interpreter, and all three must leave the same. Where there is no Linux to
 * be asked, the two engines are held to each other.
 *
 * A program leaves what it has to tell in the global `out` and in what it returns. Those whose name begins with
 * `later` are what another one set off: they run when it has had time.
 */
import { afterAll, describe, expect, test } from 'vitest'
import { BPF_CMD, progStreamReadAttr, type Syscalls } from '../../src/abi/index.ts'
import {
  LoadError,
  load,
  ObjectError,
  openObject,
  possibleCpuCount,
  SyscallError,
} from '../../src/client/index.ts'
import { createKernel } from '../../src/kernel/index.ts'
import { taskTypes } from '../../src/kernel/testing/task-types.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { DATA } from '../../src/probes/testing/tiny-riscv.ts'
import { GuestUnderTest } from '../support/guest.ts'
import { compileObject } from './compile.ts'
import { bpf } from './raw-map.ts'

const linux = openLinux()
const cpuCount = linux instanceof LinuxUnavailable ? 1 : possibleCpuCount(linux)
const why = linux instanceof LinuxUnavailable ? linux.message : ''

afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
})

const objects = [
  'kf-iterators',
  'kf-objects',
  'kf-timers',
  'kf-context',
  'kf-memory',
  'kf-system',
  'kf-task-work',
  'tail-calls',
]

const LATER_MS = 20

/** One with tasks, of which one is running. */
class PortWithTask extends TinyPort {
  override types = taskTypes()
  override tasks = Array.from({ length: cpuCount }, () => ({
    ...{ pid: 7, tgid: 7, uid: 0, gid: 0, comm: 'worker' },
    address: DATA,
  }))
}

function ours<T>(engine: 'jit' | 'interpreter', use: (kernel: Syscalls) => T): T {
  using kernel = createKernel({ port: new PortWithTask({ cpuCount }), engine })
  using client = kernel.openClient()
  const result = use(client)
  expect(kernel.faults()).toEqual([])
  expect(kernel.stats()).toMatchObject({ maps: 0, programs: 0, objects: 0 })
  return result
}

/** What a group of programs leaves: those that begin alike up to the first `__` are one. */
function runAll(kernel: Syscalls, object: Uint8Array, programs: readonly string[]): unknown {
  const spec = openObject(object, { name: 'kfuncs' })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  using collection = orThrow(load(spec, kernel, { programs: [...programs] }))
  const results = programs.map((name) => {
    if (name.includes('__later')) pause(LATER_MS)
    const packet = new Uint8Array(64).map((_, i) => i)
    const program = collection.program(name)
    const isSyscall = program.spec.section.replace('?', '').startsWith('syscall')
    const run = program.testRun(isSyscall ? {} : { data: packet, dataOutBytes: 128 })
    if (run instanceof SyscallError) return { name, errno: run.errno }
    return { name, returnValue: run.returnValue, dataOut: Buffer.from(run.dataOut).toString('hex') }
  })
  return { results, out: collection.globals.get('out') }
}

/** What the program wrote for those who look after it. */
function readStream(kernel: Syscalls, program: number, stream: number): string {
  const { memory } = kernel
  const buffer = memory.allocate(1024)
  const attr = progStreamReadAttr.encode({
    stream_buf: buffer,
    stream_buf_len: 1024,
    stream_id: stream,
    prog_fd: program,
  })
  const length = bpf(kernel, BPF_CMD.BPF_PROG_STREAM_READ_BY_FD, attr)
  const text = length < 0 ? `${length}` : new TextDecoder().decode(memory.view(buffer, length).slice())
  memory.free(buffer)
  return text
}

function orThrow<T>(value: T | LoadError): T {
  if (value instanceof LoadError) {
    const log = 'log' in value ? `\n${String(value.log).slice(-1500)}` : ''
    throw new Error(`${value.message}${log}`)
  }
  return value
}

const pause = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

for (const name of objects) {
  const object = compileObject(name)
  const reason = typeof object === 'string' ? object : ''
  const beside = why === '' ? '' : ` (without Linux: ${why})`
  describe.skipIf(reason !== '')(`${name}${reason === '' ? beside : ` (skipped: ${reason})`}`, () => {
    const spec = typeof object === 'string' ? undefined : openObject(object, { name })
    if (spec instanceof ObjectError) throw new Error(spec.message)
    const groups = new Map<string, string[]>()
    for (const program of spec?.programs ?? []) {
      if (program.name.startsWith('refused')) continue
      const group = program.name.split('__')[0] as string
      groups.set(group, [...(groups.get(group) ?? []), program.name])
    }
    for (const [group, programs] of groups) {
      test(group, () => {
        const bytes = object as Uint8Array
        const expected =
          linux instanceof LinuxUnavailable
            ? ours('interpreter', (kernel) => runAll(kernel, bytes, programs))
            : runAll(linux, bytes, programs)
        for (const engine of ['jit', 'interpreter'] as const) {
          const found = ours(engine, (kernel) => runAll(kernel, bytes, programs))
          expect({ engine, found }).toEqual({ engine, found: expected })
        }
      })
    }
  })
}

const contexts = compileObject('kf-context')
describe.skipIf(typeof contexts === 'string')("a program's context, as the kernel has it", () => {
  const everywhere = <T>(use: (kernel: Syscalls) => T): T => {
    const found = ours('jit', use)
    expect(ours('interpreter', use)).toEqual(found)
    if (!(linux instanceof LinuxUnavailable)) expect(found).toEqual(use(linux))
    return found
  }
  const spec = () => {
    const opened = openObject(contexts as Uint8Array, { name: 'kfuncs' })
    if (opened instanceof ObjectError) throw new Error(opened.message)
    return opened
  }

  test.each(['tc', 'action', 'socket', 'cgroup', 'lwt_in', 'lwt_out', 'lwt_xmit'])(
    'is what the caller gave: %s',
    (type) => {
      const name = `packet_of_${type}`
      const context = new Uint8Array(192)
      const view = new DataView(context.buffer)
      const fields = { mark: 8, priority: 32, ingress_ifindex: 36, tstamp: 152 }
      for (const [i, offset] of Object.values(fields).entries()) view.setUint32(offset, 0x100 + i, true)
      const { returnValue, out } = everywhere((kernel) => {
        using collection = orThrow(load(spec(), kernel, { programs: [name] }))
        const run = collection.program(name).testRun({ data: new Uint8Array(40).fill(7), context })
        if (run instanceof SyscallError) throw run
        return { returnValue: run.returnValue, out: collection.globals.get('out') as readonly bigint[] }
      })
      const length = type === 'tc' || type === 'action' ? 40n : 26n
      expect({ returnValue, told: [0, 1, 6, 7, 12].map((i) => out[i]) }).toEqual({
        returnValue: type === 'cgroup' ? 1 : 0,
        told: [length, 0x100n, 0x101n, 0x102n, 0x103n],
      })
    },
  )

  test.each(['refused_write', 'refused_argument', 'refused_other'])('is not for everything: %s', (name) => {
    const said = everywhere((kernel) => {
      const refused = load(spec(), kernel, { programs: [name] })
      if (!(refused instanceof LoadError)) return refused[Symbol.dispose]()
      // Types and helpers have other numbers in another kernel.
      return refused.message.split('\n').at(0)
    })
    expect(said).toBeTypeOf('string')
  })
})

const system = compileObject('kf-system')
describe.skipIf(typeof system === 'string')('what a program says', () => {
  test.each(['jit', 'interpreter'] as const)('can be read from its streams, with the %s', (engine) => {
    const spec = openObject(system as Uint8Array, { name: 'kfuncs' })
    if (spec instanceof ObjectError) throw new Error(spec.message)
    const said = ours(engine, (kernel) => {
      using collection = orThrow(load(spec, kernel, { programs: ['says'] }))
      const program = collection.program('says')
      program.testRun({ data: new Uint8Array(64) })
      return [1, 2, 1].map((stream) => readStream(kernel, program.fd, stream))
    })
    expect(said).toEqual(['says 42 and nothing\nnothing', 'nothing', ''])
  })
})

const taskWork = compileObject('kf-task-work')
describe.skipIf(typeof taskWork === 'string')('work of a task', () => {
  test.each(['jit', 'interpreter'] as const)(
    'is done when the system call is over, with the %s',
    (engine) => {
      const programs = ['by_signal__schedules', 'by_signal__later']
      const { out } = ours(engine, (kernel) => runAll(kernel, taskWork as Uint8Array, programs)) as {
        out: readonly bigint[]
      }
      // Once, for the element with the key 1, which held 7; not yet while the program ran, and done when the next one did.
      expect([0, 1, 2, 10, 11, 12].map((n) => out[n])).toEqual([1n, 1n, 7n, 0n, 0n, 8n])
    },
  )
})

const timers = compileObject('kf-timers')
describe.skipIf(typeof timers === 'string')('timers in a guest', () => {
  test("run when the machine's clock says so", () => {
    const spec = openObject(timers as Uint8Array, { name: 'kfuncs' })
    if (spec instanceof ObjectError) throw new Error(spec.message)
    using under = new GuestUnderTest()
    const { guest, client } = under
    using collection = orThrow(load(spec, client, { programs: ['in_a_while__starts'] }))
    const { globals } = collection
    globals.set('delay', 5_000_000n)
    collection.program('in_a_while__starts').testRun({ data: new Uint8Array(64) })
    const due = (globals.get('started_at') as bigint) + 5_000_000n
    expect(guest.kernel.nextTimerNs()).toBe(due)
    guest.run({ maxInstructions: 400_000 })
    expect(globals.get('fired_at')).toBe(0n)
    guest.run({ maxInstructions: 200_000 })
    const late = (globals.get('fired_at') as bigint) - due
    expect(late).toBeGreaterThanOrEqual(0n)
    expect(late).toBeLessThan(1000n)
    expect(guest.kernel.nextTimerNs()).toBeUndefined()
  })
})
