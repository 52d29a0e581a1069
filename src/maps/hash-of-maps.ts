/**
 * BPF_MAP_TYPE_HASH_OF_MAPS: a hash table whose values are maps. A program's lookup gives the inner map itself, user
 * space's its id.
 *
 * An element's value is the arena offset of the inner map's header. A replacement changes it in its place, so that
 * the order of keys stays. What an entry held is let go after the programs that may have looked it up have ended.
 *
 * Source: the behaviour of kernel/bpf/hashtab.c of Linux 6.18.
 */
import { BPF_F_NO_PREALLOC, E2BIG, EBADF, EINVAL, ENOENT, ENOMEM, ENOTSUPP } from '../abi/index.ts'
import { indexKey } from './array.ts'
import { HashBase } from './hash-base.ts'
import { type InnerModel, isLike, modelOf } from './inner-map.ts'
import type { MapDefinition, MapHost } from './map.ts'
import { MapBase } from './map-base.ts'
import type { DescriptorTable } from './reference-array.ts'

export class HashOfMaps<Entry extends object = object> extends HashBase {
  readonly model: InnerModel
  /** Lets `write` and `read` take and give descriptors; set by the kernel right after creation. */
  descriptors: DescriptorTable<Entry> | undefined
  /** By element. */
  readonly #entries = new Map<number, Entry>()

  constructor(host: MapHost, definition: MapDefinition) {
    const isPreallocated = (definition.flags & BPF_F_NO_PREALLOC) === 0
    super(host, definition, false, isPreallocated ? definition.maxEntries : 0, 'none')
    this.model = modelOf(definition.inner)
  }

  /** Offset of the inner map's header; 0 where there is none. */
  override lookup(key: number, _cpu: number): number {
    const element = this.find(key)
    return element === 0 ? 0 : this.host.arena.view.getUint32(this.valueAt(element, 0), true)
  }

  /** Programs cannot write entries; a verified program never gets here. */
  update(_key: number, _value: number, _flags: bigint, _cpu: number): number {
    return -EINVAL
  }

  /** Linux has no walk for programs over maps of maps. */
  override forEach(_cpu: number, _visit: (key: number, value: number) => boolean): number {
    return -EINVAL
  }

  override read(key: Uint8Array, flags: bigint): Uint8Array | number {
    if (flags !== 0n) return -EINVAL
    const idOf = this.descriptors?.idOf
    if (idOf === undefined) return -ENOTSUPP
    this.placeKey(key)
    const entry = this.#entries.get(this.find(this.scratchKey))
    return entry === undefined ? -ENOENT : indexKey(idOf(entry))
  }

  /** The inner map's id. */
  override userValueOf(element: number): Uint8Array {
    const entry = this.#entries.get(element)
    return entry === undefined ? new Uint8Array(4) : indexKey(this.descriptors?.idOf?.(entry) ?? 0)
  }

  override readAndRemove(_key: Uint8Array, flags: bigint): Uint8Array | number {
    return flags !== 0n ? -EINVAL : -ENOTSUPP
  }

  override [Symbol.dispose](): void {
    for (const element of [...this.#entries.keys()]) this.#letGo(element)
    super[Symbol.dispose]()
  }

  protected release(element: number): void {
    this.#letGo(element)
    this.pool.retire(element)
  }

  /** The value is a descriptor; a bad one is said before anything else. */
  protected updateFromUser(key: number, value: number, flags: bigint): number {
    const { descriptors } = this
    const entry = descriptors?.resolve(this.host.arena.view.getUint32(value, true)) ?? -EBADF
    if (typeof entry === 'number') return entry
    const status = this.#put(key, entry, flags)
    if (status < 0) descriptors?.release(entry)
    return status
  }

  #put(key: number, entry: Entry, flags: bigint): number {
    const map = this.descriptors?.mapOf?.(entry)
    const mode = MapBase.updateMode(flags)
    if (map === undefined || !isLike(this.model, map) || mode < 0) return -EINVAL
    const hash = this.hashKey(key)
    const old = this.findHashed(key, hash)
    const refusal = HashBase.refusal(mode, old)
    if (refusal !== 0) return refusal
    if (old !== 0) {
      this.#letGo(old)
      this.#set(old, entry, map.address)
      return 0
    }
    if (this.count >= this.definition.maxEntries) return -E2BIG
    const element = this.pool.take()
    if (element === 0) return -ENOMEM
    this.copyKey(element, key)
    this.#set(element, entry, map.address)
    this.link(element, hash)
    return 0
  }

  #set(element: number, entry: Entry, address: bigint): void {
    const { arena } = this.host
    arena.view.setUint32(this.valueAt(element, 0), arena.offsetOf(address), true)
    this.#entries.set(element, entry)
  }

  #letGo(element: number): void {
    const entry = this.#entries.get(element)
    const { descriptors } = this
    this.#entries.delete(element)
    if (entry !== undefined) this.host.grace.defer(() => descriptors?.release(entry))
  }
}
