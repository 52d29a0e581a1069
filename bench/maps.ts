/**
 * Nanoseconds per map operation, program side and user side, each beside a plain JavaScript Map that holds the
 * same number of entries in the same run (keys are numbers, values typed arrays).
 */
import { BPF_F_NO_PREALLOC, BPF_MAP_TYPE, BPF_RB_NO_WAKEUP, PAGE_SIZE } from '../src/abi/index.ts'
import { type HelperEnvironment, helperBodies, helperByName } from '../src/helpers/index.ts'
import {
  type BpfMap,
  createMap,
  type KeylessMap,
  lookupBatch,
  type MapDefinition,
  type RingBuffer,
  type StackTraceMap,
} from '../src/maps/index.ts'
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

const trie = make(T.BPF_MAP_TYPE_LPM_TRIE, { flags: BPF_F_NO_PREALLOC })
/** Prefixes of 16 to 32 bits over addresses that have nothing in common. */
const prefixFor = (index: number) => {
  arena.words[key >>> 2] = 16 + (index % 17)
  arena.words[(key >>> 2) + 1] = Math.imul(index % ENTRIES, 0x9e37_79b1)
  return key
}
for (let index = 0; index < ENTRIES; index++) trie.update(prefixFor(index), value, 0n, 0)
report(
  'lpm_trie: look up',
  nsPerCall(500_000, (index) => trie.lookup(prefixFor(index), 0)),
)
report(
  'lpm_trie: update',
  nsPerCall(300_000, (index) => trie.update(prefixFor(index), value, 0n, 0)),
)
trie[Symbol.dispose]()

for (const [name, type] of [
  ['queue', T.BPF_MAP_TYPE_QUEUE],
  ['stack', T.BPF_MAP_TYPE_STACK],
] as const) {
  const queue = make(type, { keySize: 0 }) as KeylessMap
  const pushAndPop = () => {
    queue.push(value, 0n)
    queue.pop(value)
  }
  report(`${name}: push and pop 16 bytes`, nsPerCall(500_000, pushAndPop))
  queue[Symbol.dispose]()
}

const filter = make(T.BPF_MAP_TYPE_BLOOM_FILTER, { keySize: 0, valueSize: 8 }) as KeylessMap
report(
  'bloom_filter: push 8 bytes, 5 hashes',
  nsPerCall(300_000, (index) => filter.push(keyFor(index), 0n)),
)
report(
  'bloom_filter: peek',
  nsPerCall(300_000, (index) => filter.peekInto(keyFor(index))),
)
filter[Symbol.dispose]()

const stacks = make(T.BPF_MAP_TYPE_STACK_TRACE, { keySize: 4, valueSize: 1016 }) as StackTraceMap
const frames = Array.from({ length: 20 }, (_, index) => 0xffff_ffff_8000_0000n + BigInt(index))
const options = { comparesHashOnly: false, replaces: false }
report(
  'stack_trace: number of a known stack of 20',
  nsPerCall(200_000, () => stacks.idOf(frames, options)),
)
stacks[Symbol.dispose]()

const batched = make(T.BPF_MAP_TYPE_HASH)
for (let index = 0; index < ENTRIES; index++) batched.update(keyFor(index), value, 0n, 0)
report(
  'hash: an element of a batch of 10,000, copied',
  nsPerCall(20, () => lookupBatch(batched, undefined, ENTRIES, false)) / ENTRIES,
)
const nextAndRead = () => {
  for (let at = batched.nextKey(undefined); typeof at !== 'number'; at = batched.nextKey(at))
    batched.read(at, 0n)
}
report('hash: an element by next key and look up', nsPerCall(20, nextAndRead) / ENTRIES)
batched[Symbol.dispose]()

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
