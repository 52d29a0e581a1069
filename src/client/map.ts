/** Maps of a loaded object, with typed keys and values. */
import { BPF_ANY, BPF_CMD, BPF_MAP_TYPE, ENOENT } from '../abi/index.ts'
import type { BtfValue } from './btf-codec.ts'
import { type Codec, decodeWith, encodeWith } from './codec.ts'
import { SyscallError } from './errors.ts'
import { deleteAll, readAll, setAll, takeAll } from './map-all.ts'
import type { MapHandle } from './map-handle.ts'
import type { MappedArena } from './mapped-arena.ts'
import type { MapSpec } from './spec/index.ts'

const perCpuTypes: readonly number[] = [
  BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE.BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
]

/** Whether a value of the map has one element for each CPU. */
export const isPerCpu = (type: number): boolean => perCpuTypes.includes(type)

/** How an iteration ended: `false` where the map changed so fast that it was given up. */
export interface IterationEnd {
  readonly isComplete: boolean
}

/**
 * A map in the kernel. The values of a per-CPU map are arrays with one element for each CPU.
 *
 * A result that a correct caller meets is a value (`undefined`, `false`, a returned `SyscallError`); an error
 * that only a mistake can cause, such as a look-up in a ring buffer, is thrown as a `SyscallError`.
 */
export class BpfMap<K = BtfValue, V = BtfValue> implements Disposable {
  readonly spec: MapSpec
  readonly handle: MapHandle
  readonly keyCodec: Codec<K>
  /** Of the whole value: for a per-CPU map, of all CPUs. */
  readonly valueCodec: Codec<V>

  constructor(spec: MapSpec, handle: MapHandle, keyCodec: Codec<K>, valueCodec: Codec<V>) {
    if (keyCodec.size !== handle.keySize || valueCodec.size !== handle.valueBytes) {
      throw new RangeError(
        `map '${spec.name}' has keys of ${handle.keySize} and values of ${handle.valueBytes} bytes, ` +
          `not ${keyCodec.size} and ${valueCodec.size}`,
      )
    }
    this.spec = spec
    this.handle = handle
    this.keyCodec = keyCodec
    this.valueCodec = valueCodec
  }

  get name(): string {
    return this.spec.name
  }

  get fd(): number {
    return this.handle.fd
  }

  /** As created: what the object left open is filled in. */
  get maxEntries(): number {
    return this.handle.maxEntries
  }

  /** The memory of an arena. Throws for maps of other types. */
  get arena(): MappedArena {
    const { arena } = this.handle
    if (arena === undefined) throw new TypeError(`map '${this.name}' is not a mapped arena`)
    return arena
  }

  /** The same map seen through other codecs; disposing either closes it. */
  withCodecs<K2, V2>(key: Codec<K2>, value: Codec<V2>): BpfMap<K2, V2> {
    return new BpfMap(this.spec, this.handle, key, value)
  }

  /** The value, or undefined where there is no such key. */
  get(key: K): V | undefined {
    return this.#found('BPF_MAP_LOOKUP_ELEM', this.handle.lookup(this.#keyBytes(key)))
  }

  /** Removes the element and returns what it was. */
  take(key: K): V | undefined {
    const cmd = BPF_CMD.BPF_MAP_LOOKUP_AND_DELETE_ELEM
    return this.#found('BPF_MAP_LOOKUP_AND_DELETE_ELEM', this.handle.lookup(this.#keyBytes(key), cmd))
  }

  /** Writes an element; the error tells that the map is full (E2BIG), frozen (EPERM), or that `flags` forbade it. */
  set(key: K, value: V, flags: number = BPF_ANY): SyscallError | undefined {
    const result = this.handle.update(this.#keyBytes(key), encodeWith(this.valueCodec, value), flags)
    return result < 0 ? new SyscallError('BPF_MAP_UPDATE_ELEM', result, `map '${this.name}'`) : undefined
  }

  /** Removes an element; false where there was none. */
  delete(key: K): boolean {
    const result = this.handle.remove(this.#keyBytes(key))
    if (result < 0 && result !== -ENOENT) {
      throw new SyscallError('BPF_MAP_DELETE_ELEM', result, `map '${this.name}'`)
    }
    return result >= 0
  }

  /** Each key once; see `entries`. */
  *keys(): Generator<K, IterationEnd> {
    const keys = this.#rawKeys()
    for (;;) {
      const step = keys.next()
      if (step.done) return step.value
      yield decodeWith(this.keyCodec, step.value)
    }
  }

  *values(): Generator<V, IterationEnd> {
    const entries = this.entries()
    for (;;) {
      const step = entries.next()
      if (step.done) return step.value
      yield step.value[1]
    }
  }

  /**
   * The elements, each key at most once. The map may change meanwhile: what is deleted before its turn is left
   * out, what is added may be missed. It ends even where elements come and go without end: a hash map whose
   * current key has vanished starts again, and after four times as many steps as the map has room, the iteration
   * gives up and its return value says so.
   */
  *entries(): Generator<[K, V], IterationEnd> {
    const keys = this.#rawKeys()
    for (;;) {
      const step = keys.next()
      if (step.done) return step.value
      const value = this.#found('BPF_MAP_LOOKUP_ELEM', this.handle.lookup(step.value))
      if (value !== undefined) yield [decodeWith(this.keyCodec, step.value), value]
    }
  }

  [Symbol.iterator](): Generator<[K, V], IterationEnd> {
    return this.entries()
  }

  /** Deletes every element; throws for a map whose elements cannot be deleted, such as an array. */
  clear(): void {
    for (const key of this.keys()) this.delete(key)
  }

  /**
   * The elements that are there now, in few calls where the kernel has batches for this type of map, else one by one.
   * One that is replaced meanwhile may be met twice.
   */
  readAll(): [K, V][] {
    return readAll(this)
  }

  /** Removes the elements that are there now and returns them. */
  takeAll(): [K, V][] {
    return takeAll(this)
  }

  /** Writes elements in their order; the error is that of the first which could not be written. */
  setAll(entries: Iterable<readonly [K, V]>): SyscallError | undefined {
    return setAll(this, entries)
  }

  /** Removes elements and returns how many of them there were. */
  deleteAll(keys: Iterable<K>): number {
    return deleteAll(this, keys)
  }

  [Symbol.dispose](): void {
    this.handle[Symbol.dispose]()
  }

  *#rawKeys(): Generator<Uint8Array, IterationEnd> {
    const seen = new Set<string>()
    const limit = this.maxEntries * 4 + 16
    let next = this.#nextKey(undefined)
    for (let step = 0; next !== undefined; step++) {
      if (step >= limit) return { isComplete: false }
      const key = next
      // Asked for before the caller sees `key`, so that deleting it does not start the walk again.
      next = this.#nextKey(key)
      const identity = String.fromCharCode(...key)
      if (seen.has(identity)) continue
      seen.add(identity)
      yield key
    }
    return { isComplete: true }
  }

  #nextKey(key: Uint8Array | undefined): Uint8Array | undefined {
    const next = this.handle.nextKey(key)
    if (typeof next !== 'number') return next
    if (next === -ENOENT) return undefined
    throw new SyscallError('BPF_MAP_GET_NEXT_KEY', next, `map '${this.name}'`)
  }

  #keyBytes(key: K): Uint8Array {
    return encodeWith(this.keyCodec, key)
  }

  #found(call: string, value: Uint8Array | number): V | undefined {
    if (typeof value !== 'number') return decodeWith(this.valueCodec, value)
    if (value === -ENOENT) return undefined
    throw new SyscallError(call, value, `map '${this.name}'`)
  }
}
