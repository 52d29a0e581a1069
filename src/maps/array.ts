/**
 * BPF_MAP_TYPE_ARRAY and BPF_MAP_TYPE_PERCPU_ARRAY: values in a row, all of them always there.
 */
import {
  BPF_EXIST,
  BPF_F_LOCK,
  BPF_F_MMAPABLE,
  BPF_NOEXIST,
  E2BIG,
  EEXIST,
  EINVAL,
  ENOENT,
  PAGE_SIZE,
} from '../abi/index.ts'
import { roundUp } from './layout.ts'
import type { MapDefinition, MapHost } from './map.ts'
import { MapBase } from './map-base.ts'
import { clearFields, type SpecialFields } from './special-fields.ts'

const EXIST = BigInt(BPF_EXIST)
const NOEXIST = BigInt(BPF_NOEXIST)
const LOCK = BigInt(BPF_F_LOCK)

/** An array, with one value for each index or for each index and CPU. */
export class ArrayMap extends MapBase {
  readonly memoryBytes: number
  readonly #isPerCpu: boolean
  readonly #elementSize: number
  readonly #values: number
  readonly #mappedBytes: number
  /** Where `forEach` shows an index to a program. */
  readonly #visitedKey: number

  constructor(host: MapHost, definition: MapDefinition, isPerCpu: boolean) {
    super(host, definition, isPerCpu)
    const { valueSize, maxEntries, flags } = definition
    this.#isPerCpu = isPerCpu
    const cpuCount = isPerCpu ? host.cpuCount : 1
    this.#elementSize = this.valueStride * cpuCount
    const sizeBytes = this.#elementSize * maxEntries
    const isMapped = (flags & BPF_F_MMAPABLE) !== 0
    this.#mappedBytes = isMapped ? roundUp(sizeBytes, PAGE_SIZE) : 0
    this.#values = this.own(isMapped ? this.#mappedBytes : sizeBytes, 'none', isMapped ? PAGE_SIZE : 8)
    const access = MapBase.valueAccess(flags)
    if (valueSize === this.valueStride) {
      host.arena.setAccess(this.#values, sizeBytes, access)
    } else {
      for (let at = 0; at < sizeBytes; at += this.valueStride) {
        host.arena.setAccess(this.#values + at, valueSize, access)
      }
    }
    this.#visitedKey = this.own(4, 'read')
    this.memoryBytes = this.ownedBytes
    this.writeHeader({ cpuCount, elementSize: this.#elementSize, data: this.#values, mask: 0, seed: 0 })
  }

  /** What mmap of a BPF_F_MMAPABLE array shows; undefined for others. */
  get region(): { readonly offset: number; readonly sizeBytes: number } | undefined {
    return this.#mappedBytes === 0 ? undefined : { offset: this.#values, sizeBytes: this.#mappedBytes }
  }

  /** Offset of the first value, what a BPF_PSEUDO_MAP_VALUE of a one-element array points to. */
  get valuesOffset(): number {
    return this.#values
  }

  lookup(key: number, cpu: number): number {
    const index = this.host.arena.view.getUint32(key, true)
    if (index >= this.definition.maxEntries) return 0
    const first = this.#values + index * this.#elementSize
    return this.#isPerCpu ? first + cpu * this.valueStride : first
  }

  override lookupOfCpu(key: number, ofCpu: number): number {
    return this.#isPerCpu && ofCpu < this.host.cpuCount ? this.lookup(key, ofCpu) : 0
  }

  update(key: number, value: number, flags: bigint, cpu: number): number {
    if (flags > EXIST && (flags & ~LOCK) > EXIST) return -EINVAL
    const target = this.lookup(key, cpu)
    if (target === 0) return -E2BIG
    if ((flags & NOEXIST) !== 0n) return -EEXIST
    if (flags > EXIST && this.lockOffset === undefined) return -EINVAL
    this.copyValues(target, value, 1)
    this.releaseValues(target, 1)
    return 0
  }

  delete(_key: number): number {
    return -EINVAL
  }

  forEach(cpu: number, visit: (key: number, value: number) => boolean): number {
    const { arena } = this.host
    const outer = arena.view.getUint32(this.#visitedKey, true)
    let visited = 0
    for (let isDone = false; !isDone && visited < this.definition.maxEntries; visited++) {
      arena.view.setUint32(this.#visitedKey, visited, true)
      isDone = visit(this.#visitedKey, this.lookup(this.#visitedKey, cpu))
    }
    // the visitor of an outer walk still looks at its key
    arena.view.setUint32(this.#visitedKey, outer, true)
    return visited
  }

  nextKey(key: Uint8Array | undefined): Uint8Array | number {
    const next = nextIndex(key, this.definition.maxEntries)
    return next < 0 ? -ENOENT : indexKey(next)
  }

  protected peek(key: number): number {
    return this.lookup(key, 0)
  }

  protected updateFromUser(key: number, value: number, flags: bigint): number {
    if (!this.#isPerCpu) return this.update(key, value, flags, 0)
    if (flags > EXIST) return -EINVAL
    const target = this.lookup(key, 0)
    if (target === 0) return -E2BIG
    if (flags === NOEXIST) return -EEXIST
    this.copyValues(target, value, this.host.cpuCount)
    this.releaseValues(target, this.host.cpuCount)
    return 0
  }

  override setSpecialFields(fields: SpecialFields): void {
    super.setSpecialFields(fields)
    this.#eachValue((value) => clearFields(this.host.arena.bytes, fields, value))
  }

  override [Symbol.dispose](): void {
    this.#eachValue((value) => this.releaseValues(value, 1))
    super[Symbol.dispose]()
  }

  cancelTimed(): void {
    this.#eachValue((value) => this.specialFields?.cancel(value))
  }

  keyOfValue(value: number): number {
    const index = Math.floor((value - this.#values) / this.#elementSize)
    if (index < 0 || index >= this.definition.maxEntries) return 0
    this.host.arena.view.setUint32(this.#visitedKey, index, true)
    return this.#visitedKey
  }

  #eachValue(visit: (value: number) => void): void {
    if (this.specialFields === undefined) return
    const end = this.#values + this.#elementSize * this.definition.maxEntries
    for (let value = this.#values; value < end; value += this.valueStride) visit(value)
  }
}

/** The index after `key`: 0 for none and for one out of range, -1 after the last. */
export function nextIndex(key: Uint8Array | undefined, maxEntries: number): number {
  if (key === undefined) return 0
  const index = new DataView(key.buffer, key.byteOffset, 4).getUint32(0, true)
  if (index >= maxEntries) return 0
  return index === maxEntries - 1 ? -1 : index + 1
}

export function indexKey(index: number): Uint8Array {
  const key = new Uint8Array(4)
  new DataView(key.buffer).setUint32(0, index, true)
  return key
}
