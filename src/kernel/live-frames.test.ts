/** What live frames do that no test may do on a real Linux: they pass, and they leave. */
import { expect, test } from 'vitest'
import {
  BPF_ATTACH_TYPE,
  BPF_F_TEST_XDP_LIVE_FRAMES,
  BPF_MAP_TYPE,
  BPF_PROG_TYPE,
  EFAULT,
  EINVAL,
  ENOMEM,
  progTestRunAttr,
  type StructValue,
} from '../abi/index.ts'
import { createKernel } from './kernel.ts'
import { Caller, u32 } from './testing/caller.ts'
import { TinyPort } from './testing/tiny-port.ts'
import type { KernelOptions } from './types.ts'

const { BPF_PROG_TYPE_XDP } = BPF_PROG_TYPE
const { BPF_MAP_TYPE_CPUMAP, BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_DEVMAP_HASH } = BPF_MAP_TYPE
const { BPF_XDP_CPUMAP, BPF_XDP_DEVMAP } = BPF_ATTACH_TYPE

class Network extends TinyPort {
  /** `pass` or `transmit`, and the first bytes of the frame. */
  readonly received: string[] = []

  receiveFrame(frame: Uint8Array, way: 'pass' | 'transmit'): void {
    this.received.push(`${way} ${frame.length} ${frame.subarray(0, 2).join(' ')}`)
  }

  get counts(): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const line of this.received) counts[line] = (counts[line] ?? 0) + 1
    return counts
  }
}

/** Writes a number to the first byte of the frame. */
const marks = (mark: number, verdict: string) => `
  r2 = *(u32 *)(r1 +0)
  r3 = *(u32 *)(r1 +4)
  r4 = r2
  r4 += 14
  r0 = 0
  if r4 <= r3 goto +1
  exit
  *(u8 *)(r2 +0) = ${mark}
  ${verdict}
  exit`

const redirects = (map: number, key: number, flags = 0) => `
  r1 = map[fd:${map}]
  r2 = ${key}
  r3 = ${flags}
  call bpf_redirect_map
  exit`

class Scene implements Disposable {
  readonly port: Network | TinyPort
  readonly kernel
  readonly #client
  readonly caller: Caller
  #isWarm = false

