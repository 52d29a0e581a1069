/**
 * Variables in address space 1: section `.addr_space.1` is what the object's arena begins with.
 *
 * Source: libbpf's conventions.
 */
import { BPF_MAP_TYPE } from '../../abi/bpf.ts'
import { BTF_KIND } from '../../btf/index.ts'
import type { DeclaredMap } from './btf-maps.ts'
import type { DataMap } from './data-maps.ts'
import { ObjectError } from './object-error.ts'
import type { ObjectFile } from './object-file.ts'
import type { MapSpec } from './types.ts'

export const ARENA_SECTION = '.addr_space.1'
const PAGE_BYTES = 4096

export interface ArenaData {
  /** The maps, the arena with its data. */
  readonly maps: readonly DeclaredMap[]
  /** The section as relocations find it; undefined where there is none. */
  readonly data: DataMap | undefined
}

export function collectArenaData(file: ObjectFile, maps: readonly DeclaredMap[]): ArenaData | ObjectError {
  const isArena = ({ spec }: DeclaredMap) => spec.type === BPF_MAP_TYPE.BPF_MAP_TYPE_ARENA
  const arenas = maps.filter(isArena)
  const [arena, second] = arenas
  if (second !== undefined) {
    return new ObjectError('bad-map', 'expected one arena in an object, found two', { map: second.spec.name })
  }
  const section = file.elf.section(ARENA_SECTION)
  if (section === undefined || section.size === 0) return { maps, data: undefined }
  const bad = (reason: string) => new ObjectError('bad-section', reason, { section: ARENA_SECTION })
  if (arena === undefined) return bad('expected an arena map for the variables, found none')
  const roomBytes = arena.spec.maxEntries * PAGE_BYTES
  if (section.size > roomBytes) {
    return bad(`expected at most the ${roomBytes} bytes of arena '${arena.spec.name}', found ${section.size}`)
  }
  const spec: MapSpec = {
    ...arena.spec,
    initialValue: section.data,
    variables: file.btf?.find(ARENA_SECTION, BTF_KIND.DATASEC),
  }
  return {
    maps: maps.map((map) => (map === arena ? { ...map, spec } : map)),
    data: { sectionIndex: section.index, spec },
  }
}
