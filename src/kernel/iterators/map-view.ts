import type { MapObject } from '../map-object.ts'
import type { StructView } from './struct-view.ts'

/** Writes what a program is told of a map; gives its address. */
export function showMap(
  view: StructView,
  { id, map, types, frozen, references, userReferences }: MapObject,
): bigint {
  const { definition } = map
  view.set({
    map_type: definition.type,
    key_size: definition.keySize,
    value_size: definition.valueSize,
    max_entries: definition.maxEntries,
    map_extra: definition.extra ?? 0n,
    map_flags: definition.flags,
    id,
    btf_key_type_id: types?.keyType ?? 0,
    btf_value_type_id: types?.valueType ?? 0,
    'refcnt.counter': references,
    'usercnt.counter': userReferences,
    name: definition.name,
    frozen,
  })
  return view.address
}
