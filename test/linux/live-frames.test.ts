/**
 * Test runs with live frames, on the Linux that runs the tests and on both engines.
 *
 * Rules: no program here lets a frame go to Linux's network: frames are dropped, sent to CPUs whose programs drop them,
 * or redirected to the loopback device, which takes none. What a CPU's program leaves is looked at when it has had time.
 */
import { afterAll, describe, expect, test } from 'vitest'
import type { Syscalls } from '../../src/abi/index.ts'
import {
  type Collection,
  LoadError,
  load,
  ObjectError,
  openObject,
  possibleCpuCount,
  SyscallError,
} from '../../src/client/index.ts'
import { createKernel } from '../../src/kernel/index.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { compileObject } from './compile.ts'
import { u32 } from './two-kernels.ts'

const linux = openLinux()
const noLinux = linux instanceof LinuxUnavailable ? linux.message : ''
const object = compileObject('live-frames')
const noObject = typeof object === 'string' ? object : ''
afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
})

const [XDP_ABORTED, XDP_DROP, XDP_TX, XDP_REDIRECT, NO_VERDICT] = [0, 1, 3, 4, 77]
const BROADCAST = 8n
const EXCLUDE_INGRESS = 16n

interface Run {
  readonly repeat: number
  readonly batch?: number
  readonly bytes?: number
  readonly metaBytes?: number
  readonly dataOutBytes?: number
  readonly globals?: Readonly<Record<string, number | bigint>>
}

/** Where entries of maps go that a program redirects to. */
type Fill = (collection: Collection) => void

const OTHERS = ['on_cpu', 'on_device']

function open(kernel: Syscalls, program: string): Collection {
  const spec = openObject(object as Uint8Array, { name: 'live' })
  if (spec instanceof ObjectError) throw spec
  const collection = load(spec, kernel, { programs: [program, ...OTHERS] })
  if (collection instanceof LoadError) throw collection
  return collection
}

const pause = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

interface Left {
  readonly counts: unknown
  readonly seen: unknown
  readonly results: unknown
  readonly run: unknown
}

/** What the globals are when nothing is under way any more: when as much was counted as there is to be, or after a second. */
function left({ globals }: Collection, expected: Left | undefined): Omit<Left, 'run'> {
  for (let waited = 0; expected !== undefined && waited < 1000; waited += 5) {
    if (String(globals.get('counts')) === String(expected.counts)) break
    pause(5)
  }
  return { counts: globals.get('counts'), seen: globals.get('seen'), results: globals.get('results') }
}

/** `expected`: of a kernel whose CPUs may take their time. */
function runOn(
  kernel: Syscalls,
  name: string,
  runs: readonly Run[],
  fill?: Fill,
  expected?: readonly Left[],
): readonly Left[] {
  using collection = open(kernel, name)
  fill?.(collection)
  return runs.map(({ repeat, batch = 0, bytes = 64, metaBytes = 0, dataOutBytes = 0, globals = {} }, i) => {
    for (const [global, value] of Object.entries(globals)) collection.globals.set(global, value)
    const data = Uint8Array.from({ length: metaBytes + bytes }, (_, n) => n * 3)
    const context = u32(metaBytes, data.length, 0, 0, 0, 0)
    const run = collection.program(name).testRun({
      data,
      repeat,
      liveFrameBatch: batch,
      ...(metaBytes > 0 ? { context } : {}),
      ...(dataOutBytes > 0 ? { dataOutBytes } : {}),
    })
    const what =
      run instanceof SyscallError
        ? { errno: run.errno }
        : { returned: run.returnValue, out: Buffer.from(run.dataOut).toString('hex') }
    return { run: what, ...left(collection, expected?.[i]) }
  })
}

function here<T>(engine: 'jit' | 'interpreter', use: (kernel: Syscalls) => T, port = newPort()): T {
  using kernel = createKernel({ port, engine })
  using client = kernel.openClient()
  const result = use(client)
  expect(kernel.faults()).toEqual([])
  expect(kernel.stats()).toMatchObject({ maps: 0, programs: 0 })
  return result
}

const newPort = () =>
  new TinyPort({ cpuCount: linux instanceof LinuxUnavailable ? 2 : possibleCpuCount(linux) })

/** Both engines and Linux leave the same. */
function everywhere(name: string, runs: readonly Run[], fill?: Fill): readonly Left[] {
  const use = (kernel: Syscalls) => runOn(kernel, name, runs, fill)
  const found = here('jit', use)
  expect(here('interpreter', use)).toEqual(found)
  if (!(linux instanceof LinuxUnavailable)) expect(found).toEqual(runOn(linux, name, runs, fill, found))
  return found
}

const toCpu =
  (cpu: number, length: number, program = 'on_cpu'): Fill =>
  (collection) => {
    const fd = program === '' ? 0 : collection.program(program).fd
    collection.map('cpus').set(cpu, { qsize: length, bpf_prog: { fd } })
  }

