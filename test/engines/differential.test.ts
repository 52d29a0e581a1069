/**
 * Random programs on every engine: the same result or fault, the same context and the same maps afterwards.
 *
 * `SEED=n PROGRAMS=m npx vitest run test/engines/differential.test.ts` runs others, or more; a difference is shrunken,
 * and printed with its seed and as assembly.
 */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BPF_F_NO_PREALLOC, BPF_F_ZERO_SEED, BPF_MAP_TYPE } from '../../src/abi/index.ts'
import { type HelperEnvironment, helperBodies } from '../../src/helpers/index.ts'
import { disassemble, type Instruction } from '../../src/isa/index.ts'
import { type BpfMap, createMap, RingBuffer } from '../../src/maps/index.ts'
import { Arena, Grace } from '../../src/memory/index.ts'
import { type EngineName, engine, type Helper, type Ready } from './engines.ts'
import { CONTEXT_BYTES, write } from './program-writer.ts'
import { type RandomPrograms, randomPrograms } from './random-program.ts'

const T = BPF_MAP_TYPE
const shapes = [
  { type: T.BPF_MAP_TYPE_HASH, keySize: 8, maxEntries: 16, flags: 0 },
  { type: T.BPF_MAP_TYPE_HASH, keySize: 4, maxEntries: 4, flags: 0 },
  { type: T.BPF_MAP_TYPE_HASH, keySize: 11, maxEntries: 3, flags: BPF_F_NO_PREALLOC },
  { type: T.BPF_MAP_TYPE_HASH, keySize: 16, maxEntries: 8, flags: BPF_F_ZERO_SEED },
  { type: T.BPF_MAP_TYPE_PERCPU_HASH, keySize: 4, maxEntries: 4, flags: 0 },
  { type: T.BPF_MAP_TYPE_ARRAY, keySize: 4, maxEntries: 6, flags: 0 },
  { type: T.BPF_MAP_TYPE_PERCPU_ARRAY, keySize: 4, maxEntries: 6, flags: 0 },
  { type: T.BPF_MAP_TYPE_LRU_HASH, keySize: 8, maxEntries: 4, flags: 0 },
  { type: T.BPF_MAP_TYPE_LRU_PERCPU_HASH, keySize: 4, maxEntries: 4, flags: 0 },
  { type: T.BPF_MAP_TYPE_RINGBUF, keySize: 0, maxEntries: 4096, flags: 0 },
] as const
const BUDGET = 2_000_000
const PACKET = Uint8Array.from({ length: 16 }, (_, n) => n * 17)

function sequence(start: number): () => number {
  let state = start
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state
  }
}

interface Seen {
  readonly result: string
  readonly context: string
  readonly maps: readonly string[]
  /** Whether the budget or the frames were used up. */
  readonly isTooLong: boolean
}

