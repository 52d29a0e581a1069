/** Calls that linux-oracle.test.ts makes of both kernels: locks in the values of maps, and BPF_F_LOCK. */
import * as abi from '../../abi/index.ts'
import { btfLoadAttr, mapBatchAttr, mapCreateAttr } from '../../abi/index.ts'
import { u32 } from './caller.ts'
import { array, define, element, hash, type OracleCase } from './oracle.ts'
import type { ResultRef, Script } from './script.ts'

const T = abi.BPF_MAP_TYPE
const INT = 1 << 24
const STRUCT = 4 << 24
const KEY_TYPE = 1
const NAMES = '\0u32\0bpf_spin_lock\0val\0value\0a\0lock\0b\0'
const name = (text: string) => NAMES.indexOf(`\0${text}\0`) + 1

/** 1: u32; 2: struct bpf_spin_lock; 3: struct value of 12 bytes with members of these types, 4 bytes apart. */
function typesWith(members: readonly number[]): Uint8Array {
  const spread = members.flatMap((type, index) => [
    name(['a', 'lock', 'b'][index] as string),
    type,
    index * 32,
  ])
  const types = [
    ...[name('u32'), INT, 4, 32],
    ...[name('bpf_spin_lock'), STRUCT | 1, 4, name('val'), KEY_TYPE, 0],
    ...[name('value'), STRUCT | members.length, 12, ...spread],
  ]
  const header = [0x0001_eb9f, 24, 0, types.length * 4, types.length * 4, NAMES.length]
  const words = new Uint8Array(Uint32Array.from([...header, ...types]).buffer)
  return Uint8Array.from([...words, ...new TextEncoder().encode(NAMES)])
}

function loadTypes(script: Script, bytes: Uint8Array): ResultRef {
  return script.bpf('BPF_BTF_LOAD', btfLoadAttr.encode({ btf_size: bytes.length }), {
    [btfLoadAttr.offsets.btf]: script.buffer(bytes),
  })
}

function create(
  script: Script,
  types: ResultRef,
  attr: Parameters<typeof mapCreateAttr.encode>[0],
): ResultRef {
  const typed = { ...attr, value_size: 12, btf_key_type_id: KEY_TYPE, btf_value_type_id: 3 }
  return script.bpf('BPF_MAP_CREATE', mapCreateAttr.encode(typed), { [mapCreateAttr.offsets.btf_fd]: types })
}

const LOCKED = [KEY_TYPE, 2, KEY_TYPE]
const words = (...values: readonly number[]) => new Uint8Array(Uint32Array.from(values).buffer)

export function lockCases(): OracleCase[] {
  const cases: OracleCase[] = []
  const add = define(cases)

  add('which maps may have locks in their values', (script) => {
    const types = loadTypes(script, typesWith(LOCKED))
    for (const map_type of [
      T.BPF_MAP_TYPE_HASH,
      T.BPF_MAP_TYPE_ARRAY,
      T.BPF_MAP_TYPE_PERCPU_HASH,
      T.BPF_MAP_TYPE_PERCPU_ARRAY,
      T.BPF_MAP_TYPE_LRU_HASH,
      T.BPF_MAP_TYPE_LRU_PERCPU_HASH,
    ]) {
      for (const map_flags of [0, abi.BPF_F_RDONLY_PROG, abi.BPF_F_WRONLY_PROG, abi.BPF_F_RDONLY]) {
        create(script, types, { ...hash, map_type, map_flags })
      }
    }
    const storage = { key_size: 4, map_flags: abi.BPF_F_NO_PREALLOC, map_type: T.BPF_MAP_TYPE_TASK_STORAGE }
    create(script, types, storage)
    create(script, types, { ...storage, max_entries: 1 })
    create(script, types, { ...storage, map_flags: 0 })
    create(script, types, { ...storage, map_flags: abi.BPF_F_NO_PREALLOC | abi.BPF_F_ZERO_SEED })
  })

  for (const [kind, attr] of [
    ['hash', { ...hash, map_flags: abi.BPF_F_ZERO_SEED }],
    ['array', array],
  ] as const) {
    for (const [which, members] of [
      ['with a lock', LOCKED],
      ['without one', [KEY_TYPE, KEY_TYPE, KEY_TYPE]],
    ] as const) {
      add(`BPF_F_LOCK: ${kind} ${which}`, (script) => {
        const map = create(script, loadTypes(script, typesWith(members)), attr)
        const look = (
          cmd: 'BPF_MAP_LOOKUP_ELEM' | 'BPF_MAP_LOOKUP_AND_DELETE_ELEM',
          key: number,
          flags: bigint,
        ) => {
          const value = script.buffer(12)
          const at = abi.mapElemAttr.offsets
          script.bpf(cmd, abi.mapElemAttr.encode({ flags }), {
            [at.map_fd]: map,
            [at.key]: script.buffer(u32(key)),
            [at.value]: value,
          })
          script.dump(value, 0, 12)
        }
        for (const flags of [6n, 4n, 5n, 4n, 6n, 7n, 8n, 12n, 0n, 1n, 2n]) {
          element(script, 'BPF_MAP_UPDATE_ELEM', map, {
            key: u32(1),
            value: words(7, 0xdead, Number(flags)),
            flags,
          })
          for (const lookFlags of [0n, 1n, 4n, 5n]) look('BPF_MAP_LOOKUP_ELEM', 1, lookFlags)
        }
        const at = mapBatchAttr.offsets
        for (const cmd of ['BPF_MAP_UPDATE_BATCH', 'BPF_MAP_LOOKUP_BATCH'] as const) {
          const values = script.buffer(words(1, 2, 3, 4, 5, 6, 0, 0, 0))
          script.bpf(cmd, mapBatchAttr.encode({ count: 2, elem_flags: 4n }), {
            [at.map_fd]: map,
            [at.keys]: script.buffer(words(0, 2)),
            [at.values]: values,
            ...(cmd === 'BPF_MAP_LOOKUP_BATCH' ? { [at.out_batch]: script.buffer(4) } : {}),
          })
          if (cmd === 'BPF_MAP_LOOKUP_BATCH') script.dump(values, 0, 24)
        }
        for (const flags of [1n, 4n, 4n, 0n]) look('BPF_MAP_LOOKUP_AND_DELETE_ELEM', 1, flags)
      })
    }
  }
  return cases
}
