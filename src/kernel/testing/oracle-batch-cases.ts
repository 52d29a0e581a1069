/** Calls that linux-oracle.test.ts makes of both kernels: batches, maps of maps, and the less common map types. */
import * as abi from '../../abi/index.ts'
import { mapBatchAttr, mapCreateAttr, mapElemAttr, mapNextKeyAttr } from '../../abi/index.ts'
import { u32, u64 } from './caller.ts'
import {
  array,
  createMap,
  define,
  element,
  hash,
  loadProgram,
  type OracleCase,
  ring,
  TRIVIAL,
} from './oracle.ts'
import type { BufferRef, ResultRef, Script } from './script.ts'

const T = abi.BPF_MAP_TYPE
const { PROT_READ, PROT_WRITE, MAP_SHARED } = abi
const BOTH = PROT_READ | PROT_WRITE
type MapAttr = Parameters<typeof createMap>[1]
type BatchCommand =
  | 'BPF_MAP_LOOKUP_BATCH'
  | 'BPF_MAP_LOOKUP_AND_DELETE_BATCH'
  | 'BPF_MAP_UPDATE_BATCH'
  | 'BPF_MAP_DELETE_BATCH'

const COMMANDS: readonly BatchCommand[] = [
  'BPF_MAP_LOOKUP_BATCH',
  'BPF_MAP_LOOKUP_AND_DELETE_BATCH',
  'BPF_MAP_UPDATE_BATCH',
  'BPF_MAP_DELETE_BATCH',
]

/** With a zero seed both kernels keep keys in the same buckets. */
const ordered: MapAttr = { ...hash, map_flags: abi.BPF_F_ZERO_SEED, max_entries: 8 }
const queue: MapAttr = { map_type: T.BPF_MAP_TYPE_QUEUE, value_size: 8, max_entries: 2 }
const bloom: MapAttr = { map_type: T.BPF_MAP_TYPE_BLOOM_FILTER, value_size: 4, max_entries: 8 }
const trie: MapAttr = {
  map_type: T.BPF_MAP_TYPE_LPM_TRIE,
  key_size: 8,
  value_size: 4,
  max_entries: 4,
  map_flags: abi.BPF_F_NO_PREALLOC,
}
const mapsInArray: MapAttr = { ...array, map_type: T.BPF_MAP_TYPE_ARRAY_OF_MAPS, value_size: 4 }
const mapsInHash: MapAttr = { ...ordered, map_type: T.BPF_MAP_TYPE_HASH_OF_MAPS, value_size: 4 }

const others: readonly [string, MapAttr][] = [
  ['hash', ordered],
  ['per-CPU hash', { ...ordered, map_type: T.BPF_MAP_TYPE_PERCPU_HASH }],
  ['LRU hash', { ...ordered, map_type: T.BPF_MAP_TYPE_LRU_HASH }],
  ['array', array],
  ['per-CPU array', { ...array, map_type: T.BPF_MAP_TYPE_PERCPU_ARRAY }],
  ['trie', trie],
  ['queue', queue],
  ['stack', { ...queue, map_type: T.BPF_MAP_TYPE_STACK }],
  ['bloom filter', bloom],
  ['ring buffer', ring],
  ['user ring buffer', { ...ring, map_type: T.BPF_MAP_TYPE_USER_RINGBUF }],
  ['program array', { ...array, map_type: T.BPF_MAP_TYPE_PROG_ARRAY, value_size: 4 }],
  ['perf event array', { ...array, map_type: T.BPF_MAP_TYPE_PERF_EVENT_ARRAY, value_size: 4 }],
  ['cgroup array', { ...array, map_type: T.BPF_MAP_TYPE_CGROUP_ARRAY, value_size: 4 }],
  ['stack trace', { ...array, map_type: T.BPF_MAP_TYPE_STACK_TRACE, value_size: 16 }],
  ['devmap', { ...array, map_type: T.BPF_MAP_TYPE_DEVMAP, value_size: 4 }],
  ['devmap_hash', { ...array, map_type: T.BPF_MAP_TYPE_DEVMAP_HASH, value_size: 4 }],
  ['cpumap', { ...array, map_type: T.BPF_MAP_TYPE_CPUMAP, value_size: 4 }],
  ['xskmap', { ...array, map_type: T.BPF_MAP_TYPE_XSKMAP, value_size: 4 }],
  ['sockmap', { ...array, map_type: T.BPF_MAP_TYPE_SOCKMAP, value_size: 4 }],
  ['sockhash', { ...array, map_type: T.BPF_MAP_TYPE_SOCKHASH, value_size: 4 }],
  ['reuseport array', { ...array, map_type: T.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, value_size: 4 }],
  ['cgroup storage', { map_type: T.BPF_MAP_TYPE_CGROUP_STORAGE, key_size: 8, value_size: 4 }],
]