const toDevices: Fill = (collection) => {
  const { fd } = collection.program('on_device')
  for (const map of ['devices', 'hashed']) {
    collection.map(map).set(1, { ifindex: 1, bpf_prog: { fd } })
    collection.map(map).set(2, { ifindex: 1, bpf_prog: { fd: 0 } })
  }
}

const beside = noLinux === '' ? '' : ` (without Linux: ${noLinux})`
describe.skipIf(noObject !== '')(`live frames${noObject === '' ? beside : ` (skipped: ${noObject})`}`, () => {
  test.each([0, 1, 2, 3, 5, 16, 31, 32, 33, 40, 63, 64, 65, 100, 255, 256])(
    'pages come back as they were left, in batches of %i',
    (batch) => {
      const runs = [1, 5, 64, 130, 300].map((repeat) => ({ repeat, batch }))
      everywhere('decides', runs)
    },
  )

  test('verdicts that drop are told nowhere', () => {
    const runs = [XDP_ABORTED, XDP_DROP, NO_VERDICT].map((verdict) => ({
      ...{ repeat: 70, batch: 4, dataOutBytes: 100 },
      globals: { verdict },
    }))
    everywhere('decides', runs)
  })

  test('a program that moves the ends of a frame finds them where they were', () => {
    const moves: readonly Readonly<Record<string, number>>[] = [
      { head: 10, tail: 5 },
      { head: -100 },
      { head: -216 },
      { head: -217 },
      { head: 50 },
      { head: 51 },
      { tail: -40 },
      { tail: 3344 },
      { tail: 3345 },
      { tail: 3456 },
      { meta: -8, meta_first: 500 },
      { head: -30, meta: -32, meta_first: 9 },
      { meta: -216 },
      { meta: -220 },
      { head: -185, meta: -32 },
    ]
    const none = { head: 0, tail: 0, meta: 0, meta_first: 0 }
    const runs = moves.flatMap((some) =>
      [1, 64].flatMap((batch) =>
        [0, 16].map((metaBytes) => ({ repeat: 150, batch, metaBytes, globals: { ...none, ...some } })),
      ),
    )
    everywhere('decides', runs)
  })

  test('a frame fits a page with what the kernel keeps there', () => {
    const runs: Run[] = [0, 4, 216, 220, 252].flatMap((metaBytes) =>
      [13, 14, 19, 20, 3407, 3408, 3409, 3500, 4000, 9000].map((bytes) => ({ repeat: 3, bytes, metaBytes })),
    )
    for (const tail of [1, 2, -3394, -3395]) runs.push({ repeat: 3, bytes: 3407, globals: { tail } })
    everywhere('decides', runs)
  })

  test('what comes back is what was given', () => {
    const runs = [30, 64, 100].flatMap((dataOutBytes) => [
      { repeat: 2, dataOutBytes, globals: { head: 4 } },
      { repeat: 2, dataOutBytes, metaBytes: 4 },
    ])
    everywhere('decides', runs)
  })

  test.each([0, 1])('the program of CPU %i runs on frames that are sent there', (cpu) => {
    const moves = { head: -6, tail: 3, meta: -8, meta_first: 70 }
    const sizes = [
      [1, 0],
      [8, 3],
      [9, 64],
      [60, 8],
      [64, 64],
    ] as const
    const runs = [XDP_ABORTED, XDP_DROP, XDP_TX, XDP_REDIRECT, NO_VERDICT].flatMap((cpu_verdict) =>
      sizes.flatMap(([repeat, batch]) =>
        [0, 4].map((metaBytes) => ({
          ...{ repeat, batch, metaBytes },
          globals: { cpu_verdict, key: cpu, ...moves },
        })),
      ),
    )
    const found = everywhere('to_cpu', runs, toCpu(cpu, 192))
    expect(found.at(-1)).toMatchObject({ counts: [1420, 1420, 0] })
  })

  test('what is sent to an entry that is not there is dropped', () => {
    const runs = [0n, 1n, BROADCAST, 32n].flatMap((flags) =>
      [0, 3, 4, 2 ** 31].map((key) => ({ repeat: 40, batch: 7, globals: { key, flags } })),
    )
    everywhere('to_cpu', runs, toCpu(1, 16))
  })

  test.each([
    [1, 10, 1],
    [1, 3, 0],
    [2, 10, 0],
  ])(
    'what a helper said holds until a frame is redirected: entry %i, batches of %i',
    (key, batch, reached) => {
      const found = everywhere('says_once', [{ repeat: 20, batch, globals: { key } }], toCpu(1, 16))
      expect(found).toMatchObject([{ counts: [20, reached, 0] }])
    },
  )

  test.each(['to_device', 'to_hashed'])('the loopback device takes no frames: %s', (name) => {
    const runs = [0n, BROADCAST, BROADCAST | EXCLUDE_INGRESS].flatMap((flags) =>
      [0, 1, 2].map((key) => ({ repeat: 80, batch: 20, globals: { key, flags } })),
    )
    const found = everywhere(name, runs, toDevices)
    expect(found.at(-1)).toMatchObject({ counts: [720, 0, 0] })
  })
})
