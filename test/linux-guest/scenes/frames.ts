/**
 * Live frames that pass, are sent back and are redirected: how many arrive each way, in which order, and what they hold;
 * and what programs find in the pages that come back.
 */
import { type Collection, SyscallError } from '../../../src/client/index.ts'
import { type Frame, PROTOCOL, showFrame, verdictOf } from './devices.ts'
import { loaded, type Scenes, type Stage, specOf, type Told } from './scene.ts'

const [DROP, PASS, TX, TO_DEVICE, TO_TARGETS, TO_CPU] = [1, 2, 3, 10, 11, 12] as const
const BROADCAST = 8n
const MOST = 1024

interface Run {
  readonly verdicts: readonly number[]
  readonly repeat?: number
  readonly batch?: number
  readonly bytes?: number
  readonly globals?: Readonly<Record<string, number | bigint>>
}

/** What maps hold that frames are redirected by. */
type Fill = (collection: Collection, stage: Stage) => void

const scene =
  (runs: readonly Run[], programs: readonly string[] = [], fill?: Fill, isOrdered = true) =>
  (stage: Stage): Told => {
    using collection = loaded(stage, specOf(stage, 'frames'), { programs: ['sends', ...programs] })
    fill?.(collection, stage)
    return runs.map(({ verdicts, repeat = 100, batch = 0, bytes = 64, globals = {} }) => {
      const { globals: values } = collection
      values.set(
        'verdicts',
        Uint8Array.from({ length: 16 }, (_, n) => verdicts[n] ?? 0),
      )
      values.set('verdict_count', verdicts.length)
      values.set('device', stage.devices.other)
      values.set('sent', 0)
      for (const [name, value] of Object.entries(globals)) values.set(name, value)
      const data = Uint8Array.from({ length: bytes }, (_, n) => (n < 12 || n >= 28 ? n * 5 : 0))
      data.set(PROTOCOL, 12)
      const context = Uint32Array.of(0, bytes, 0, stage.devices.ingress, 0, 0)
      const run = collection.program('sends').testRun({
        ...{ data, repeat, liveFrameBatch: batch },
        context: new Uint8Array(context.buffer),
      })
      const arrived = stage.devices.arrived()
      const found = (values.get('found') as readonly number[]).slice(0, Math.min(repeat, MOST))
      // Devices deliver what they have when they get to it: the order holds for what was sent one way.
      const told = (frames: readonly Frame[]) => {
        const byWay = frames.toSorted((a, b) => (verdictOf(a) ?? 0) - (verdictOf(b) ?? 0)).map(showFrame)
        return isOrdered ? byWay : byWay.toSorted()
      }
      return {
        run: run instanceof SyscallError ? -run.errno : run.returnValue,
        passed: told(arrived.passed),
        left: told(arrived.left),
        ...(isOrdered ? { found } : {}),
      }
    })
  }

/** Entry 0 goes to the other device, with a program; entry 2 to the first, without. */
const fillEachOnce: Fill = (collection, { devices: { ingress, other } }) => {
  const { fd } = collection.program('on_target')
  const map = collection.map('targets')
  map.set(0, { ifindex: other, bpf_prog: { fd } })
  map.set(2, { ifindex: ingress, bpf_prog: { fd: 0 } })
}

/** Entry 1 goes to the other device, too, without a program. */
const fillTargets: Fill = (collection, stage) => {
  fillEachOnce(collection, stage)
  collection.map('targets').set(1, { ifindex: stage.devices.other, bpf_prog: { fd: 0 } })
}

const fillCpu =
  (program: string): Fill =>
  (collection, stage) => {
    fillTargets(collection, stage)
    const fd = program === '' ? 0 : collection.program(program).fd
    collection.map('cpus').set(0, { qsize: 512, bpf_prog: { fd } })
  }

const batches = (verdicts: readonly number[]): readonly Run[] => [
  ...[1, 2, 7, 20, 64, 100].map((batch) => ({ verdicts, batch })),
  { verdicts, repeat: 300 },
  // Not more than what a virtual device holds.
  { verdicts, batch: 128, repeat: 300 },
]

export const framesScenes: Scenes = {
  'frames that pass': scene(batches([PASS])),
  'frames that are sent back': scene(batches([TX])),
  'frames that are redirected': scene(batches([TO_DEVICE])),
  'frames that are dropped, and pass now and then': scene(batches([DROP, DROP, PASS, DROP, DROP])),
  'frames that are sent back, and pass now and then': scene(batches([TX, TX, TX, PASS])),
  'frames that pass, are sent back, and fare otherwise': scene(
    batches([PASS, TX, TX, DROP, TX, 0, PASS, PASS, 77]),
  ),
  // In which order two devices give back what they have sent is up to them.
  'frames that go every way': scene(
    batches([PASS, TX, TO_DEVICE, DROP, TX, 0, PASS, PASS, 77]),
    [],
    undefined,
    false,
  ),
  'frames of other lengths': scene(
    [14, 23, 24, 28, 60, 1000, 1500, 1514].map((bytes) => ({ verdicts: [PASS, TX], bytes, repeat: 10 })),
  ),
  'frames that are made longer and shorter': scene(
    [
      { head: 8 },
      { head: -8 },
      { head: -100, tail: -3 },
      { head: 0, tail: 60 },
      { tail: 1000 },
      { tail: -20 },
      { head: -216, tail: 0 },
    ].flatMap((globals) =>
      [1, 10].map((batch) => ({ verdicts: [PASS, TX, TO_DEVICE], batch, repeat: 45, globals })),
    ),
  ),
  'frames for the entries of a map': scene(
    [0, 1, 2, 3].flatMap((key) =>
      [1, 16, 40].map((batch) => ({ verdicts: [TO_TARGETS, PASS], batch, globals: { key } })),
    ),
    ['on_target'],
    fillTargets,
  ),
  'frames for all entries of a map': scene(
    [1, 16, 40].map((batch) => ({ verdicts: [TO_TARGETS], batch, globals: { flags: BROADCAST } })),
    ['on_target'],
    fillEachOnce,
    false,
  ),
  ...Object.fromEntries(
    ['', 'on_cpu', 'on_cpu_redirects'].map((program) => [
      `frames for a CPU, ${program || 'without a program'}`,
      scene(
        [1, 8, 60].map((batch) => ({ verdicts: [TO_CPU, TO_CPU, PASS], batch, globals: { key: 1 } })),
        ['on_target', ...(program === '' ? [] : [program])],
        fillCpu(program),
        false,
      ),
    ]),
  ),
}

/** The first Linux that lets pages of what passes come back, and copies frames as they are. */
const RECYCLES = 6_003
export const framesSince = Object.fromEntries(
  [
    'frames that pass',
    'frames that are dropped, and pass now and then',
    'frames that are sent back, and pass now and then',
    'frames that pass, are sent back, and fare otherwise',
    'frames for the entries of a map',
    'frames for all entries of a map',
  ].map((name) => [name, RECYCLES]),
)
