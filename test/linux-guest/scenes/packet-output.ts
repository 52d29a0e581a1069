/** What tracing programs send of the packets that traced programs see, and what these packets' contexts hold. */
import { PerfReader } from '../../../src/client/index.ts'
import { loaded, type Scenes, type Stage, specOf, type Told, tryAttach } from './scene.ts'

const CURRENT_CPU = 0xffff_ffffn
const OTHER_FLAG = 1n << 52n

/** Some of struct __sk_buff: where, and what. */
const DESCRIBED: Readonly<Record<number, number>> = { 8: 5, 32: 3, 36: 1, 40: 1, 152: 77 }
const SK_BUFF_BYTES = 192

interface Sending {
  /** Of the packet, in bytes. */
  readonly bytes: number
  readonly metaBytes?: number
  /** Described by a struct __sk_buff. */
  readonly isDescribed?: boolean
  /** How much of it is asked for, and how many bytes before it. */
  readonly wanted: number
  readonly size?: number
  readonly flags?: bigint
}

/** One run of `target` for each, traced by `tracer`: the answers, the samples, what the context held. */
function sendings(stage: Stage, target: string, tracer: string, all: readonly Sending[]): Told {
  const spec = specOf(stage, 'packet-output')
  using traced = loaded(stage, spec, { programs: [target] })
  const program = traced.program(target)
  using tracing = loaded(stage, spec, { programs: [tracer], targetPrograms: { [tracer]: program } })
  const samples = PerfReader.open(tracing.map('events') as never, { pages: 16 })
  if (!(samples instanceof PerfReader)) throw samples
  using reader = samples
  const attached = tryAttach(tracing, tracer)
  if (typeof attached === 'number') return attached
  using _link = attached
  const told: Told[] = []
  for (const { bytes, metaBytes = 0, isDescribed = false, wanted, size = 5, flags = CURRENT_CPU } of all) {
    tracing.globals.set('flags', (BigInt(wanted) << 32n) | flags)
    tracing.globals.set('size', size)
    const data = Uint8Array.from({ length: metaBytes + bytes }, (_, n) => n * 7 + (n >> 8))
    const words = isDescribed
      ? Uint32Array.from({ length: SK_BUFF_BYTES / 4 }, (_, n) => DESCRIBED[n * 4] ?? 0)
      : Uint32Array.of(metaBytes, data.length, 0, 0, 0, 0)
    const context = new Uint8Array(words.buffer)
    const run = program.testRun({ data, ...(metaBytes > 0 || isDescribed ? { context } : {}) })
    told.push({
      returned: 'returnValue' in run ? run.returnValue : -run.errno,
      answer: String(tracing.globals.get('answer')),
      found: (tracing.globals.get('found') as readonly bigint[]).map(String),
      samples: [...reader.drain()].map((sample) => `${sample.length} ${Buffer.from(sample).toString('hex')}`),
    })
  }
  return told
}

const small: readonly Sending[] = [
  { bytes: 64, wanted: 0 },
  { bytes: 64, wanted: 33 },
  { bytes: 64, wanted: 40, size: 15 },
  { bytes: 64, wanted: 50, size: 8 },
  { bytes: 64, wanted: 51, size: 0 },
  { bytes: 64, wanted: 54 },
  { bytes: 64, wanted: 55 },
  { bytes: 64, wanted: 64 },
  { bytes: 64, wanted: 65 },
  { bytes: 64, wanted: 0xfffff },
  { bytes: 1500, wanted: 1486, size: 3 },
  { bytes: 64, wanted: 10, flags: 0n },
  { bytes: 64, wanted: 10, flags: 1n },
  { bytes: 64, wanted: 10, flags: CURRENT_CPU | OTHER_FLAG },
  { bytes: 64, wanted: 65, flags: CURRENT_CPU | OTHER_FLAG },
  { bytes: 64, wanted: 65, flags: 1n },
]
const withMeta: readonly Sending[] = [
  { bytes: 64, metaBytes: 12, wanted: 64 },
  { bytes: 80, metaBytes: 16, wanted: 20 },
]
const described: readonly Sending[] = [{ bytes: 64, isDescribed: true, wanted: 14 }]
const large: readonly Sending[] = [
  { bytes: 3000, wanted: 2900 },
  { bytes: 3520, wanted: 3400 },
  { bytes: 5000, wanted: 4886 },
  { bytes: 5000, wanted: 4887 },
  { bytes: 9000, wanted: 8886, size: 1 },
  { bytes: 9000, wanted: 9000 },
  { bytes: 9000, wanted: 9001 },
  { bytes: 16000, wanted: 3600, size: 9 },
]

const scene = (target: string, tracer: string, all: readonly Sending[]) => [
  `what ${tracer} sends`,
  (stage: Stage) => sendings(stage, target, tracer, all),
]

export const packetOutputScenes: Scenes = Object.fromEntries([
  scene('shortens', 'at_frame', [...small, ...withMeta]),
  scene('shortens', 'behind_frame', [...small, ...withMeta]),
  scene('shortens_fragments', 'at_fragments', [...small, ...large]),
  scene('shortens_fragments', 'behind_fragments', [...small, ...large]),
  scene('changes', 'at_packet', [...small, ...described, ...large]),
  scene('changes', 'behind_packet', [...small, ...described, ...large]),
])
