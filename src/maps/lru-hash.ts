/**
 * BPF_MAP_TYPE_LRU_HASH and BPF_MAP_TYPE_LRU_PERCPU_HASH: hash tables that make room by evicting.
 *
 * Only a program's lookup counts as use; user space may walk the map without changing what is evicted. As in
 * Linux, an update of a plain LRU map first claims a node, which can evict even the key that it updates.
 */
import { BPF_EXIST, BPF_F_NO_COMMON_LRU, ENOMEM } from '../abi/index.ts'
import { HashBase } from './hash-base.ts'
import { hashElement } from './layout.ts'
import { LruLists } from './lru-lists.ts'
import type { MapDefinition, MapHost } from './map.ts'
import { MapBase } from './map-base.ts'

const REFERENCED = hashElement.offsets.referenced
const NODE = hashElement.offsets.node

/** A hash table that is never full: it forgets what was not used for longest. */
export class LruHashMap extends HashBase {
  readonly #lists: LruLists
  /** Element of each node; 0: none. */
  readonly #elements: Uint32Array

  constructor(host: MapHost, definition: MapDefinition, isPerCpu: boolean) {
    super(host, definition, isPerCpu, definition.maxEntries)
    const { maxEntries, flags } = definition
    this.#elements = new Uint32Array(maxEntries)
    const owner = {
      isReferenced: (node: number) => this.#isReferenced(node),
      clearReferenced: (node: number) => this.#setReferenced(this.#elements[node] as number, 0),
      evict: (node: number) => this.#evict(node),
    }
    this.#lists = new LruLists(owner, maxEntries, host.cpuCount, (flags & BPF_F_NO_COMMON_LRU) === 0)
  }

  override lookup(key: number, cpu: number): number {
    const element = this.find(key)
    if (element === 0) return 0
    this.#setReferenced(element, 1)
    return this.valueAt(element, cpu)
  }

  /** Unlike `lookup`, no use in the sense of the lists. */
  override lookupOfCpu(key: number, ofCpu: number): number {
    if (!this.isPerCpu || ofCpu >= this.host.cpuCount) return 0
    return super.lookup(key, ofCpu)
  }

  update(key: number, value: number, flags: bigint, cpu: number): number {
    return this.isPerCpu
      ? this.#updatePerCpu(key, value, flags, cpu, false)
      : this.#updatePlain(key, value, flags, cpu)
  }

  protected updateFromUser(key: number, value: number, flags: bigint, cpu: number): number {
    return this.isPerCpu
      ? this.#updatePerCpu(key, value, flags, cpu, true)
      : this.#updatePlain(key, value, flags, cpu)
  }

  protected release(element: number): void {
    const node = this.host.arena.view.getUint32(element + NODE, true)
    this.#lists.give(node)
    this.#elements[node] = 0
    this.pool.retire(element)
  }

  #updatePlain(key: number, value: number, flags: bigint, cpu: number): number {
    const mode = MapBase.updateMode(flags)
    if (mode < 0) return HashBase.refusal(mode, 0)
    const hash = this.hashKey(key)
    const element = this.#take(cpu)
    if (element === 0) return -ENOMEM
    const old = this.findHashed(key, hash)
    const refusal = HashBase.refusal(mode, old)
    if (refusal !== 0) {
      this.#untake(element)
      return refusal
    }
    this.copyKey(element, key)
    this.fillValue(element, value, cpu, false)
    this.link(element, hash)
    if (old !== 0) {
      this.#setReferenced(element, 1)
      this.unlink(old)
      this.release(old)
    }
    return 0
  }

  #updatePerCpu(key: number, value: number, flags: bigint, cpu: number, allCpus: boolean): number {
    const mode = MapBase.updateMode(flags)
    if (mode < 0) return HashBase.refusal(mode, 0)
    const hash = this.hashKey(key)
    const element = mode === BPF_EXIST ? 0 : this.#take(cpu)
    if (element === 0 && mode !== BPF_EXIST) return -ENOMEM
    const old = this.findHashed(key, hash)
    const refusal = HashBase.refusal(mode, old)
    if (refusal === 0 && old === 0) {
      this.copyKey(element, key)
      this.fillValue(element, value, cpu, allCpus)
      this.link(element, hash)
      return 0
    }
    if (refusal === 0) {
      this.#setReferenced(old, 1)
      this.replaceValue(old, value, cpu, allCpus)
    }
    if (element !== 0) this.#untake(element)
    return refusal
  }

  /** An element with a node of the lists; 0 where all nodes are busy or memory has run out. */
  #take(cpu: number): number {
    const node = this.#lists.take(cpu)
    if (node < 0) return 0
    const element = this.pool.take()
    if (element === 0) {
      this.#lists.give(node)
      return 0
    }
    this.#elements[node] = element
    const view = this.host.arena.view
    view.setUint32(element + NODE, node, true)
    view.setUint32(element + REFERENCED, 0, true)
    return element
  }

  #untake(element: number): void {
    const node = this.host.arena.view.getUint32(element + NODE, true)
    this.#lists.give(node)
    this.#elements[node] = 0
    this.pool.untake(element)
  }

  #isReferenced(node: number): boolean {
    const element = this.#elements[node] as number
    return element !== 0 && this.host.arena.view.getUint32(element + REFERENCED, true) !== 0
  }

  #setReferenced(element: number, value: number): void {
    if (element !== 0) this.host.arena.view.setUint32(element + REFERENCED, value, true)
  }

  #evict(node: number): boolean {
    const element = this.#elements[node] as number
    if (element === 0 || !this.unlink(element)) return false
    this.#elements[node] = 0
    this.pool.retire(element)
    return true
  }
}
