/**
 * BPF_MAP_CREATE from a definition to a map.
 */
import {
  BPF_F_NUMA_NODE,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY,
  BPF_F_WRONLY_PROG,
  EINVAL,
  ENOMEM,
} from '../abi/index.ts'
import type { BpfMap, MapDefinition, MapHost } from './map.ts'
import { OutOfArena } from './map-base.ts'
import { type MapTypeRow, mapTypes } from './types.ts'

/** The row of a map type; undefined for one that is not there. */
export function mapType(type: number): MapTypeRow | undefined {
  return mapTypes.find((row) => row.type === type)
}

/** A new map, or the -errno that Linux gives for the definition. */
export function createMap(host: MapHost, definition: MapDefinition): BpfMap | number {
  const { flags } = definition
  const row = mapType(definition.type)
  if ((definition.extra ?? 0n) !== 0n && row?.hasExtra !== true) return -EINVAL
  const bothAccesses = BPF_F_RDONLY | BPF_F_WRONLY
  if ((flags & bothAccesses) === bothAccesses) return -EINVAL
  const node = definition.numaNode ?? 0
  // there is one node, number 0; all ones is "none"
  if ((flags & BPF_F_NUMA_NODE) !== 0 && node !== 0 && node !== 0xffff_ffff) return -EINVAL
  if (row === undefined) return -EINVAL
  const first = row.checkFirst?.(definition) ?? 0
  if (first !== 0) return first
  if ((flags & ~row.flags) !== 0) return -EINVAL
  const refusal = row.check(definition)
  if (refusal !== 0) return refusal
  try {
    return row.create(host, definition)
  } catch (error) {
    if (error instanceof OutOfArena) return -ENOMEM
    throw error
  }
}

/** Who may do what, by the flags of BPF_MAP_CREATE. A frozen map takes `userWrite` away besides. */
export function mapAccess(flags: number): {
  readonly userRead: boolean
  readonly userWrite: boolean
  readonly programRead: boolean
  readonly programWrite: boolean
} {
  return {
    userRead: (flags & BPF_F_WRONLY) === 0,
    userWrite: (flags & BPF_F_RDONLY) === 0,
    programRead: (flags & BPF_F_WRONLY_PROG) === 0,
    programWrite: (flags & BPF_F_RDONLY_PROG) === 0,
  }
}
