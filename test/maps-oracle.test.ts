/**
 * The maps beside those of the running kernel: the same random operations must give the same answers, errno
 * for errno, byte for byte and, with a zero seed, key for key in the same order.
 */
import fc from 'fast-check'
import { afterAll, describe, test } from 'vitest'
import * as abi from '../src/abi/index.ts'
import { mapTypes } from '../src/maps/index.ts'
import { openLinux } from './oracle/linux.ts'
import {
  compareScripts,
  loadBloomFilter,
  loadKeyed,
  loadQueue,
  type Operation,
} from './oracle/map-scripts.ts'
import { keyOf, type Shape, shapes } from './oracle/map-shapes.ts'

const linux = openLinux()
const why = typeof linux === 'string' ? ` (skipped: ${linux})` : ''
afterAll(() => {
  if (typeof linux !== 'string') linux[Symbol.dispose]()
})
const oracle = () => {
  if (typeof linux === 'string') throw new Error(linux)
  return linux
}

const T = abi.BPF_MAP_TYPE
const userFlags = fc.oneof(
  { weight: 8, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.constantFrom(1, 2) },
  { weight: 1, arbitrary: fc.constantFrom(3, 4, 5, 6, 8, 16) },
)

const NO_KEY = new Uint8Array(0)
const batchFlags = fc.constantFrom(0, 0, 0, 0, 0, 0, 1, 2, 4)

/** Programs may look up, update and delete in these. */
const hasPrograms = ({ type, keySize, valueSize }: Shape) =>
  valueSize === 8 &&
  (type === T.BPF_MAP_TYPE_LPM_TRIE ? keySize === 8 : keySize === 4 && type <= T.BPF_MAP_TYPE_LRU_PERCPU_HASH)

const loadsOf = (shape: Shape) => {
  if (hasPrograms(shape)) return loadKeyed(shape.keySize === 8 ? 8 : 4)
  if (shape.keySize !== 0 || shape.valueSize !== 8) return []
  return shape.type === T.BPF_MAP_TYPE_BLOOM_FILTER ? loadBloomFilter : loadQueue
}

/** Of a bloom filter few values, so that some are asked for that are in it; of the others any. */
const valuesOf = (shape: Shape) => (size: number) => {
  switch (shape.type) {
    case T.BPF_MAP_TYPE_BLOOM_FILTER:
      return fc.nat(30).map((index) => keyOf(size, index))
    case T.BPF_MAP_TYPE_DEVMAP:
    case T.BPF_MAP_TYPE_DEVMAP_HASH:
      // the loopback, no device, and none that there is
      return fc.constantFrom(1, 1, 1, 0, 99_999).map((device) => words(size, device, 0))
    case T.BPF_MAP_TYPE_CPUMAP:
      return fc.constantFrom(0, 1, 16, 16_384, 16_385, 0xffff_ffff).map((length) => words(size, length, 0))
    case T.BPF_MAP_TYPE_XSKMAP:
    case T.BPF_MAP_TYPE_SOCKMAP:
    case T.BPF_MAP_TYPE_SOCKHASH:
    case T.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY:
    case T.BPF_MAP_TYPE_CGROUP_ARRAY:
      // no descriptors, and what cannot be one
      return fc
        .constantFrom(9999, 0x7fff_ffff, 0xffff_ffff)
        .chain((fd) => fc.constantFrom(0, 1).map((high) => words(size, fd, high)))
    default:
      return fc.uint8Array({ minLength: size, maxLength: size })
  }
}

function words(size: number, low: number, high: number): Uint8Array {
  const bytes = new Uint8Array(8)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, low, true)
  view.setUint32(4, high, true)
  return bytes.slice(0, size)
}

/** Buckets or keys, as wide as the wider of both. */
function tokensOf(shape: Shape, key: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const isHash = mapTypes.find(({ type }) => type === shape.type)?.batches?.includes('lookupAndDelete')
  if (isHash !== true) return key.filter((bytes) => bytes.length >= 4 || bytes.length === 0)
  return fc.nat(20).map((bucket) => {
    const token = new Uint8Array(Math.max(4, shape.keySize))
    token[0] = bucket
    return token
  })
}

function operations(shape: Shape, keys: number): fc.Arbitrary<Operation[]> {
  const perCpu = mapTypes.find((row) => row.type === shape.type)?.isPerCpu
  const valueBytes = perCpu ? Math.ceil(shape.valueSize / 8) * 8 * oracle().cpuCount : shape.valueSize
  const key = fc
    .nat(keys - 1)
    .map((index) => (shape.keySize === 0 ? NO_KEY : (shape.keyOf?.(index) ?? keyOf(shape.keySize, index))))
  const value = valuesOf(shape)
  const kinds: fc.WeightedArbitrary<Operation>[] = [
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant('update'), key, value: value(valueBytes), flags: userFlags }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('lookup'), key, flags: userFlags }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete'), key }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('next'), key: fc.option(key, { nil: undefined }) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('take'), key, flags: userFlags }) },
  ]
  kinds.push(
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constantFrom('lookupBatch', 'takeBatch'),
        token: fc.option(tokensOf(shape, key), { nil: undefined }),
        count: fc.constantFrom(0, 1, 2, 3, 5, 60),
        flags: batchFlags,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('updateBatch'),
        elements: fc.array(fc.tuple(key, value(valueBytes)), { maxLength: 5 }),
        flags: batchFlags,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('deleteBatch'),
        keys: fc.array(key, { maxLength: 4 }),
        flags: batchFlags,
      }),
    },
  )
  if (shape.keySize === 0) {
    kinds.push({
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('contains'), value: value(valueBytes) }),
    })
  }
  if (shape.keySize === 0 && shape.valueSize === 8) {
    if (shape.type !== T.BPF_MAP_TYPE_BLOOM_FILTER) {
      kinds.push({ weight: 3, arbitrary: fc.record({ kind: fc.constant('programPop'), value: value(8) }) })
    }
    kinds.push(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('programPeek'), value: value(8) }) },
      {
        weight: 5,
        arbitrary: fc.record({ kind: fc.constant('programPush'), value: value(8), flags: userFlags }),
      },
    )
  }
  if (hasPrograms(shape)) {
    kinds.push(
      { weight: 5, arbitrary: fc.record({ kind: fc.constant('programLookup'), key }) },
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant('programUpdate'), key, value: value(8), flags: userFlags }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('programDelete'), key }) },
    )
  }
  return fc.array(fc.oneof(...kinds), { minLength: 1, maxLength: 150, size: 'max' })
}

/** Every key that is in the map, in order, at the end of a script. */
function walk(shape: Shape, keys: number): Operation[] {
  const all =
    shape.keySize === 0
      ? [NO_KEY]
      : Array.from({ length: keys }, (_, index) => shape.keyOf?.(index) ?? keyOf(shape.keySize, index))
  return [
    { kind: 'next', key: undefined },
    ...all.map((key): Operation => ({ kind: 'next', key })),
    ...all.map((key): Operation => ({ kind: 'lookup', key, flags: 0 })),
  ]
}

describe.skipIf(why !== '')(`the same operations on the running kernel${why}`, () => {
  test.each(shapes)('$name', (shape) => {
    const keys = 48
    const create: Operation = { kind: 'create', definition: { ...shape } }
    const withPrograms = loadsOf(shape)
    fc.assert(
      fc.property(operations(shape, keys), (script) =>
        compareScripts(oracle(), [create, ...script, ...walk(shape, keys)], withPrograms),
      ),
      { numRuns: 12 },
    )
  })
})
