/**
 * `bpf_attr`: every command, with attributes that loaders and tools have sent, changed; and what they point to.
 *
 * An input is the command, the size and bytes of the attribute, then changes of the memory: an address and a byte.
 */
import { BPF_CMD, errnoName } from '../../../src/abi/index.ts'
import { commandsThatOpen } from '../../../src/ports/linux/descriptors.ts'
import { mutated } from '../mutate.ts'
import type { Random } from '../random.ts'
import { Flaw, type Seed, type Target } from '../target.ts'
import { World } from '../world.ts'

const HEAD = 8
const CHANGE = 5
const SCRATCH = 8192
/** Member `repeat` of a test run: Linux, too, repeats as often as it is told. */
const REPEAT_AT = 32
const MOST_REPEATS = 100

const NAMES = new Map<number, string>(Object.entries(BPF_CMD).map(([name, cmd]) => [cmd, name]))

export class AttrTarget implements Target {
  readonly name = 'attr'
  readonly runsBetweenSettling = 400
  readonly counts = new Map<string, number>()
  readonly seeds: readonly Seed[]
  readonly #objects: readonly Seed[]
  readonly #donors: readonly Uint8Array[]
  #world: World | undefined
  #scratch = 0n

  constructor(objects: readonly Seed[]) {
    this.#objects = objects
    using world = new World(objects)
    this.seeds = world.calls.map(({ cmd, attr }, i) => ({
      name: `${NAMES.get(cmd)} (call ${i})`,
      bytes: encoded(cmd, attr),
    }))
    this.#donors = this.seeds.map(({ bytes }) => bytes)
  }

  mutate(random: Random, _: Seed, bytes: Uint8Array): Uint8Array {
    const { attr } = decoded(bytes)
    let result = bytes
    if (random.oneIn(2)) {
      const fields = Array.from({ length: attr.length >> 2 }, (_, i) => {
        return { at: HEAD + i * 4, bytes: 4, kind: 'type', limit: 60 } as const
      })
      const more = fields.map((field) => ({ ...field, kind: 'number' as const }))
      const window = { start: 4, end: HEAD + attr.length, fields: [...fields, ...more] }
      result = mutated(random, bytes, window, this.#donors)
    }
    const pointers = pointersIn(attr)
    if (pointers.length > 0 && random.oneIn(2)) {
      for (let i = random.below(4); i >= 0; i--) result = withChange(random, result, random.pick(pointers))
    }
    if (random.oneIn(50) || result === bytes) {
      result = result.slice()
      if (random.oneIn(4)) new DataView(result.buffer).setUint32(0, random.below(45), true)
      else result[4] = random.word()
    }
    return result
  }

  run(bytes: Uint8Array): string {
    const world = this.#open()
    const { cmd, size, attr, changes } = decoded(bytes)
    const { client } = world
    const { memory } = client
    const scratch = memory.view(this.#scratch, SCRATCH)
    scratch.fill(0)
    scratch.set(attr.subarray(0, SCRATCH))
    if (cmd === BPF_CMD.BPF_PROG_TEST_RUN) limitRepeats(scratch)
    const before = changes.map(({ address, value }) => changed(memory, address, value))
    const result = client.bpf(cmd, this.#scratch, size)
    for (const [i, old] of before.entries()) {
      if (old !== undefined) changed(memory, (changes[i] as Change).address, old)
    }
    if (!Number.isInteger(result) || result < -4095) throw new Flaw(`bpf(${cmd}) returned ${result}`)
    if (result >= world.firstFreeFd && commandsThatOpen.has(cmd) && client.close(result) !== 0) {
      throw new Flaw(`${NAMES.get(cmd)} returned ${result}, which is no descriptor`)
    }
    if (result % 8 === 0) world.port.call('add_two', 1n)
    const name = NAMES.get(cmd) ?? 'no command'
    return result < 0 ? `${name}: ${errnoName(result)}` : `accepted: ${name}`
  }

  settle(): void {
    const world = this.#world
    this.#world = undefined
    world?.[Symbol.dispose]()
  }

  #open(): World {
    if (this.#world === undefined) {
      this.#world = new World(this.#objects)
      this.#scratch = this.#world.client.memory.allocate(SCRATCH)
    }
    return this.#world
  }
}

interface Change {
  readonly address: bigint
  readonly value: number
}

function encoded(cmd: number, attr: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEAD + attr.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, cmd, true)
  view.setUint16(4, attr.length, true)
  view.setUint16(6, attr.length, true)
  bytes.set(attr, HEAD)
  return bytes
}

/** `size` is what the caller says of the attribute's size, which need not be so. */
function decoded(bytes: Uint8Array) {
  const padded = bytes.length >= HEAD ? bytes : new Uint8Array(HEAD)
  const view = new DataView(padded.buffer, padded.byteOffset, padded.byteLength)
  const end = Math.min(HEAD + view.getUint16(6, true), padded.length)
  const changes: Change[] = []
  for (let at = end; at + CHANGE <= padded.length; at += CHANGE) {
    changes.push({ address: BigInt(view.getUint32(at, true)), value: view.getUint8(at + 4) })
  }
  return {
    cmd: view.getUint32(0, true),
    size: view.getUint16(4, true),
    attr: padded.subarray(HEAD, end),
    changes,
  }
}

/** What may be an address of the caller's memory. */
function pointersIn(attr: Uint8Array): number[] {
  const view = new DataView(attr.buffer, attr.byteOffset, attr.byteLength)
  const found: number[] = []
  for (let at = 0; at + 8 <= attr.length; at += 8) {
    const low = view.getUint32(at, true)
    if (view.getUint32(at + 4, true) === 0 && low >= 0x1_0000) found.push(low)
  }
  return found
}

function withChange(random: Random, bytes: Uint8Array, pointer: number): Uint8Array {
  const result = new Uint8Array(bytes.length + CHANGE)
  result.set(bytes)
  const reach = random.pick([8, 32, 256, 2048])
  const view = new DataView(result.buffer)
  view.setUint32(bytes.length, pointer + random.below(reach), true)
  view.setUint8(
    bytes.length + 4,
    random.oneIn(2) ? random.pick([0, 1, 2, 4, 0x7f, 0x80, 0xff]) : random.word(),
  )
  return result
}

/** Writes a byte and returns the one before; undefined where there is no memory of the caller's. */
function changed(memory: { view(at: bigint, size: number): Uint8Array }, address: bigint, value: number) {
  try {
    const view = memory.view(address, 1)
    const old = view[0] as number
    view[0] = value
    return old
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

function limitRepeats(attr: Uint8Array): void {
  const view = new DataView(attr.buffer, attr.byteOffset)
  if (view.getUint32(REPEAT_AT, true) > MOST_REPEATS) view.setUint32(REPEAT_AT, MOST_REPEATS, true)
}
