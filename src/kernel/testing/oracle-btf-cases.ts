/** BPF_BTF_LOAD that linux-oracle.test.ts calls of both kernels: types of every kind, whole and mutilated, with logs. */
import { btfLoadAttr } from '../../abi/index.ts'
import { BTF_KIND } from '../../btf/index.ts'
import { define, type OracleCase } from './oracle.ts'
import type { Script } from './script.ts'

const K = BTF_KIND
const LOG_BYTES = 6000

const names = [
  '',
  'int',
  'name',
  'x',
  'a.b',
  '.data',
  'bad name',
  '1st',
  'tag:value',
  'n'.repeat(511),
  'n'.repeat(512),
  'n'.repeat(513),
]
const strings = new TextEncoder().encode(names.map((name) => `${name}\0`).join(''))
const nameAt = (name: string): number => {
  let at = 0
  for (const known of names) {
    if (known === name) return at
    at += known.length + 1
  }
  return at
}
const [INT, NAME, X] = [nameAt('int'), nameAt('name'), nameAt('x')]

/** A type as its words. */
type Words = readonly number[]

const type = (name: number, kind: number, vlen: number, word: number, ...extra: number[]): Words => [
  name,
  ((kind << 24) | vlen) >>> 0,
  word,
  ...extra,
]
const FLAG = 0x8000_0000
const flagged = ([name, info, ...rest]: Words): Words => [
  name as number,
  ((info as number) | FLAG) >>> 0,
  ...rest,
]
const int = (bits: number, bytes = bits / 8, encoding = 0, offset = 0): Words =>
  type(INT, K.INT, 0, bytes, (encoding << 24) | (offset << 16) | bits)

function btf(types: readonly Words[], change: { header?: Record<number, number> } = {}): Uint8Array {
  const words = types.flat()
  const bytes = new Uint8Array(24 + words.length * 4 + strings.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 0x0001_eb9f, true)
  view.setUint32(4, 24, true)
  view.setUint32(12, words.length * 4, true)
  view.setUint32(16, words.length * 4, true)
  view.setUint32(20, strings.length, true)
  words.forEach((word, index) => {
    view.setUint32(24 + index * 4, word, true)
  })
  bytes.set(strings, 24 + words.length * 4)
  for (const [at, value] of Object.entries(change.header ?? {})) view.setUint32(Number(at), value, true)
  return bytes
}

/** Ids: 1 int, 2 ptr to 4, 3 array of 1, 4 struct, 5 union, 6 enum, 7 fwd, 8 typedef, 9 const, 10 func_proto, ... */
const everything: readonly Words[] = [
  int(32, 4, 1),
  type(0, K.PTR, 0, 4),
  type(0, K.ARRAY, 0, 0, 1, 1, 3),
  type(NAME, K.STRUCT, 4, 40, X, 1, 0, NAME, 2, 64, 0, 3, 128, X, 5, 256),
  type(0, K.UNION, 2, 8, X, 1, 0, NAME, 17, 0),
  type(X, K.ENUM, 2, 4, X, 0xffff_fffb, NAME, 2),
  type(X, K.FWD, 0, 0),
  type(X, K.TYPEDEF, 0, 9),
  type(0, K.CONST, 0, 1),
  type(0, K.FUNC_PROTO, 3, 1, X, 2, NAME, 8, 0, 0),
  type(X, K.FUNC, 1, 10),
  type(X, K.VAR, 0, 1, 1),
  type(nameAt('.data'), K.DATASEC, 1, 8, 12, 0, 4),
  type(X, K.FLOAT, 0, 8),
  type(nameAt('tag:value'), K.DECL_TAG, 0, 4, 1),
  type(nameAt('tag:value'), K.TYPE_TAG, 0, 9),
  flagged(type(X, K.ENUM64, 2, 8, X, 1, 0xffff_ffff, NAME, 7, 0)),
  type(0, K.VOLATILE, 0, 0),
  type(0, K.RESTRICT, 0, 2),
  flagged(type(X, K.STRUCT, 3, 8, X, 1, 0x0300_0000, X, 6, 0x0400_0003, X, 9, 0x0500_0020)),
]

