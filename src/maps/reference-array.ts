/**
 * BPF_MAP_TYPE_PROG_ARRAY, BPF_MAP_TYPE_PERF_EVENT_ARRAY and BPF_MAP_TYPE_CGROUP_ARRAY: arrays of kernel objects.
 * (`array-of-maps.ts` is the one whose entries programs see.)
 *
 * User space writes descriptors; the kernel turns each into the object it names and stores that with
 * `setEntry`, which takes over one reference. The reference is given back through `onRelease` when the entry
 * is replaced, deleted or the map goes, after programs that may be using it have ended.
 */
import { BPF_ANY, E2BIG, EBADF, EINVAL, ENOENT, ENOTSUPP } from '../abi/index.ts'
import { indexKey, nextIndex } from './array.ts'
import type { BpfMap, MapDefinition, MapHost } from './map.ts'
import { MapBase } from './map-base.ts'

/** How a reference array meets the kernel's descriptors; set by the kernel right after creation. */
export interface DescriptorTable<Entry extends object> {
  /** The object behind a descriptor, with a reference of its own; or -errno. */
  resolve(fd: number): Entry | number
  /** What user space reads back, such as the program's id; undefined where the type cannot be read. */
  idOf?(entry: Entry): number
  /** Maps of maps: the map that the entry is. */
  mapOf?(entry: Entry): BpfMap
  /** Gives the reference back. */
  release(entry: Entry): void
}

/** An array whose entries are objects of the kernel, each held by one reference. */
export class ReferenceArray<Entry extends object = object> extends MapBase {
  readonly memoryBytes: number
  /** Called once for every reference that the map gives up. */
  onRelease: ((entry: Entry) => void) | undefined
  /** Lets `write` and `read` take and give descriptors; without it they answer -EBADF and -ENOTSUPP. */
  descriptors: DescriptorTable<Entry> | undefined
  readonly #entries = new Map<number, Entry>()
  /** u32 for each index, what `wordOf` says where there is an entry, else 0: what compiled code looks at. */
  protected readonly present: number

  constructor(host: MapHost, definition: MapDefinition) {
    super(host, definition, false)
    this.present = this.own(definition.maxEntries * 4)
    this.memoryBytes = this.ownedBytes
    this.writeHeader({ cpuCount: 1, elementSize: 4, data: this.present, mask: 0, seed: 0 })
  }

  /** The object at `index`; undefined where there is none or the index is out of range. */
  entryAt(index: number): Entry | undefined {
    return this.#entries.get(index)
  }

  /** Stores or, with undefined, deletes. 0 or -errno; on -errno the caller keeps its reference. */
  setEntry(index: number, entry: Entry | undefined, flags: bigint): number {
    if (flags !== BigInt(BPF_ANY)) return -EINVAL
    if (index >= this.definition.maxEntries) return -E2BIG
    const old = this.#entries.get(index)
    if (entry === undefined && old === undefined) return -ENOENT
    if (entry === undefined) this.#entries.delete(index)
    else this.#entries.set(index, entry)
    this.host.arena.words[(this.present >>> 2) + index] = entry === undefined ? 0 : this.wordOf(entry)
    if (old !== undefined) this.#release(old)
    return 0
  }

  /** Removes every entry, as Linux does when a program array loses its last user reference. */
  clear(): void {
    for (const index of [...this.#entries.keys()]) this.setEntry(index, undefined, 0n)
  }

  /** Programs never see the entries. */
  lookup(_key: number, _cpu: number): number {
    return 0
  }

  /** Programs cannot write them; a verified program never gets here. */
  update(_key: number, _value: number, _flags: bigint, _cpu: number): number {
    return -EINVAL
  }

  delete(key: number): number {
    return this.setEntry(this.host.arena.view.getUint32(key, true), undefined, 0n)
  }

  forEach(_cpu: number, _visit: (key: number, value: number) => boolean): number {
    return -EINVAL
  }

  nextKey(key: Uint8Array | undefined): Uint8Array | number {
    const next = nextIndex(key, this.definition.maxEntries)
    return next < 0 ? -ENOENT : indexKey(next)
  }

  override read(key: Uint8Array, flags: bigint): Uint8Array | number {
    if (flags !== 0n) return -EINVAL
    const idOf = this.descriptors?.idOf
    if (idOf === undefined) return -ENOTSUPP
    this.placeKey(key)
    const entry = this.entryAt(this.host.arena.view.getUint32(this.scratchKey, true))
    return entry === undefined ? -ENOENT : indexKey(idOf(entry))
  }

  override [Symbol.dispose](): void {
    this.clear()
    super[Symbol.dispose]()
  }

  protected peek(_key: number): number {
    return 0
  }

  protected updateFromUser(key: number, value: number, flags: bigint): number {
    if (flags !== BigInt(BPF_ANY)) return -EINVAL
    const view = this.host.arena.view
    const index = view.getUint32(key, true)
    if (index >= this.definition.maxEntries) return -E2BIG
    const entry = this.descriptors?.resolve(view.getUint32(value, true)) ?? -EBADF
    if (typeof entry === 'number') return entry
    if (!this.admits(entry)) {
      this.descriptors?.release(entry)
      return -EINVAL
    }
    return this.setEntry(index, entry, flags)
  }

  /** Not 0. */
  protected wordOf(_entry: Entry): number {
    return 1
  }

  /** Whether an object that a descriptor names may become an entry. */
  protected admits(_entry: Entry): boolean {
    return true
  }

  #release(entry: Entry): void {
    this.host.grace.defer(() => {
      this.onRelease?.(entry)
      this.descriptors?.release(entry)
    })
  }
}
