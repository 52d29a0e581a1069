/**
 * The maps beside those of the running kernel: the same random operations must give the same answers, errno
 * for errno, byte for byte and, with a zero seed, key for key in the same order.
 */
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import * as abi from '../src/abi/index.ts'
import { type BpfMap, createMap, type MapDefinition, mapTypes, RingBuffer } from '../src/maps/index.ts'
import { Arena, Grace } from '../src/memory/index.ts'
import { hex, openLinux, programBytes } from './oracle/linux.ts'

const linux = openLinux()
const why = typeof linux === 'string' ? ` (skipped: ${linux})` : ''
afterAll(() => {
  if (typeof linux !== 'string') linux[Symbol.dispose]()
})
const oracle = () => {
  if (typeof linux === 'string') throw new Error(linux)
  return linux
}

/** What one line of a script does. */
type Operation =
  | { readonly kind: 'create'; readonly definition: MapDefinition }
  | { readonly kind: 'lookup' | 'take'; readonly key: Uint8Array; readonly flags: number }
  | {
      readonly kind: 'update'
      readonly key: Uint8Array
      readonly value: Uint8Array
      readonly flags: number
    }
  | { readonly kind: 'delete'; readonly key: Uint8Array }
  | { readonly kind: 'next'; readonly key: Uint8Array | undefined }
  /** By a program on CPU 0: keys of 4, values of 8 bytes. */
  | { readonly kind: 'programLookup' | 'programDelete'; readonly key: Uint8Array }
  | {
      readonly kind: 'programUpdate'
      readonly key: Uint8Array
      readonly value: Uint8Array
      readonly flags: number
    }

const programs = {
  programLookup: `
    r2 = *(u32 *)(r1 +0)
    *(u32 *)(r10 -4) = r2
    r1 = MAP 0
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto missing
    r0 = *(u32 *)(r0 +0)
    r0 &= 0x7fffffff
    exit
  missing:
    r0 = -2
    exit`,
  programDelete: `
    r2 = *(u32 *)(r1 +0)
    *(u32 *)(r10 -4) = r2
    r1 = MAP 0
    r2 = r10
    r2 += -4
    call bpf_map_delete_elem
    exit`,
  programUpdate: `
    r2 = *(u32 *)(r1 +0)
    *(u32 *)(r10 -4) = r2
    r3 = *(u64 *)(r1 +8)
    *(u64 *)(r10 -16) = r3
    r4 = *(u64 *)(r1 +16)
    r1 = MAP 0
    r2 = r10
    r2 += -4
    r3 = r10
    r3 += -16
    call bpf_map_update_elem
    exit`,
} as const

const SYSCALL = abi.BPF_PROG_TYPE.BPF_PROG_TYPE_SYSCALL
const programNames = Object.keys(programs) as (keyof typeof programs)[]
const loadPrograms = programNames.map(
  (name, slot) => `load ${slot} ${SYSCALL} 1 ${hex(programBytes(programs[name]))}`,
)

function context(operation: Operation): string {
  const bytes = new Uint8Array(24)
  const view = new DataView(bytes.buffer)
  if ('key' in operation && operation.key) bytes.set(operation.key)
  if ('value' in operation) bytes.set(operation.value, 8)
  if ('flags' in operation) view.setBigUint64(16, BigInt(operation.flags), true)
  return hex(bytes)
}

function scriptLine(operation: Operation): string {
  switch (operation.kind) {
    case 'create': {
      const { type, keySize, valueSize, maxEntries, flags, extra = 0n, numaNode = 0 } = operation.definition
      return `create 0 ${type} ${keySize} ${valueSize} ${maxEntries} ${flags} ${extra} ${numaNode}`
    }
    case 'lookup':
    case 'take':
      return `${operation.kind} 0 ${hex(operation.key)} ${operation.flags}`
    case 'update':
      return `update 0 ${hex(operation.key)} ${hex(operation.value)} ${operation.flags}`
    case 'delete':
      return `delete 0 ${hex(operation.key)}`
    case 'next':
      return `next 0 ${operation.key ? hex(operation.key) : '-'}`
    default:
      return `run ${programNames.indexOf(operation.kind)} ${context(operation)}`
  }
}

