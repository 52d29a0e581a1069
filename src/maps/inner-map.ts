/**
 * Which maps may be in a map of maps: those that are to a program's proof what the one is that was named when the
 * map of maps was made.
 *
 * Source: bpf_map_meta_alloc() of kernel/bpf/map_in_map.c and the map_meta_equal of each type, of Linux.
 */
import { BPF_F_INNER_MAP, BPF_MAP_TYPE, EBADF, EINVAL, ENOTSUPP } from '../abi/index.ts'
import type { BpfMap, MapDefinition } from './map.ts'

const { BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS } = BPF_MAP_TYPE

/** Types that can be in no map of maps. */
const NEVER_INSIDE: readonly number[] = [
  BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY,
  BPF_MAP_TYPE.BPF_MAP_TYPE_STRUCT_OPS,
  BPF_MAP_TYPE.BPF_MAP_TYPE_CGROUP_STORAGE,
  BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
  BPF_MAP_TYPE.BPF_MAP_TYPE_ARENA,
]

/** 0, or why a map of maps cannot be made after `inner`. */
export function checkInnerMap(inner: BpfMap | number | undefined): number {
  if (inner === undefined) return -EBADF
  if (typeof inner === 'number') return inner
  const { type } = inner.definition
  if (type === BPF_MAP_TYPE_ARRAY_OF_MAPS || type === BPF_MAP_TYPE_HASH_OF_MAPS) return -EINVAL
  return NEVER_INSIDE.includes(type) ? -ENOTSUPP : 0
}

/** What of the model a map of maps keeps; the model itself may go. */
export type InnerModel = Pick<MapDefinition, 'type' | 'keySize' | 'valueSize' | 'maxEntries' | 'flags'>

export function modelOf(inner: BpfMap | number | undefined): InnerModel {
  if (inner === undefined || typeof inner === 'number') throw new Error('a map of maps without a model')
  const { type, keySize, valueSize, maxEntries, flags } = inner.definition
  return { type, keySize, valueSize, maxEntries, flags }
}

/** Whether `map` may stand where `model` was promised. */
export function isLike(model: InnerModel, { definition }: BpfMap): boolean {
  const { type, keySize, valueSize, flags } = model
  const isSame =
    definition.type === type &&
    definition.keySize === keySize &&
    definition.valueSize === valueSize &&
    definition.flags === flags
  if (!isSame) return false
  // accesses to an array may have been proved by its size
  return (
    type !== BPF_MAP_TYPE_ARRAY ||
    (flags & BPF_F_INNER_MAP) !== 0 ||
    definition.maxEntries === model.maxEntries
  )
}
