/** A map as the verifier is told of it. */
import { BPF_F_RDONLY_PROG } from '../abi/index.ts'
import { ArenaMap, ArrayMap } from '../maps/index.ts'
import type { MapSpec } from '../verifier/index.ts'
import type { MapObject } from './map-object.ts'

export function mapSpec(object: MapObject): MapSpec {
  const { map, types, inner, frozen, writableMappings } = object
  const { type, name, keySize, valueSize, maxEntries, flags, extra } = map.definition
  const btf = types?.object.types
  // Source: bpf_map_is_rdonly() of Linux.
  const isConstant = (flags & BPF_F_RDONLY_PROG) !== 0 && frozen && writableMappings === 0
  const spec: { -readonly [K in keyof MapSpec]: MapSpec[K] } = {
    type,
    name,
    keySize,
    valueSize,
    maxEntries,
    flags,
    extra: extra ?? 0n,
    keyTypeId: types?.keyType ?? 0,
    valueTypeId: types?.valueType ?? 0,
    frozen: isConstant,
  }
  if (map instanceof ArenaMap) spec.userStart = map.userStart
  if (btf !== undefined) spec.btf = btf
  if (inner !== undefined) spec.inner = inner
  if (isConstant && map instanceof ArrayMap) spec.value = constantBytes(object, map)
  return spec
}

const constantBytes = ({ arena }: MapObject, { valuesOffset, definition }: ArrayMap): Uint8Array =>
  arena.bytes.slice(valuesOffset, valuesOffset + definition.valueSize)