/** Our side of a script, answering as linux-bpf.c prints. */
class Ours {
  readonly arena = new Arena()
  readonly host = { arena: this.arena, grace: new Grace(), cpuCount: oracle().cpuCount, random: () => 1 }
  readonly #scratch = this.arena.allocate(64) as number
  #map: BpfMap | undefined

  perform(operation: Operation): string {
    if (operation.kind === 'create') {
      this.#map?.[Symbol.dispose]()
      const made = createMap(this.host, operation.definition)
      this.#map = typeof made === 'number' ? undefined : made
      return typeof made === 'number' ? `${made}` : '0'
    }
    const map = this.#map as BpfMap
    const shown = (result: Uint8Array | number) => (typeof result === 'number' ? `${result}` : hex(result))
    switch (operation.kind) {
      case 'lookup':
        return shown(map.read(operation.key, BigInt(operation.flags)))
      case 'take':
        return shown(map.readAndRemove(operation.key, BigInt(operation.flags)))
      case 'update':
        return shown(map.write(operation.key, operation.value, BigInt(operation.flags)))
      case 'delete':
        return shown(map.remove(operation.key))
      case 'next':
        return shown(map.nextKey(operation.key))
      default:
        return `${this.#byProgram(map, operation) >>> 0} ${context(operation)}`
    }
  }

  #byProgram(map: BpfMap, operation: Operation): number {
    const { arena } = this
    const key = this.#scratch
    const value = this.#scratch + 8
    if ('key' in operation && operation.key) arena.bytes.set(operation.key, key)
    if ('value' in operation) arena.bytes.set(operation.value, value)
    this.host.grace.enter()
    try {
      if (operation.kind === 'programDelete') return map.delete(key)
      if (operation.kind === 'programUpdate') return map.update(key, value, BigInt(operation.flags), 0)
      const found = map.lookup(key, 0)
      return found === 0 ? -2 : arena.view.getUint32(found, true) & 0x7fff_ffff
    } finally {
      this.host.grace.leave()
    }
  }
}

function compare(operations: readonly Operation[], before: readonly string[] = []): void {
  const [first, ...rest] = operations.map(scriptLine)
  const theirs = oracle().run([first as string, ...before, ...rest])
  const [created, ...results] = theirs
  const expected = [created as string, ...results.slice(before.length)]
  for (const answer of results.slice(0, before.length)) expect(answer).toMatch(/^0\b/)
  const ours = new Ours()
  const shown = (answers: readonly string[]) =>
    operations.map((operation, index) => `${scriptLine(operation)}  ->  ${answers[index]}`)
  expect(shown(operations.map((operation) => ours.perform(operation)))).toEqual(shown(expected))
}

const T = abi.BPF_MAP_TYPE
const userFlags = fc.oneof(
  { weight: 8, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.constantFrom(1, 2) },
  { weight: 1, arbitrary: fc.constantFrom(3, 4, 5, 6, 8, 16) },
)

function keyOf(size: number, index: number): Uint8Array {
  const key = new Uint8Array(size)
  new DataView(key.buffer).setUint8(0, index & 0xff)
  if (size > 1) key[size - 1] = (index * 37) & 0xff
  return key
}

interface Shape {
  readonly name: string
  readonly type: number
  readonly keySize: number
  readonly valueSize: number
  readonly maxEntries: number
  readonly flags: number
  readonly keyOf?: (index: number) => Uint8Array
}

const indexKey = (index: number) => Uint8Array.of(index, 0, 0, index > 40 ? 0x80 : 0)
const Z = abi.BPF_F_ZERO_SEED
const NP = abi.BPF_F_NO_PREALLOC

