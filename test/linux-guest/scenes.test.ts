/** The same objects on a Linux of its own and on both engines of this project's kernel, and what becomes of them. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createKernel } from '../../src/kernel/index.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { compileFile, compileObject } from '../linux/compile.ts'
import { runGuest, whyNoGuest } from './guest.ts'
import { type Arrived, type Devices, type Frame, SHOWN_BYTES } from './scenes/devices.ts'
import { sceneObjects, scenes, scenesSince, sharedObjects, type Told } from './scenes/index.ts'

const compiled = [
  ...sceneObjects.map(
    (name) => [name, compileFile(join(import.meta.dirname, 'programs', `${name}.bpf.c`))] as const,
  ),
  ...sharedObjects.map((name) => [name, compileObject(name)] as const),
]
const notCompiled = compiled.map(([, object]) => object).find((object) => typeof object === 'string')
const objects = new Map(
  compiled.flatMap(([name, object]) => (typeof object === 'string' ? [] : [[name, object]])),
)
const why = notCompiled ?? whyNoGuest()

/** The one device is the loopback device, and its other end and the network stack are here. */
class PortWithNetwork extends TinyPort implements Devices {
  readonly ingress = 1
  readonly other = 1
  #arrived: { passed: Frame[]; left: Frame[] } = { passed: [], left: [] }

  receiveFrame(frame: Uint8Array, way: 'pass' | 'transmit'): void {
    const { passed, left } = this.#arrived
    const shown = { lengthBytes: frame.length, bytes: frame.slice(0, SHOWN_BYTES) }
    if (way === 'pass') passed.push(shown)
    else left.push(shown)
  }

  arrived(): Arrived {
    const arrived = this.#arrived
    this.#arrived = { passed: [], left: [] }
    return arrived
  }
}

function here(engine: 'jit' | 'interpreter', name: string): Told {
  const devices = new PortWithNetwork({ cpuCount: 1 })
  using kernel = createKernel({ port: devices, engine })
  using client = kernel.openClient()
  const scene = scenes[name] as NonNullable<(typeof scenes)[string]>
  const told = scene({ syscalls: client, objects, devices })
  expect(kernel.faults()).toEqual([])
  return told
}

describe.skipIf(notCompiled !== undefined)('both engines', () => {
  test.each(Object.keys(scenes))('%s', (name) => {
    expect(here('interpreter', name)).toEqual(here('jit', name))
  })
})

describe.skipIf(why !== undefined)(`a Linux of its own${why ? ` (skipped: ${why})` : ''}`, () => {
  const files = [...objects].map(([name, object]) => [`objects/${name}.bpf.o`, object] as const)
  const text = why === undefined ? runGuest('scenes', new Map(files)) : ''
  const theirs = new Map(
    [...text.matchAll(/^SCENE (\{.*\})\r?$/gm)].map(([, json]) => {
      const { name, told } = JSON.parse(json as string) as { name: string; told: Told }
      return [name, told] as const
    }),
  )

  test('all scenes were there', () => {
    expect([...theirs.keys()], text.slice(-4000)).toEqual(Object.keys(scenes))
  })

  const [, major, minor] = /^LINUX (\d+)\.(\d+)/m.exec(text) ?? []
  const linux = Number(major) * 1000 + Number(minor)

  for (const name of Object.keys(scenes)) {
    const isPlayed = linux >= (scenesSince[name] ?? 0)
    test.skipIf(!isPlayed)(`${name}${isPlayed ? '' : ` (skipped: Linux ${major}.${minor} does not)`}`, () => {
      expect(here('jit', name)).toEqual(theirs.get(name))
    })
  }
})
