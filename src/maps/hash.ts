/**
 * BPF_MAP_TYPE_HASH and BPF_MAP_TYPE_PERCPU_HASH.
 *
 * Updating a key of a plain hash links a new element in place of the old one, so that a program that holds
 * the old value goes on seeing it whole; per-CPU values, and those with a lock under BPF_F_LOCK, are overwritten
 * where they are. A full table takes
 * replacements, and an insertion right after a deletion in the same run.
 */
import { BPF_F_LOCK, BPF_F_NO_PREALLOC, E2BIG, EINVAL, ENOMEM } from '../abi/index.ts'
import { HashBase } from './hash-base.ts'
import type { MapDefinition, MapHost } from './map.ts'
import { MapBase } from './map-base.ts'

/** A hash table, with one value for each key or for each key and CPU. */
const LOCK = BigInt(BPF_F_LOCK)

export class HashMap extends HashBase {
  constructor(host: MapHost, definition: MapDefinition, isPerCpu: boolean) {
    const isPreallocated = (definition.flags & BPF_F_NO_PREALLOC) === 0
    const spare = isPerCpu ? 0 : host.cpuCount
    super(host, definition, isPerCpu, isPreallocated ? definition.maxEntries + spare : 0)
  }

  update(key: number, value: number, flags: bigint, cpu: number): number {
    return this.#update(key, value, flags, cpu, false)
  }

  protected updateFromUser(key: number, value: number, flags: bigint, cpu: number): number {
    return this.#update(key, value, flags, cpu, this.isPerCpu)
  }

  protected release(element: number): void {
    this.pool.retire(element)
  }

  #update(key: number, value: number, flags: bigint, cpu: number, allCpus: boolean): number {
    const isInPlace = (flags & LOCK) !== 0n
    if (isInPlace && this.lockOffset === undefined) return -EINVAL
    const mode = MapBase.updateMode(flags & ~LOCK)
    if (mode < 0) return HashBase.refusal(mode, 0)
    const hash = this.hashKey(key)
    const old = this.findHashed(key, hash)
    const refusal = HashBase.refusal(mode, old)
    if (refusal !== 0) return refusal
    if (old !== 0 && (this.isPerCpu || isInPlace)) {
      this.replaceValue(old, value, cpu, allCpus)
      return 0
    }
    if (old === 0 && this.count >= this.definition.maxEntries) return -E2BIG
    const element = this.pool.take()
    if (element === 0) return -ENOMEM
    this.copyKey(element, key)
    this.fillValue(element, value, cpu, allCpus)
    this.link(element, hash)
    if (old !== 0) {
      this.unlink(old)
      this.pool.retire(old)
    }
    return 0
  }
}