function load(script: Script, bytes: Uint8Array, level = 1, logBytes = LOG_BYTES): void {
  const at = btfLoadAttr.offsets
  const log = script.buffer(LOG_BYTES)
  const attr = script.buffer(
    btfLoadAttr.encode({ btf_size: bytes.length, btf_log_level: level, btf_log_size: logBytes }),
    { [at.btf]: script.buffer(bytes), ...(level === 0 ? {} : { [at.btf_log_buf]: log }) },
  )
  script.bpfOn('BPF_BTF_LOAD', attr, btfLoadAttr.size)
  script.dump(attr, at.btf_log_true_size, 4)
  script.dump(log, 0, LOG_BYTES)
}

/** Mutilations are the same each time. */
function sequence(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

const values = [
  0, 1, 2, 3, 4, 5, 7, 8, 12, 16, 20, 21, 31, 32, 64, 128, 255, 0xfffff, 0x100000, 0xffff_ffff, 0x8000_0000,
  0x0100_0001,
]

export function btfCases(mutations = 400): OracleCase[] {
  const cases: OracleCase[] = []
  const add = define(cases)
  add('BTF_LOAD: every kind', (script) => {
    load(script, btf(everything))
    load(script, btf(everything), 0, 0)
    for (const size of [1, 100, 1000]) {
      load(script, btf(everything), 1, size)
      load(script, btf(everything), 9, size)
    }
    for (const level of [2, 4, 8, 15, 16]) load(script, btf(everything), level)
  })
  add('BTF_LOAD: headers', (script) => {
    const whole = btf(everything)
    for (let at = 0; at < 24; at += 4) {
      for (const value of [...values, 23, 24, 25, 28, whole.length, whole.length - 24]) {
        load(script, btf(everything, { header: { [at]: value } }))
      }
    }
    for (const size of [0, 4, 7, 8, 9, 20, 23, 24, 25, 30, whole.length - 1]) {
      load(script, whole.subarray(0, size))
    }
  })
  for (const [name, types] of [
    ['a typedef of itself', [type(X, K.TYPEDEF, 0, 1)]],
    ['two typedefs of each other', [type(X, K.TYPEDEF, 0, 2), type(X, K.TYPEDEF, 0, 1)]],
    ['a pointer to itself', [type(0, K.PTR, 0, 1)]],
    ['a struct that holds itself', [type(X, K.STRUCT, 1, 8, X, 1, 0)]],
    ['a struct that points to itself', [type(X, K.STRUCT, 1, 8, X, 2, 0), type(0, K.PTR, 0, 1)]],
    ['an array of itself', [type(0, K.ARRAY, 0, 0, 1, 2, 2), int(32)]],
    ['an array indexed by a pointer', [type(0, K.ARRAY, 0, 0, 2, 3, 2), int(32), type(0, K.PTR, 0, 2)]],
    ['an array that is too large', [type(0, K.ARRAY, 0, 0, 2, 2, 0x4000_0000), int(32)]],
    ['a deep chain', [int(32), ...Array.from({ length: 33 }, (_, i) => type(0, K.CONST, 0, i + 1))]],
    ['a chain of 31', [...Array.from({ length: 31 }, (_, i) => type(0, K.CONST, 0, i + 2)), int(32)]],
    ['a chain of 32', [...Array.from({ length: 32 }, (_, i) => type(0, K.CONST, 0, i + 2)), int(32)]],
    ['a chain of 33', [...Array.from({ length: 33 }, (_, i) => type(0, K.CONST, 0, i + 2)), int(32)]],
    ['a tag behind a modifier', [type(0, K.CONST, 0, 2), type(X, K.TYPE_TAG, 0, 3), int(32)]],
    ['a tag before a modifier', [type(X, K.TYPE_TAG, 0, 2), type(0, K.CONST, 0, 3), int(32)]],
    ['a variable without a size', [type(X, K.VAR, 0, 2, 0), type(X, K.FWD, 0, 0)]],
    ['a variable through a pointer to it', [type(X, K.VAR, 0, 2, 0), type(0, K.PTR, 0, 1)]],
    ['a section of what is no variable', [type(X, K.DATASEC, 1, 4, 2, 0, 4), int(32)]],
    ['a section with too little room', [type(X, K.DATASEC, 1, 4, 2, 0, 2), type(X, K.VAR, 0, 3, 0), int(32)]],
    ['odd bits', [int(7, 1), type(X, K.STRUCT, 1, 1, X, 1, 1)]],
    ['odd bits with a flag', [int(7, 1), flagged(type(X, K.STRUCT, 1, 1, X, 1, 0x0100_0001))]],
    ['bits beyond 128', [int(128, 16), type(X, K.STRUCT, 1, 32, X, 1, 1)]],
    ['a float out of line', [type(X, K.FLOAT, 0, 8), type(X, K.STRUCT, 1, 16, X, 1, 32)]],
    ['a float of twelve bytes', [type(X, K.FLOAT, 0, 12), type(X, K.STRUCT, 1, 16, X, 1, 32)]],
    [
      'a function without arguments of names',
      [type(0, K.FUNC_PROTO, 1, 0, 0, 2), int(32), type(X, K.FUNC, 0, 1)],
    ],
    ['a prototype with varargs in the middle', [type(0, K.FUNC_PROTO, 2, 0, X, 0, X, 2), int(32)]],
    ['a prototype of varargs', [type(0, K.FUNC_PROTO, 1, 0, 0, 0), int(32)]],
    ['a prototype with named varargs', [type(0, K.FUNC_PROTO, 1, 0, X, 0), int(32)]],
    [
      'a tag on an argument',
      [type(X, K.DECL_TAG, 0, 2, 0), type(X, K.FUNC, 0, 3), type(0, K.FUNC_PROTO, 1, 0, X, 4), int(32)],
    ],
    [
      'a tag on an argument that is not there',
      [type(X, K.DECL_TAG, 0, 2, 1), type(X, K.FUNC, 0, 3), type(0, K.FUNC_PROTO, 1, 0, X, 4), int(32)],
    ],
    ['a tag on a tag', [type(X, K.DECL_TAG, 0, 2, -1 >>> 0), type(X, K.DECL_TAG, 0, 3, -1 >>> 0), int(32)]],
    ['a tag with a flag', [flagged(type(X, K.DECL_TAG, 0, 2, -1 >>> 0)), type(X, K.TYPEDEF, 0, 3), int(32)]],
  ] as readonly (readonly [string, readonly Words[]])[]) {
    add(`BTF_LOAD: ${name}`, (script) => load(script, btf(types)))
  }
  add('BTF_LOAD: names', (script) => {
    for (const name of names) {
      const at = nameAt(name)
      for (const one of [
        type(at, K.TYPEDEF, 0, 1),
        type(at, K.STRUCT, 0, 0),
        type(at, K.ENUM, 1, 4, at, 0),
        type(at, K.VAR, 0, 1, 0),
        type(at, K.FWD, 0, 0),
        type(at, K.FLOAT, 0, 4),
        type(at, K.TYPE_TAG, 0, 1),
        type(at, K.DECL_TAG, 0, 1, -1 >>> 0),
        type(at, K.DATASEC, 0, 4),
        type(X, K.STRUCT, 1, 4, at, 1, 0),
      ]) {
        load(script, btf([int(32), one]))
      }
    }
  })
  for (let group = 0; group < mutations / 50; group++) {
    add(`BTF_LOAD: mutilated types, ${group}`, (script) => {
      const random = sequence(group * 7919 + 1)
      for (let i = 0; i < 50; i++) {
        const types = everything.map((words) => [...words])
        for (let changes = random(3) + 1; changes > 0; changes--) {
          const words = types[random(types.length)] as number[]
          const at = random(words.length)
          const value = values[random(values.length)] as number
          const isWhole = at !== 1 || random(4) === 0
          words[at] = isWhole ? value : ((words[1] as number) & 0xff00_ffff) | (random(22) << 24)
        }
        load(script, btf(types.map((words) => words.map((word) => word >>> 0))))
      }
    })
  }
  return cases
}