const shapes: readonly Shape[] = [
  { name: 'hash', type: T.BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 8, maxEntries: 7, flags: Z },
  {
    name: 'hash, on demand',
    type: T.BPF_MAP_TYPE_HASH,
    keySize: 4,
    valueSize: 8,
    maxEntries: 7,
    flags: Z | NP,
  },
  { name: 'hash, odd sizes', type: T.BPF_MAP_TYPE_HASH, keySize: 13, valueSize: 5, maxEntries: 16, flags: Z },
  {
    name: 'hash, long keys',
    type: T.BPF_MAP_TYPE_HASH,
    keySize: 36,
    valueSize: 1,
    maxEntries: 9,
    flags: Z | NP,
  },
  { name: 'hash of one', type: T.BPF_MAP_TYPE_HASH, keySize: 1, valueSize: 1, maxEntries: 1, flags: Z },
  {
    name: 'percpu_hash',
    type: T.BPF_MAP_TYPE_PERCPU_HASH,
    keySize: 4,
    valueSize: 8,
    maxEntries: 6,
    flags: Z,
  },
  {
    name: 'percpu_hash, on demand',
    type: T.BPF_MAP_TYPE_PERCPU_HASH,
    keySize: 7,
    valueSize: 11,
    maxEntries: 6,
    flags: Z | NP,
  },
  {
    name: 'array',
    type: T.BPF_MAP_TYPE_ARRAY,
    keySize: 4,
    valueSize: 8,
    maxEntries: 20,
    flags: 0,
    keyOf: indexKey,
  },
  {
    name: 'array, odd size, mmapable',
    type: T.BPF_MAP_TYPE_ARRAY,
    keySize: 4,
    valueSize: 3,
    maxEntries: 5,
    flags: abi.BPF_F_MMAPABLE,
    keyOf: indexKey,
  },
  {
    name: 'percpu_array',
    type: T.BPF_MAP_TYPE_PERCPU_ARRAY,
    keySize: 4,
    valueSize: 8,
    maxEntries: 9,
    flags: 0,
    keyOf: indexKey,
  },
  { name: 'lru_hash', type: T.BPF_MAP_TYPE_LRU_HASH, keySize: 4, valueSize: 8, maxEntries: 12, flags: Z },
  {
    name: 'lru_hash of one',
    type: T.BPF_MAP_TYPE_LRU_HASH,
    keySize: 4,
    valueSize: 8,
    maxEntries: 1,
    flags: Z,
  },
  {
    name: 'lru_hash, own lists',
    type: T.BPF_MAP_TYPE_LRU_HASH,
    keySize: 4,
    valueSize: 8,
    maxEntries: 11,
    flags: Z | abi.BPF_F_NO_COMMON_LRU,
  },
  {
    name: 'lru_percpu_hash',
    type: T.BPF_MAP_TYPE_LRU_PERCPU_HASH,
    keySize: 4,
    valueSize: 8,
    maxEntries: 8,
    flags: Z,
  },
  {
    name: 'lru_percpu_hash, own lists',
    type: T.BPF_MAP_TYPE_LRU_PERCPU_HASH,
    keySize: 4,
    valueSize: 8,
    maxEntries: 8,
    flags: Z | abi.BPF_F_NO_COMMON_LRU,
  },
]