interface BatchOptions {
  readonly count: number
  readonly keys?: BufferRef
  readonly values?: BufferRef
  readonly from?: BufferRef
  readonly to?: BufferRef
  readonly elementFlags?: bigint
  readonly flags?: bigint
}

/** The call, and what `count` says afterwards. */
function batch(script: Script, cmd: BatchCommand, map: ResultRef, options: BatchOptions): void {
  const at = mapBatchAttr.offsets
  const { count, keys, values, from, to, elementFlags = 0n, flags = 0n } = options
  const attr = script.buffer(mapBatchAttr.encode({ count, elem_flags: elementFlags, flags }), {
    [at.map_fd]: map,
    ...(keys === undefined ? {} : { [at.keys]: keys }),
    ...(values === undefined ? {} : { [at.values]: values }),
    ...(from === undefined ? {} : { [at.in_batch]: from }),
    ...(to === undefined ? {} : { [at.out_batch]: to }),
  })
  script.bpfOn(cmd, attr, mapBatchAttr.endOfLastMember)
  script.dump(attr, at.count, 4)
}

const join = (...parts: readonly Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]))
const createAround = (script: Script, attr: MapAttr, inner: ResultRef) =>
  script.bpf('BPF_MAP_CREATE', mapCreateAttr.encode(attr), { [mapCreateAttr.offsets.inner_map_fd]: inner })

function insert(script: Script, map: ResultRef, key: Uint8Array, inner: ResultRef, flags = 0n): ResultRef {
  const at = mapElemAttr.offsets
  return script.bpf('BPF_MAP_UPDATE_ELEM', mapElemAttr.encode({ flags }), {
    [at.map_fd]: map,
    [at.key]: script.buffer(key),
    [at.value]: script.buffer(4, { 0: inner }),
  })
}

