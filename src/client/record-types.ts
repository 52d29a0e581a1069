/** Finds the C type of the records that a ring or perf buffer carries, which nothing in an object states. */
import { BTF_KIND, type Btf, type BtfId } from '../btf/index.ts'

/** A struct for the records of `map`. */
export interface RecordType {
  readonly id: BtfId
  readonly name: string
  readonly sizeBytes: number
}

/**
 * The struct that the records of a map are, as far as it can be told: the one that a global pointer keeps in the
 * object for this purpose (`const struct event *unused __attribute__((unused))`), if there is one; else one that is
 * named after the map (`events`: `event`, `event_t`, `events_event`), or just `event`.
 */
export function guessRecordType(btf: Btf, map: string): RecordType | undefined {
  const kept = keptTypes(btf)
  const singular = map.replace(/s$/, '')
  const wanted = [map, singular, `${singular}_event`, `${map}_event`, 'event'].flatMap((name) => [
    name,
    `${name}_t`,
  ])
  const byName = wanted.map((name) => recordType(btf, name)).find((type) => type !== undefined)
  if (kept.length > 0)
    return kept.find((type) => type.name === byName?.name) ?? (kept.length === 1 ? kept[0] : byName)
  return byName
}

/** The struct of this name, or what a typedef of this name is. */
export function recordType(btf: Btf, name: string): RecordType | undefined {
  const id = btf.find(name, BTF_KIND.STRUCT) ?? btf.find(name, BTF_KIND.TYPEDEF)
  return id === undefined ? undefined : structOf(btf, id)
}

function structOf(btf: Btf, id: BtfId): RecordType | undefined {
  const resolved = btf.resolve(id)
  const type = btf.typeById(resolved)
  if (type.kind !== BTF_KIND.STRUCT) return undefined
  return { id: resolved, name: type.name || btf.nameOf(id), sizeBytes: type.size }
}

/** Structs that global variables point to. */
function keptTypes(btf: Btf): RecordType[] {
  const found: RecordType[] = []
  for (const id of btf.ids()) {
    const type = btf.typeById(id)
    if (type.kind !== BTF_KIND.VAR) continue
    const pointer = btf.typeById(btf.resolve(type.type))
    if (pointer.kind !== BTF_KIND.PTR) continue
    const target = structOf(btf, pointer.type)
    if (target !== undefined) found.push(target)
  }
  return found
}