function operations(shape: Shape, keys: number): fc.Arbitrary<Operation[]> {
  const perCpu = mapTypes.find((row) => row.type === shape.type)?.isPerCpu
  const valueBytes = perCpu ? Math.ceil(shape.valueSize / 8) * 8 * oracle().cpuCount : shape.valueSize
  const key = fc.nat(keys - 1).map((index) => shape.keyOf?.(index) ?? keyOf(shape.keySize, index))
  const value = (size: number) => fc.uint8Array({ minLength: size, maxLength: size })
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
  if (shape.keySize === 4 && shape.valueSize === 8) {
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
  const all = Array.from({ length: keys }, (_, index) => shape.keyOf?.(index) ?? keyOf(shape.keySize, index))
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
    const withPrograms = shape.keySize === 4 && shape.valueSize === 8 ? loadPrograms : []
    fc.assert(
      fc.property(operations(shape, keys), (script) =>
        compare([create, ...script, ...walk(shape, keys)], withPrograms),
      ),
      { numRuns: 12 },
    )
  })

  test('a large LRU map evicts in batches as Linux does', () => {
    const shape: Shape = {
      name: 'lru',
      type: T.BPF_MAP_TYPE_LRU_HASH,
      keySize: 4,
      valueSize: 8,
      maxEntries: 600,
      flags: Z,
    }
    const key = (index: number) => Uint8Array.of(index & 0xff, index >> 8, 0, 0)
    const script: Operation[] = [{ kind: 'create', definition: shape }]
    for (let index = 0; index < 2400; index++) {
      script.push({ kind: 'programUpdate', key: key(index), value: keyOf(8, index), flags: 0 })
      if (index % 3 === 0) script.push({ kind: 'programLookup', key: key((index * 7) % (index + 1)) })
      if (index % 11 === 0) script.push({ kind: 'delete', key: key((index * 5) % (index + 1)) })
    }
    for (let index = 0; index < 2400; index++) script.push({ kind: 'lookup', key: key(index), flags: 0 })
    compare(script, loadPrograms)
  })

  test('BPF_MAP_CREATE refuses the same definitions', () => {
    const sizes = fc.constantFrom(0, 1, 2, 4, 7, 8, 64, 512, 513, 4096)
    const valueSizes = fc.oneof(
      sizes,
      fc.constantFrom(32760, 32761, 32768, 32769, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff),
      fc.constantFrom(...[-64, -60, -53, -52, -49, -48, -47, 0, 1].map((difference) => 2 ** 22 + difference)),
    )
    const flagBits = Array.from({ length: 19 }, (_, bit) => 1 << bit).filter(
      (bit) => bit !== abi.BPF_F_TOKEN_FD,
    )
    const definition = fc.record({
      name: fc.constant('m'),
      type: fc.constantFrom(...mapTypes.map((row) => row.type)),
      keySize: fc.oneof({ weight: 2, arbitrary: fc.constantFrom(0, 4) }, sizes),
      valueSize: fc.oneof({ weight: 2, arbitrary: fc.constantFrom(0, 4) }, valueSizes),
      maxEntries: fc.constantFrom(0, 1, 2, 3, 4096, 5000, 8192),
      flags: fc.oneof(
        fc.constant(0),
        fc.constantFrom(...flagBits),
        fc.subarray(flagBits, { maxLength: 3 }).map((bits) => bits.reduce((all, bit) => all | bit, 0)),
      ),
      extra: fc.constantFrom(0n, 0n, 0n, 1n),
      numaNode: fc.constantFrom(0, 0, 1, 0xffff_ffff),
    })
    // the oracle asks nothing of the kernel that would take more than 64 MiB
    const isAffordable = ({ keySize, valueSize, maxEntries }: MapDefinition) =>
      maxEntries * (keySize + (valueSize + 8) * oracle().cpuCount + 128) <= 1 << 26
    fc.assert(
      fc.property(
        fc.array(definition.filter(isAffordable), { minLength: 40, maxLength: 60 }),
        (definitions) => compare(definitions.map((each) => ({ kind: 'create', definition: each }))),
      ),
      { numRuns: 25 },
    )
  })

  test('a ring buffer holds the same bytes', () => {
    const size = 4096
    const output = `
      r6 = r1
      r3 = *(u64 *)(r6 +0)
      r4 = *(u64 *)(r6 +8)
      if r3 > 2000 goto large
      r2 = VALUE 1
      r1 = MAP 0
      call bpf_ringbuf_output
      exit
    large:
      r0 = 1
      exit`
    const pair = `
      r6 = r1
      r1 = MAP 0
      r2 = 24
      r3 = 0
      call bpf_ringbuf_reserve
      if r0 == 0 goto none
      r7 = r0
      r1 = MAP 0
      r2 = 37
      r3 = 0
      call bpf_ringbuf_reserve
      if r0 == 0 goto only
      r1 = 0x1122334455667788 ll
      *(u64 *)(r0 +0) = r1
      *(u64 *)(r0 +8) = r1
      *(u64 *)(r0 +16) = r1
      *(u64 *)(r0 +24) = r1
      *(u32 *)(r0 +32) = r1
      *(u8 *)(r0 +36) = r1
      r1 = r0
      r2 = 0
      call bpf_ringbuf_submit
    only:
      r1 = 7
      *(u64 *)(r7 +0) = r1
      *(u64 *)(r7 +8) = r1
      *(u64 *)(r7 +16) = r1
      r1 = r7
      r2 = 0
      call bpf_ringbuf_discard
      r1 = MAP 0
      r2 = *(u64 *)(r6 +8)
      call bpf_ringbuf_query
      exit
    none:
      r0 = 99
      exit`
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('output' as const),
        size: fc.nat(700),
        flags: fc.constantFrom(0, 1, 2, 4),
        fill: fc.nat(255),
      }),
      fc.record({ kind: fc.constant('pair' as const), query: fc.nat(5) }),
      fc.record({ kind: fc.constant('consume' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.record({ kind: fc.constant('set' as const), position: fc.constantFrom(0, 8, 4096, 100_000) }),
    )
    const runScript = (steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[]) => {
      const ours = new Ours()
      const ring = createMap(ours.host, {
        name: 'ring',
        type: T.BPF_MAP_TYPE_RINGBUF,
        keySize: 0,
        valueSize: 0,
        maxEntries: size,
        flags: 0,
      })
      if (!(ring instanceof RingBuffer)) throw new Error(`ring buffer: ${ring}`)
      const { consumer, producerAndData } = ring.regions
      const { arena } = ours
      const data = arena.allocate(4096) as number
      const script = [
        `create 0 ${T.BPF_MAP_TYPE_RINGBUF} 0 0 ${size} 0 0 0`,
        `create 1 ${T.BPF_MAP_TYPE_ARRAY} 4 2000 1 0 0 0`,
        `load 0 ${SYSCALL} 1 ${hex(programBytes(output))}`,
        `load 1 ${SYSCALL} 1 ${hex(programBytes(pair))}`,
      ]
      const expected: string[] = []
      const show = () => {
        script.push(`ring 0 ${size} -1`)
        const position = (at: number) => arena.view.getBigUint64(at, true)
        const start = producerAndData.offset + 4096
        const bytes = arena.bytes.slice(start, start + size)
        expected.push(`${position(consumer.offset)} ${position(producerAndData.offset)} ${hex(bytes)}`)
      }
      for (const each of steps) {
        const ctx = new Uint8Array(16)
        const view = new DataView(ctx.buffer)
        if (each.kind === 'output') {
          view.setBigUint64(0, BigInt(each.size), true)
          view.setBigUint64(8, BigInt(each.flags), true)
          script.push(`update 1 00000000 ${hex(new Uint8Array(2000).fill(each.fill))} 0`)
          expected.push('0')
          script.push(`run 0 ${hex(ctx)}`)
          arena.bytes.fill(each.fill, data, data + each.size)
          expected.push(`${ring.output(data, each.size, BigInt(each.flags)) >>> 0} ${hex(ctx)}`)
        } else if (each.kind === 'pair') {
          view.setBigUint64(8, BigInt(each.query), true)
          script.push(`run 1 ${hex(ctx)}`)
          const first = ring.reserve(24, 0n)
          let answer = 99
          if (first !== 0) {
            const second = ring.reserve(37, 0n)
            if (second !== 0) {
              for (let at = 0; at < 32; at += 8)
                arena.view.setBigUint64(second + at, 0x1122334455667788n, true)
              arena.view.setUint32(second + 32, 0x55667788, true)
              arena.view.setUint8(second + 36, 0x88)
              ring.submit(second, 0n)
            }
            for (let at = 0; at < 24; at += 8) arena.view.setBigUint64(first + at, 7n, true)
            ring.discard(first, 0n)
            answer = ring.query(BigInt(each.query))
          }
          expected.push(`${answer >>> 0} ${hex(ctx)}`)
        } else {
          const [from, to] = [ring.query(abi.BPF_RB_CONS_POS), ring.query(abi.BPF_RB_PROD_POS)]
          const target =
            each.kind === 'set'
              ? each.position
              : from + Math.floor((Math.max(0, to - from) * each.share) / 8) * 8
          arena.view.setBigUint64(consumer.offset, BigInt(target), true)
          script.push(`ring 0 ${size} ${target}`)
          expected.push('')
        }
        show()
      }
      const theirs = oracle().run(script)
      expect(theirs.slice(0, 4)).toEqual(['0', '0', '0', '0'])
      const answers = theirs.slice(4).map((answer, index) => (expected[index] === '' ? '' : answer))
      for (const [index, answer] of answers.entries()) {
        expect(`${script[index + 4]?.slice(0, 60)}: ${expected[index]}`).toBe(
          `${script[index + 4]?.slice(0, 60)}: ${answer}`,
        )
      }
    }
    fc.assert(fc.property(fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }), runScript), {
      numRuns: 20,
    })
  })
})
