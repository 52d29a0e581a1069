/**
 * Nanoseconds per map operation, program side and user side, each beside a plain JavaScript Map that holds the
 * same number of entries in the same run (keys are numbers, values typed arrays).
 */
import { BPF_MAP_TYPE, BPF_RB_NO_WAKEUP, PAGE_SIZE } from '../src/abi/index.ts'
import { type HelperEnvironment, helperBodies, helperByName } from '../src/helpers/index.ts'
import { type BpfMap, createMap, type MapDefinition, type RingBuffer } from '../src/maps/index.ts'
import { Arena, Grace } from '../src/memory/index.ts'

const ENTRIES = 10_000
const arena = new Arena()
const grace = new Grace()
let state = 1
const random = () => {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
  return state
}
const host = { arena, grace, cpuCount: 4, random }
const T = BPF_MAP_TYPE

/** Best of five rounds, after one to warm up. */
function nsPerCall(count: number, call: (index: number) => unknown): number {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 6; round++) {
    const start = process.hrtime.bigint()
    for (let index = 0; index < count; index++) call(index)
    const each = Number(process.hrtime.bigint() - start) / count
    if (round > 0) best = Math.min(best, each)
  }
  return best
}

function make(type: number, definition: Partial<MapDefinition> = {}): BpfMap {
  const map = createMap(host, {
    type,
    keySize: 8,
    valueSize: 16,
    maxEntries: ENTRIES,
    flags: 0,
    name: 'bench',
    ...definition,
  })
  if (typeof map === 'number') throw new Error(`${map}`)
  return map
}

const key = arena.allocate(8) as number
const value = arena.allocate(16) as number
/** The offset of the key, with the key in it. */
const keyFor = (index: number) => {
  arena.words[key >>> 2] = index % ENTRIES
  return key
}

const peer = new Map<number, Uint32Array>()
for (let index = 0; index < ENTRIES; index++) peer.set(index, new Uint32Array(4))
const peerLookup = nsPerCall(1_000_000, (index) => peer.get(index % ENTRIES))
const peerUpdate = nsPerCall(1_000_000, (index) => peer.set(index % ENTRIES, new Uint32Array(4)))
const peerReplace = nsPerCall(500_000, (index) => {
  peer.delete(index % ENTRIES)
  peer.set(index % ENTRIES, new Uint32Array(4))
})

function report(name: string, ns: number, than?: number): void {
  const ratio = than === undefined ? '' : `${(ns / than).toFixed(1)} x a JavaScript Map`
  console.log(`${name.padEnd(44)}${ns.toFixed(1).padStart(8)} ns  ${ratio}`)
}

for (const [name, type, definition] of [
  ['hash', T.BPF_MAP_TYPE_HASH, {}],
  ['percpu_hash', T.BPF_MAP_TYPE_PERCPU_HASH, {}],
  ['lru_hash', T.BPF_MAP_TYPE_LRU_HASH, {}],
  ['array', T.BPF_MAP_TYPE_ARRAY, { keySize: 4 }],
  ['percpu_array', T.BPF_MAP_TYPE_PERCPU_ARRAY, { keySize: 4 }],
] as const) {
  const map = make(type, definition)
  for (let index = 0; index < ENTRIES; index++) {
    map.update(keyFor(index), value, 0n, 0)
  }
  report(
    `${name}: look up`,
    nsPerCall(1_000_000, (index) => map.lookup(keyFor(index), 1)),
    peerLookup,
  )
  report(
    `${name}: update`,
    nsPerCall(1_000_000, (index) => map.update(keyFor(index), value, 0n, 1)),
    peerUpdate,
  )
  if (type !== T.BPF_MAP_TYPE_ARRAY && type !== T.BPF_MAP_TYPE_PERCPU_ARRAY) {
    const replace = (index: number) => {
      map.delete(keyFor(index))
      map.update(key, value, 0n, 1)
    }
    report(`${name}: delete and insert`, nsPerCall(500_000, replace), peerReplace)
  }
  if (name === 'hash') {
    const bytes = new Uint8Array(8)
    const userRead = (index: number) => {
      bytes[0] = index
      bytes[1] = (index >> 8) & 15
      return map.read(bytes, 0n)
    }
    report('hash: look up by user space, copying', nsPerCall(500_000, userRead), peerLookup)
    const environment = { arena, cpu: 0, mapAt: () => map } as unknown as HelperEnvironment
    const lookup = helperBodies.get(helperByName('bpf_map_lookup_elem')?.id as number)
    const [mapAddress, keyAddress] = [map.address, arena.address(key)]
    const helper = (index: number) =>
      lookup?.(environment, mapAddress, keyAddress + BigInt(keyFor(index) - key), 0n, 0n, 0n)
    report('hash: look up through the helper (BigInt)', nsPerCall(500_000, helper), peerLookup)
  }
  map[Symbol.dispose]()
}

const ring = make(T.BPF_MAP_TYPE_RINGBUF, {
  keySize: 0,
  valueSize: 0,
  maxEntries: 64 * PAGE_SIZE,
}) as RingBuffer
const { consumer, producerAndData } = ring.regions
report(
  'ringbuf: reserve and submit 64 bytes',
  nsPerCall(500_000, () => {
    const record = ring.reserve(64, 0n)
    ring.submit(record, BPF_RB_NO_WAKEUP)
    arena.bytes.copyWithin(consumer.offset, producerAndData.offset, producerAndData.offset + 8)
  }),
)
const address = arena.address(value)
report(
  'arena: check of 8 bytes',
  nsPerCall(2_000_000, () => arena.check(address, 8, true)),
)
report(
  'arena: allocate and free 64 bytes',
  nsPerCall(500_000, () => arena.free(arena.allocate(64) as number)),
)
