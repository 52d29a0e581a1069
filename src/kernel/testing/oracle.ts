/** The vocabulary of the oracle's cases. */
import {
  BPF_MAP_TYPE,
  BPF_PROG_TYPE,
  mapCreateAttr,
  mapElemAttr,
  progLoadAttr,
  type StructValue,
} from '../../abi/index.ts'
import { encode } from '../../isa/index.ts'
import { program } from './caller.ts'
import { type Patches, type ResultRef, Script } from './script.ts'

export interface OracleCase {
  readonly name: string
  readonly script: Script
}

type MapAttr = Partial<StructValue<typeof mapCreateAttr>>
export type LoadAttr = Partial<StructValue<typeof progLoadAttr>>

const { BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_RINGBUF } = BPF_MAP_TYPE

export const hash: MapAttr = { map_type: BPF_MAP_TYPE_HASH, key_size: 4, value_size: 8, max_entries: 4 }
export const array: MapAttr = { map_type: BPF_MAP_TYPE_ARRAY, key_size: 4, value_size: 8, max_entries: 4 }
export const ring: MapAttr = { map_type: BPF_MAP_TYPE_RINGBUF, max_entries: 4096 }
export const TRIVIAL = 'r0 = 0\nexit'

export function define(cases: OracleCase[]): (name: string, build: (script: Script) => void) => void {
  return (name, build) => {
    const script = new Script()
    build(script)
    cases.push({ name, script })
  }
}

export const createMap = (script: Script, attr: MapAttr): ResultRef =>
  script.bpf('BPF_MAP_CREATE', mapCreateAttr.encode(attr))

export function element(
  script: Script,
  cmd:
    | 'BPF_MAP_LOOKUP_ELEM'
    | 'BPF_MAP_UPDATE_ELEM'
    | 'BPF_MAP_DELETE_ELEM'
    | 'BPF_MAP_LOOKUP_AND_DELETE_ELEM',
  map: ResultRef,
  options: { key?: Uint8Array | undefined; value?: Uint8Array | undefined; flags?: bigint } = {},
): ResultRef {
  const at = mapElemAttr.offsets
  return script.bpf(cmd, mapElemAttr.encode({ flags: options.flags ?? 0n }), {
    [at.map_fd]: map,
    ...(options.key === undefined ? {} : { [at.key]: script.buffer(options.key) }),
    ...(options.value === undefined ? {} : { [at.value]: script.buffer(options.value) }),
  })
}

/** Loads a socket filter under the GPL; `map` takes the place of the descriptor in the first instruction. */
export function loadProgram(
  script: Script,
  source: string,
  attr: LoadAttr = {},
  patches: Patches = {},
  map?: ResultRef,
): ResultRef {
  const code = encode(program(source))
  const at = progLoadAttr.offsets
  const bytes = progLoadAttr.encode({
    prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_SOCKET_FILTER,
    insn_cnt: code.length / 8,
    ...attr,
  })
  return script.bpf('BPF_PROG_LOAD', bytes, {
    [at.insns]: script.buffer(code, map === undefined ? {} : { 4: map }),
    [at.license]: script.buffer('GPL'),
    ...patches,
  })
}
