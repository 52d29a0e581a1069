/** Maps of maps: entries are set by the open inner map and read as its id. */
import { BPF_ANY, BPF_MAP_TYPE, u32 } from '../abi/index.ts'
import type { SyscallError } from './errors.ts'
import type { BpfMap } from './map.ts'

const TYPES: readonly number[] = [
  BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE.BPF_MAP_TYPE_HASH_OF_MAPS,
]

/** A BPF_MAP_TYPE_ARRAY_OF_MAPS or BPF_MAP_TYPE_HASH_OF_MAPS; it shares the map, which stays its owner. */
export class BpfMapOfMaps<K> {
  readonly map: BpfMap<K, number>

  constructor(map: BpfMap<K, unknown>) {
    if (!TYPES.includes(map.spec.type)) throw new TypeError(`map '${map.spec.name}' is no map of maps`)
    this.map = map.withCodecs(map.keyCodec, u32)
  }

  /** The kernel keeps the inner map as long as the entry is there. The error tells that it is of another kind (EINVAL). */
  set(key: K, inner: { readonly fd: number }, flags: number = BPF_ANY): SyscallError | undefined {
    return this.map.set(key, inner.fd, flags)
  }

  /** The id of the inner map; undefined where there is none. */
  idOf(key: K): number | undefined {
    return this.map.get(key)
  }

  delete(key: K): boolean {
    return this.map.delete(key)
  }
}
