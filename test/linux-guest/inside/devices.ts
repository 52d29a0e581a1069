/** Two pairs of virtual devices, with programs that see what comes out at the other ends and what goes up from the first. */
import type { Syscalls } from '../../../src/abi/index.ts'
import {
  AttachError,
  LoadError,
  load,
  ObjectError,
  openObject,
  RingBufferReader,
} from '../../../src/client/index.ts'
import { type Devices, type Frame, SHOWN_BYTES, verdictOf } from '../scenes/devices.ts'
import { indexOf, makePair } from './device-pair.ts'

const XDP_TX = 3
const TO_DEVICE = 10
const QUIET_MS = 5
const QUIET_TIMES = 3

/** They stay for as long as the process does. */
export function openDevices(syscalls: Syscalls, object: Uint8Array): Devices {
  for (const [one, other] of [
    ['a0', 'a1'],
    ['b0', 'b1'],
  ] as const) {
    const made = makePair('veth', one, other)
    if (made < 0) throw new Error(`veth: ${made}`)
  }
  const [ingress, behindIngress, other, behindOther] = ['a0', 'a1', 'b0', 'b1'].map(indexOf) as [
    number,
    number,
    number,
    number,
  ]
  const spec = openObject(object, { name: 'frames' })
  if (spec instanceof ObjectError) throw spec
  const collection = load(spec, syscalls, { programs: ['arrives', 'passes'], globals: { watched: ingress } })
  if (collection instanceof LoadError) throw collection
  // A device takes part with a program of its own only.
  const places = [ingress, behindIngress, other, behindOther].map(
    (ifindex) => ({ kind: 'xdp', ifindex }) as const,
  )
  const links = [
    ...places.map((place) => collection.program('arrives').attach(place)),
    collection.program('passes').attach(),
  ]
  for (const link of links) if (link instanceof AttachError) throw link
  const opened = RingBufferReader.open(collection.map('arrivals') as never)
  if (!(opened instanceof RingBufferReader)) throw opened
  const reader = opened

  /** What is there when nothing has come for a while. */
  const all = (): readonly Uint8Array[] => {
    const records: Uint8Array[] = []
    for (let quiet = 0; quiet < QUIET_TIMES; quiet++) {
      const more = [...reader.drain()]
      if (more.length > 0) quiet = 0
      records.push(...more)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, QUIET_MS)
    }
    return records
  }

  return {
    ingress,
    other,
    arrived() {
      const passed: Frame[] = []
      const left: Frame[] = []
      for (const record of all()) {
        const words = new DataView(record.buffer, record.byteOffset)
        const device = words.getUint32(0, true)
        const frame = { lengthBytes: words.getUint32(4, true), bytes: record.slice(8, 8 + SHOWN_BYTES) }
        const verdict = verdictOf(frame)
        const meant = verdict === XDP_TX ? behindIngress : verdict === TO_DEVICE ? behindOther : device
        if (device !== 0 && device !== meant) throw new Error(`device ${device} got verdict ${verdict}`)
        ;(device === 0 ? passed : left).push(frame)
      }
      return { passed, left }
    },
  }
}