/** Runs the first program twice in a world of its own: the second run finds what the first left in the maps. */
function runOn(name: EngineName, { programs }: RandomPrograms): Seen {
  const arena = new Arena()
  const grace = new Grace()
  const host = { arena, grace, cpuCount: 2, random: sequence(7) }
  const maps = shapes.map((shape) => {
    const map = createMap(host, { ...shape, valueSize: shape.keySize === 0 ? 0 : 8, name: 'fuzz' })
    if (typeof map === 'number') throw new Error(`errno ${-map}`)
    return map
  })
  let wakeups = 0
  for (const map of maps) if (map instanceof RingBuffer) map.onWakeup = () => wakeups++
  const byAddress = new Map<bigint, BpfMap>(maps.map((map) => [map.address, map]))
  const random = sequence(11)
  let time = 0n
  const environment = {
    arena,
    cpu: 0,
    context: 0n,
    mapAt: (address: bigint) => byAddress.get(address),
    monotonicNs: () => ++time,
    bootNs: () => ++time,
    task: () => ({ pid: 5, tgid: 6, uid: 7, gid: 8, comm: 'fuzz' }),
    random,
    readKernel: () => -14,
    readUser: () => -14,
    tracePrint: () => {},
    callback: (): bigint | undefined => undefined,
    probedAddress: () => 0n,
    attachCookie: () => 0n,
  } as unknown as HelperEnvironment & { callback: unknown }
  const helpers = new Map<number, Helper>()
  for (const [id, body] of helperBodies) {
    helpers.set(id, (r1, r2, r3, r4, r5, context) => {
      environment.callback = (address: bigint, a: bigint, b: bigint, c: bigint, d: bigint) =>
        context.callback(address, a, b, c, d)
      return body(environment as HelperEnvironment, r1, r2, r3, r4, r5) as bigint
    })
  }
  const ready: Ready[] = []
  // The index is all that is looked at.
  helpers.set(12, (_r1, _r2, index) => {
    const tailCall = ready[Number(BigInt.asUintN(32, index))]
    return tailCall === undefined ? -2n : { tailCall }
  })
  const under = engine(name, arena, {
    helper: (id) => helpers.get(id),
    mapAt: (address) => byAddress.get(address),
    packet: (_context, offset, sizeBytes) =>
      offset < 0 || offset + sizeBytes > PACKET.length
        ? undefined
        : PACKET.slice(offset, offset + sizeBytes).reduce((value, byte) => value * 256 + byte, 0),
  })
  const named = maps.map(({ address, definition }) => ({ address, keySize: definition.keySize }))
  for (const program of programs) ready.push(under.prepare(write(program, named)))
  const context = arena.allocate(CONTEXT_BYTES) as number
  for (let at = 0; at < CONTEXT_BYTES; at++) arena.bytes[context + at] = at * 37
  const results: string[] = []
  let isTooLong = false
  for (let run = 0; run < 2; run++) {
    grace.enter()
    const outcome = under.run(ready[0] as Ready, arena.address(context), { budget: BUDGET })
    grace.leave()
    isTooLong ||= !outcome.ok && (outcome.fault.kind === 'budget' || outcome.fault.kind === 'call-depth')
    results.push(outcome.ok ? `0x${outcome.value.toString(16)}` : outcome.message)
  }
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  return {
    result: results.join(', '),
    context: hex(arena.bytes.slice(context, context + CONTEXT_BYTES)),
    maps: maps.map((map) => {
      if (map instanceof RingBuffer) {
        // The reader takes nothing: the ring fills up, and what has no room is counted.
        const { offset, sizeBytes } = map.regions.producerAndData
        const digest = createHash('sha256')
          .update(arena.bytes.slice(offset, offset + sizeBytes))
          .digest('hex')
        return `${map.availableBytes} ${map.dropped} ${wakeups} ${digest}`
      }
      const entries: string[] = []
      for (let key = map.nextKey(undefined); typeof key !== 'number'; key = map.nextKey(key)) {
        entries.push(`${hex(key)}=${hex(map.read(key, 0n) as Uint8Array)}`)
      }
      return entries.join(' ')
    }),
    isTooLong,
  }
}

describe('random programs', () => {
  it('do the same on every engine', () => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
    const numRuns = Number(process.env.PROGRAMS ?? 150)
    let instructions = 0
    let tooLong = 0
    const named = shapes.map(({ keySize }, n) => ({ address: BigInt(n), keySize }))
    fc.assert(
      fc.property(randomPrograms, (programs) => {
        const texts: Instruction[][] = programs.programs.map((program) => write(program, named))
        for (const text of texts) instructions += text.length
        const wanted = runOn('interpreter', programs)
        // The compiler counts budgets in coarser steps, and frames only where nothing is proved.
        if (wanted.isTooLong) {
          tooLong++
          return
        }
        // Proved and unproved programs may call each other.
        const mixed = texts.length > 1 ? (['mixed jit'] as const) : []
        for (const name of ['jit', 'proved jit', ...mixed] as const) {
          const listing = texts.map((text) => disassemble(text)).join('\n\n')
          expect(runOn(name, programs), `${name}:\n${listing}`).toEqual(wanted)
        }
      }),
      { seed, numRuns, endOnFailure: false },
    )
    console.log(`seed ${seed}: ${numRuns} programs, ${instructions} instructions, ${tooLong} too long to run`)
  })
})