export function batchCases(): OracleCase[] {
  const cases: OracleCase[] = []
  const add = define(cases)

  for (const [name, attr] of others) {
    add(`batches of a ${name}`, (script) => {
      const map = createMap(script, attr)
      const room = (bytes: number) => script.buffer(bytes)
      for (const cmd of COMMANDS) {
        for (const options of [
          { count: 0 },
          { count: 3, elementFlags: 1n },
          { count: 3, elementFlags: 4n },
          { count: 3, flags: 1n },
          { count: 3 },
        ]) {
          batch(script, cmd, map, {
            keys: room(64),
            values: room(256),
            to: room(8),
            ...options,
          })
        }
      }
    })
    add(`elements of a ${name}`, (script) => {
      const map = createMap(script, attr)
      const key = (attr.key_size ?? 0) === 0 ? undefined : new Uint8Array(attr.key_size ?? 0)
      for (const cmd of [
        'BPF_MAP_LOOKUP_ELEM',
        'BPF_MAP_UPDATE_ELEM',
        'BPF_MAP_LOOKUP_AND_DELETE_ELEM',
        'BPF_MAP_DELETE_ELEM',
      ] as const) {
        // no descriptor, and where it stands for more no device and a short queue
        const value = cmd === 'BPF_MAP_DELETE_ELEM' ? undefined : join(u32(999), new Uint8Array(60))
        element(script, cmd, map, { key, value })
        element(script, cmd, map, { key: u64(1n), value })
        element(script, cmd, map, { value })
        element(script, cmd, map, { key })
        if (value === undefined) continue
        for (const flags of [1n, 2n, 3n, 4n, 8n]) element(script, cmd, map, { key, value, flags })
      }
      const next = mapNextKeyAttr.offsets
      for (const given of [undefined, key, u64(0xffff_ffffn)]) {
        script.bpf('BPF_MAP_GET_NEXT_KEY', mapNextKeyAttr.encode({}), {
          [next.map_fd]: map,
          [next.next_key]: script.buffer(8),
          ...(given === undefined ? {} : { [next.key]: script.buffer(given) }),
        })
      }
      script.mmap(map, 4096, BOTH, MAP_SHARED, 0)
      script.mmap(map, 4096, PROT_READ, MAP_SHARED, 0)
      script.mmap(map, 4096, BOTH, MAP_SHARED, 4096)
      script.mmap(map, 12_288, BOTH, MAP_SHARED, 4096)
      script.mmap(map, 12_288, PROT_READ, MAP_SHARED, 4096)
      script.mmap(map, 16_384, PROT_READ, MAP_SHARED, 4096)
    })
  }

  add('a hash in batches, from filling to emptying', (script) => {
    const map = createMap(script, ordered)
    const keys = script.buffer(join(...[5, 3, 8, 1, 9, 2].map(u32)))
    const values = script.buffer(join(...[5n, 3n, 8n, 1n, 9n, 2n].map(u64)))
    batch(script, 'BPF_MAP_UPDATE_BATCH', map, { count: 6, keys, values })
    const [token, gotKeys, gotValues] = [script.buffer(4), script.buffer(64), script.buffer(128)]
    const show = () => {
      script.dump(token, 0, 4)
      script.dump(gotKeys, 0, 64)
      script.dump(gotValues, 0, 128)
    }
    const look = (cmd: BatchCommand, count: number, from?: BufferRef) => {
      const place = { keys: gotKeys, values: gotValues, to: token }
      batch(script, cmd, map, from === undefined ? { count, ...place } : { count, from, ...place })
      show()
    }
    look('BPF_MAP_LOOKUP_BATCH', 1)
    look('BPF_MAP_LOOKUP_BATCH', 4)
    for (let i = 0; i < 4; i++) look('BPF_MAP_LOOKUP_BATCH', 3, token)
    look('BPF_MAP_LOOKUP_BATCH', 8, script.buffer(u32(99)))
    look('BPF_MAP_LOOKUP_AND_DELETE_BATCH', 3)
    batch(script, 'BPF_MAP_DELETE_BATCH', map, { count: 2, keys: script.buffer(join(u32(77), u32(3))) })
    batch(script, 'BPF_MAP_DELETE_BATCH', map, {
      count: 4,
      keys: script.buffer(join(...[9, 2, 77, 3].map(u32))),
    })
    look('BPF_MAP_LOOKUP_AND_DELETE_BATCH', 16)
    look('BPF_MAP_LOOKUP_BATCH', 16)
  })

  add('an array in batches', (script) => {
    const map = createMap(script, array)
    const keys = script.buffer(join(u32(2), u32(0), u32(9), u32(1)))
    const values = script.buffer(join(u64(2n), u64(7n), u64(9n), u64(1n)))
    batch(script, 'BPF_MAP_UPDATE_BATCH', map, { count: 4, keys, values })
    const [token, gotKeys, gotValues] = [script.buffer(4), script.buffer(32), script.buffer(64)]
    for (const from of [undefined, token, token]) {
      const place = { count: 3, keys: gotKeys, values: gotValues, to: token }
      batch(script, 'BPF_MAP_LOOKUP_BATCH', map, from === undefined ? place : { ...place, from })
      script.dump(token, 0, 4)
      script.dump(gotKeys, 0, 32)
      script.dump(gotValues, 0, 64)
    }
  })

  add('batches without memory', (script) => {
    for (const attr of [ordered, array]) {
      const map = createMap(script, attr)
      element(script, 'BPF_MAP_UPDATE_ELEM', map, { key: u32(1), value: u64(1n) })
      const [keys, values, to] = [script.buffer(64), script.buffer(64), script.buffer(8)]
      for (const cmd of COMMANDS) {
        batch(script, cmd, map, { count: 2 })
        batch(script, cmd, map, { count: 2, keys, to })
        batch(script, cmd, map, { count: 2, values, to })
        batch(script, cmd, map, { count: 2, keys, values })
      }
    }
  })

  for (const flags of [abi.BPF_F_RDONLY, abi.BPF_F_WRONLY]) {
    add(`batches of a hash with the flag ${flags}`, (script) => {
      const map = createMap(script, { ...ordered, map_flags: abi.BPF_F_ZERO_SEED | flags })
      for (const cmd of COMMANDS) {
        batch(script, cmd, map, {
          count: 1,
          keys: script.buffer(8),
          values: script.buffer(8),
          to: script.buffer(8),
        })
      }
    })
  }

  for (const [name, attr] of [
    ['array', mapsInArray],
    ['hash', mapsInHash],
  ] as const) {
    add(`${name} of maps: what it can be made after`, (script) => {
      createMap(script, attr)
      createMap(script, { ...attr, inner_map_fd: 999 })
      createMap(script, { ...attr, value_size: 8 })
      createAround(script, attr, loadProgram(script, TRIVIAL))
      for (const [, inner] of others) createAround(script, attr, createMap(script, inner))
      const nested = createAround(script, attr, createMap(script, hash))
      createAround(script, attr, nested)
      createAround(script, { ...attr, map_flags: abi.BPF_F_NO_PREALLOC }, createMap(script, hash))
      createAround(script, { ...attr, map_flags: abi.BPF_F_RDONLY_PROG }, createMap(script, hash))
    })

    add(`${name} of maps: which maps fit in`, (script) => {
      const of = (model: MapAttr) => createAround(script, attr, createMap(script, model))
      const try1 = (map: ResultRef, inner: MapAttr) => insert(script, map, u32(1), createMap(script, inner))
      const hashes = of(hash)
      try1(hashes, hash)
      try1(hashes, { ...hash, max_entries: 99 })
      try1(hashes, { ...hash, value_size: 9 })
      try1(hashes, { ...hash, map_flags: abi.BPF_F_NO_PREALLOC })
      try1(hashes, array)
      const arrays = of(array)
      try1(arrays, array)
      try1(arrays, { ...array, max_entries: 5 })
      const resizable = of({ ...array, map_flags: abi.BPF_F_INNER_MAP })
      try1(resizable, array)
      try1(resizable, { ...array, map_flags: abi.BPF_F_INNER_MAP, max_entries: 9 })
      const filters = of(bloom)
      try1(filters, bloom)
      try1(filters, { ...bloom, max_entries: 20 })
      try1(filters, { ...bloom, map_extra: 5n })
      try1(filters, { ...bloom, map_extra: 4n })
      try1(of(ring), { ...ring, max_entries: 8192 })
      try1(of({ ...array, map_type: T.BPF_MAP_TYPE_PERCPU_ARRAY }), {
        ...array,
        map_type: T.BPF_MAP_TYPE_PERCPU_ARRAY,
        max_entries: 5,
      })
    })

    add(`${name} of maps: entries`, (script) => {
      const [one, two] = [createMap(script, hash), createMap(script, hash)]
      const map = createAround(script, attr, one)
      insert(script, map, u32(1), one)
      insert(script, map, u32(1), two)
      insert(script, map, u32(1), two, 1n)
      insert(script, map, u32(2), two, 1n)
      insert(script, map, u32(3), two, 2n)
      insert(script, map, u32(1), two, 3n)
      insert(script, map, u32(1), two, 4n)
      insert(script, map, u32(99), two)
      insert(script, map, u32(0), map)
      insert(script, map, u32(0), loadProgram(script, TRIVIAL))
      element(script, 'BPF_MAP_UPDATE_ELEM', map, { key: u32(0), value: u32(999) })
      element(script, 'BPF_MAP_UPDATE_ELEM', map, { key: u32(0), value: u32(999), flags: 8n })
      script.close(two)
      for (const key of [0, 1, 2, 99]) {
        element(script, 'BPF_MAP_LOOKUP_ELEM', map, { key: u32(key), value: u32(0) })
        element(script, 'BPF_MAP_LOOKUP_AND_DELETE_ELEM', map, { key: u32(key), value: u32(0) })
        element(script, 'BPF_MAP_DELETE_ELEM', map, { key: u32(key) })
        element(script, 'BPF_MAP_DELETE_ELEM', map, { key: u32(key) })
      }
      const [keys, values, to] = [script.buffer(64), script.buffer(64), script.buffer(8)]
      insert(script, map, u32(3), one)
      for (const cmd of COMMANDS) {
        // what lookups give are ids, which differ
        const place = cmd === 'BPF_MAP_UPDATE_BATCH' ? script.buffer(u32(999)) : values
        batch(script, cmd, map, { count: 4, keys, values: place, to })
      }
      script.dump(to, 0, 4)
    })
  }

  add('local storages without types', (script) => {
    for (const type of [
      T.BPF_MAP_TYPE_SK_STORAGE,
      T.BPF_MAP_TYPE_INODE_STORAGE,
      T.BPF_MAP_TYPE_TASK_STORAGE,
      T.BPF_MAP_TYPE_CGRP_STORAGE,
    ]) {
      const attr = { map_type: type, key_size: 4, value_size: 8, map_flags: abi.BPF_F_NO_PREALLOC }
      createMap(script, attr)
      createMap(script, { ...attr, max_entries: 1 })
    }
  })

  add('sockets and others that are none', (script) => {
    const program = loadProgram(script, TRIVIAL)
    for (const [, attr] of others) {
      if (attr.key_size !== 4 || attr.value_size !== 4) continue
      insert(script, createMap(script, attr), u32(1), program)
    }
  })
  return cases
}