  constructor(
    engine: 'jit' | 'interpreter',
    port: Network | TinyPort = new Network({ cpuCount: 4 }),
    options: Partial<KernelOptions> = {},
  ) {
    this.port = port
    this.kernel = createKernel({ port, engine, ...options })
    this.#client = this.kernel.openClient()
    this.caller = new Caller(this.#client)
    // Engines keep the stack of their first run.
    this.run(this.load('r0 = 1\nexit'), 1, { flags: 0 })
  }

  load(source: string, expected_attach_type = 0): number {
    const fd = this.caller.load(source, { prog_type: BPF_PROG_TYPE_XDP, expected_attach_type })
    expect(fd).toBeGreaterThan(0)
    return fd
  }

  map(type: number): number {
    return this.caller.createMap({ map_type: type, key_size: 4, value_size: 8, max_entries: 4 })
  }

  /** `first`: a device, or the length of a CPU's queue. */
  set(map: number, key: number, first: number, program = 0): void {
    const value = new Uint8Array(Int32Array.of(first, program).buffer)
    expect(this.caller.update(map, u32(key), value)).toBe(0)
  }

  run(program: number, repeat: number, attr: Partial<StructValue<typeof progTestRunAttr>> = {}): number {
    const bytes = progTestRunAttr.encode({
      prog_fd: program,
      repeat,
      data_in: this.caller.put(Uint8Array.from({ length: 64 }, (_, i) => i)),
      data_size_in: 64,
      flags: BPF_F_TEST_XDP_LIVE_FRAMES,
      ...attr,
    })
    const before = this.kernel.stats().arenaBytesInUse
    const result = this.caller.bpf('BPF_PROG_TEST_RUN', bytes)
    if (this.#isWarm) expect(this.kernel.stats().arenaBytesInUse - before).toBeLessThan(1024)
    this.#isWarm = true
    return result
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]()
    this.kernel[Symbol.dispose]()
  }
}

const received = ({ port }: Scene) => (port as Network).counts

test.each(['jit', 'interpreter'] as const)('%s: what passes goes to the network stack', (engine) => {
  using scene = new Scene(engine)
  expect(scene.run(scene.load(marks(9, 'r0 = 2')), 70, { batch_size: 3 })).toBe(0)
  expect(received(scene)).toEqual({ 'pass 64 9 1': 70 })
})

test.each(['jit', 'interpreter'] as const)('%s: what is sent back leaves by the device', (engine) => {
  using scene = new Scene(engine)
  expect(scene.run(scene.load(marks(8, 'r0 = 3')), 70)).toBe(0)
  const device = (index: number) => scene.load(`r1 = ${index}\nr2 = 0\ncall bpf_redirect\nexit`)
  expect(scene.run(device(1), 5)).toBe(0)
  expect(scene.run(device(2), 5)).toBe(0)
  expect(received(scene)).toEqual({ 'transmit 64 8 1': 70, 'transmit 64 0 1': 5 })
})

test.each(['jit', 'interpreter'] as const)('%s: what is sent comes back when the batch is over', (engine) => {
  using scene = new Scene(engine)
  // A page that it knows is dropped.
  const source = `
    r2 = *(u32 *)(r1 +0)
    r3 = *(u32 *)(r1 +4)
    r4 = r2
    r4 += 14
    r0 = 0
    if r4 > r3 goto +5
    r3 = *(u8 *)(r2 +0)
    r0 = 1
    if r3 == 9 goto +2
    *(u8 *)(r2 +0) = 9
    r0 = 3
    exit`
  expect(scene.run(scene.load(source), 100, { batch_size: 100 })).toBe(0)
  expect(received(scene)).toEqual({ 'transmit 64 9 1': 100 })
  expect(scene.run(scene.load(source), 200, { batch_size: 10 })).toBe(0)
  // New pages come 64 at a time.
  expect(received(scene)).toEqual({ 'transmit 64 9 1': 164 })
})

test.each(['jit', 'interpreter'] as const)('%s: a port without a network takes nothing', (engine) => {
  using scene = new Scene(engine, new TinyPort())
  for (const verdict of [2, 3]) expect(scene.run(scene.load(`r0 = ${verdict}\nexit`), 70)).toBe(0)
})

test.each([
  ['jit', BPF_MAP_TYPE_DEVMAP],
  ['interpreter', BPF_MAP_TYPE_DEVMAP],
  ['jit', BPF_MAP_TYPE_DEVMAP_HASH],
  ['interpreter', BPF_MAP_TYPE_DEVMAP_HASH],
] as const)("%s: the program of a device's entry, map %i", (engine, type) => {
  using scene = new Scene(engine)
  const map = scene.map(type)
  // Passes what is to leave by the device that it came from.
  const verdict = 'r0 = *(u32 *)(r1 +20)\nr2 = *(u32 *)(r1 +12)\nr0 += r2'
  scene.set(map, 0, 1, scene.load(marks(7, verdict), BPF_XDP_DEVMAP))
  scene.set(map, 1, 1, scene.load(marks(6, 'r0 = 1'), BPF_XDP_DEVMAP))
  scene.set(map, 2, 1)
  for (const key of [0, 1, 2, 3]) expect(scene.run(scene.load(redirects(map, key)), 40)).toBe(0)
  expect(received(scene)).toEqual({ 'transmit 64 7 1': 40, 'transmit 64 0 1': 40 })
})

test.each(['jit', 'interpreter'] as const)('%s: all devices of a map get a copy', (engine) => {
  using scene = new Scene(engine)
  const map = scene.map(BPF_MAP_TYPE_DEVMAP)
  scene.set(map, 0, 1, scene.load(marks(7, 'r0 = 2'), BPF_XDP_DEVMAP))
  scene.set(map, 2, 1)
  expect(scene.run(scene.load(redirects(map, 3, 8)), 40)).toBe(0)
  expect(received(scene)).toEqual({ 'transmit 64 7 1': 40, 'transmit 64 0 1': 40 })
  // Not the one that the frame came from, and there is no other.
  expect(scene.run(scene.load(redirects(map, 3, 8 | 16)), 40)).toBe(0)
  expect(received(scene)).toEqual({ 'transmit 64 7 1': 40, 'transmit 64 0 1': 40 })
})

test.each(['jit', 'interpreter'] as const)('%s: what passes on a CPU goes to the network stack', (engine) => {
  using scene = new Scene(engine)
  const map = scene.map(BPF_MAP_TYPE_CPUMAP)
  const whichCpu = 'r6 = r2\ncall bpf_get_smp_processor_id\n*(u8 *)(r6 +1) = r0\nr0 = 2'
  scene.set(map, 3, 100, scene.load(marks(5, whichCpu), BPF_XDP_CPUMAP))
  scene.set(map, 1, 100)
  for (const key of [3, 1]) expect(scene.run(scene.load(redirects(map, key)), 100)).toBe(0)
  expect(received(scene)).toEqual({ 'pass 64 5 3': 100, 'pass 64 0 1': 100 })
})

test.each(['jit', 'interpreter'] as const)('%s: a queue holds what it is as long for', (engine) => {
  using scene = new Scene(engine)
  const map = scene.map(BPF_MAP_TYPE_CPUMAP)
  scene.set(map, 1, 10)
  expect(scene.run(scene.load(redirects(map, 1)), 100, { batch_size: 25 })).toBe(0)
  expect(received(scene)).toEqual({ 'pass 64 0 1': 40 })
})

test.each(['jit', 'interpreter'] as const)('%s: a frame goes from CPU to CPU, not for ever', (engine) => {
  using scene = new Scene(engine)
  const [map, devices] = [scene.map(BPF_MAP_TYPE_CPUMAP), scene.map(BPF_MAP_TYPE_DEVMAP)]
  scene.set(devices, 0, 1, scene.load(marks(4, 'r0 = 2'), BPF_XDP_DEVMAP))
  scene.set(map, 0, 100)
  scene.set(map, 1, 100, scene.load(redirects(map, 0), BPF_XDP_CPUMAP))
  scene.set(map, 2, 100, scene.load(redirects(devices, 0), BPF_XDP_CPUMAP))
  scene.set(map, 3, 100, scene.load(redirects(map, 3), BPF_XDP_CPUMAP))
  for (const key of [1, 2, 3]) expect(scene.run(scene.load(redirects(map, key)), 30)).toBe(0)
  expect(received(scene)).toEqual({ 'pass 64 0 1': 30, 'transmit 64 4 1': 30 })
})

test.each(['jit', 'interpreter'] as const)('%s: nothing is left of a run that fails', (engine) => {
  const port = new Network()
  using scene = new Scene(engine, port, { instructionBudget: 1000, arenaBytes: 10 << 16 })
  const loops = 'r0 = 0\nr0 += 1\nif r0 < 5000 goto -2\nr0 = 2\nexit'
  // Compiled code of a proved program is not counted.
  if (engine === 'interpreter') expect(scene.run(scene.load(loops), 70)).toBe(-EFAULT)
  // A batch needs a page for each of its frames.
  expect(scene.run(scene.load('r0 = 2\nexit'), 256, { batch_size: 256 })).toBe(-ENOMEM)
  expect(port.received).toEqual([])
  expect(scene.run(scene.load('r0 = 2\nexit'), 256)).toBe(0)
  expect(port.counts).toEqual({ 'pass 64 0 1': 256 })
})

test('the loop of a test run has an end', () => {
  using scene = new Scene('jit')
  expect(scene.run(scene.load('r0 = 1\nexit'), 2 ** 20 + 1)).toBe(-EINVAL)
})
