/**
 * BPF_MAP_TYPE_ARRAY_OF_MAPS: a program's lookup gives the inner map itself, user space's its id.
 *
 * The word of an index is the arena offset of the inner map's header. An entry holds its map; when it is replaced
 * or deleted the map is let go after the programs that may have looked it up have ended.
 */
import { type InnerModel, isLike, modelOf } from './inner-map.ts'
import type { MapDefinition, MapHost } from './map.ts'
import { ReferenceArray } from './reference-array.ts'

export class ArrayOfMaps<Entry extends object = object> extends ReferenceArray<Entry> {
  readonly model: InnerModel

  constructor(host: MapHost, definition: MapDefinition) {
    super(host, definition)
    this.model = modelOf(definition.inner)
  }

  /** Offset of the inner map's header; 0 where there is none. */
  override lookup(key: number, _cpu: number): number {
    const { view } = this.host.arena
    const index = view.getUint32(key, true)
    return index < this.definition.maxEntries ? view.getUint32(this.present + index * 4, true) : 0
  }

  protected override admits(entry: Entry): boolean {
    const map = this.descriptors?.mapOf?.(entry)
    return map !== undefined && isLike(this.model, map)
  }

  protected override wordOf(entry: Entry): number {
    const map = this.descriptors?.mapOf?.(entry)
    if (map === undefined) throw new Error(`${this.definition.name}: an entry that is no map`)
    return this.host.arena.offsetOf(map.address)
  }
}
