/** The maps and types that generated programs draw on: the same for all, so that they are made once. */
import { BPF_MAP_TYPE, BPF_PROG_TYPE } from '../../src/abi/index.ts'
import { BTF_KIND, Btf, BtfError, type BtfId, BtfWriter } from '../../src/btf/index.ts'
import type { MapSpec } from '../../src/verifier/index.ts'

const M = BPF_MAP_TYPE
const BPF_F_RDONLY_PROG = 0x80

const map = (name: string, spec: Partial<MapSpec> & { type: number }): MapSpec => ({
  name,
  keySize: 4,
  valueSize: 8,
  maxEntries: 4,
  flags: 0,
  extra: 0n,
  keyTypeId: 0,
  valueTypeId: 0,
  frozen: false,
  ...spec,
})

/** Known contents: numbers near edges, and small ones. */
const KNOWN = Uint8Array.from([
  3, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0x80, 7, 0, 0, 0, 0xff, 0x7f, 0, 0, 1, 2, 3, 4, 40, 0, 0, 0, 0,
  0, 0, 0,
])

export const MAP = {
  array: 0,
  hash: 1,
  percpuArray: 2,
  ring: 3,
  data: 4,
  constants: 5,
  percpuHash: 6,
  lru: 7,
  small: 8,
} as const

/** In the order of `MAP`. */
export const PALETTE: readonly MapSpec[] = [
  map('array', { type: M.BPF_MAP_TYPE_ARRAY, valueSize: 64, maxEntries: 4 }),
  map('hash', { type: M.BPF_MAP_TYPE_HASH, keySize: 8, valueSize: 48, maxEntries: 8 }),
  map('percpu_array', { type: M.BPF_MAP_TYPE_PERCPU_ARRAY, valueSize: 16, maxEntries: 2 }),
  map('ring', { type: M.BPF_MAP_TYPE_RINGBUF, keySize: 0, valueSize: 0, maxEntries: 4096 }),
  map('data', { type: M.BPF_MAP_TYPE_ARRAY, valueSize: 40, maxEntries: 1 }),
  map('constants', {
    type: M.BPF_MAP_TYPE_ARRAY,
    valueSize: KNOWN.length,
    maxEntries: 1,
    flags: BPF_F_RDONLY_PROG,
    frozen: true,
    value: KNOWN,
  }),
  map('percpu_hash', { type: M.BPF_MAP_TYPE_PERCPU_HASH, valueSize: 24, maxEntries: 4 }),
  map('lru', { type: M.BPF_MAP_TYPE_LRU_HASH, keySize: 16, valueSize: 20, maxEntries: 4 }),
  map('small', { type: M.BPF_MAP_TYPE_ARRAY, valueSize: 3, maxEntries: 3 }),
]

/** What a global function takes. */
export type Parameter = 'int' | 'long' | 'pair' | 'context'

export interface Types {
  readonly bytes: Uint8Array
  readonly btf: Btf
  /** FUNC of the program itself and of functions that are verified where they are called. */
  readonly local: readonly BtfId[]
  /** FUNCs that are verified on their own. */
  readonly global: readonly { readonly id: BtfId; readonly parameters: readonly Parameter[] }[]
}

export const PAIR_BYTES = 16
const LOCALS = 8
const GLOBALS: readonly (readonly Parameter[])[] = [
  ['int'],
  ['long', 'int'],
  ['pair', 'long'],
  ['context', 'int'],
  ['pair', 'pair', 'long'],
]

const STRUCTS: Readonly<Record<number, string>> = {
  [BPF_PROG_TYPE.BPF_PROG_TYPE_XDP]: 'xdp_md',
  [BPF_PROG_TYPE.BPF_PROG_TYPE_KPROBE]: 'pt_regs',
  [BPF_PROG_TYPE.BPF_PROG_TYPE_RAW_TRACEPOINT]: 'bpf_raw_tracepoint_args',
  [BPF_PROG_TYPE.BPF_PROG_TYPE_PERF_EVENT]: 'bpf_perf_event_data',
}

/** Types for programs of one type. */
export function makeTypes(programType: number): Types {
  const w = new BtfWriter()
  const int = w.add({
    kind: BTF_KIND.INT,
    name: 'int',
    size: 4,
    bits: 32,
    bitOffset: 0,
    isSigned: true,
    isChar: false,
    isBool: false,
  })
  const long = w.add({
    kind: BTF_KIND.INT,
    name: 'long',
    size: 8,
    bits: 64,
    bitOffset: 0,
    isSigned: true,
    isChar: false,
    isBool: false,
  })
  const member = (name: string, type: BtfId, bits: number) => ({ name, type, bitOffset: bits, bitSize: 0 })
  const pair = w.add({
    kind: BTF_KIND.STRUCT,
    name: 'pair',
    size: PAIR_BYTES,
    members: [member('a', long, 0), member('b', int, 64), member('c', int, 96)],
  })
  const context = w.add({
    kind: BTF_KIND.STRUCT,
    name: STRUCTS[programType] ?? '__sk_buff',
    size: 4,
    members: [member('first', int, 0)],
  })
  const toPair = w.add({ kind: BTF_KIND.PTR, name: '', type: pair })
  const toContext = w.add({ kind: BTF_KIND.PTR, name: '', type: context })
  const ids: Readonly<Record<Parameter, BtfId>> = { int, long, pair: toPair, context: toContext }
  const func = (name: string, parameters: readonly BtfId[], linkage: number): BtfId => {
    const prototype = w.add({
      kind: BTF_KIND.FUNC_PROTO,
      name: '',
      returns: int,
      parameters: parameters.map((type, n) => ({ name: `p${n}`, type })),
      isVariadic: false,
    })
    return w.add({ kind: BTF_KIND.FUNC, name, type: prototype, linkage })
  }
  const local = Array.from({ length: LOCALS }, (_, n) =>
    func(`local${n}`, n === 0 ? [toContext] : [long, long], 0),
  )
  const global = GLOBALS.map((parameters, n) => ({
    id: func(
      `global${n}`,
      parameters.map((p) => ids[p]),
      1,
    ),
    parameters,
  }))
  const bytes = w.finish()
  if (bytes instanceof BtfError) throw new Error(bytes.message)
  const btf = Btf.parse(bytes)
  if (btf instanceof BtfError) throw new Error(btf.message)
  return { bytes, btf, local, global }
}
