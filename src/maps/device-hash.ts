/**
 * BPF_MAP_TYPE_DEVMAP_HASH: a devmap whose indexes are any numbers; the number is its own hash.
 *
 * Source: the behaviour of kernel/bpf/devmap.c of Linux.
 */
import { BPF_EXIST, BPF_NOEXIST, E2BIG, EEXIST, EINVAL, ENOMEM, ENOTSUPP } from '../abi/index.ts'
import { HashBase } from './hash-base.ts'
import type { MapDefinition, MapHost } from './map.ts'
import { checkDevice } from './redirect-array.ts'

export class DeviceHash extends HashBase {
  constructor(host: MapHost, definition: MapDefinition) {
    super(host, definition, false, 0, 'read')
  }

  /** Unlike a hash table, it takes BPF_EXIST for a new index. */
  update(key: number, value: number, flags: bigint, _cpu: number): number {
    const { view } = this.host.arena
    const { valueSize, maxEntries } = this.definition
    if (flags > BigInt(BPF_EXIST) || view.getUint32(value, true) === 0) return -EINVAL
    const hash = this.hashKey(key)
    const old = this.findHashed(key, hash)
    if (old !== 0 && flags === BigInt(BPF_NOEXIST)) return -EEXIST
    if (checkDevice(this.host, value, valueSize, 0) <= 0) return -EINVAL
    if (old === 0 && this.count >= maxEntries) return -E2BIG
    const element = this.pool.take()
    if (element === 0) return -ENOMEM
    this.copyKey(element, key)
    this.copyValue(element, value, 0, false)
    if (valueSize > 4) this.host.arena.view.setUint32(this.valueAt(element, 0) + 4, 0, true)
    if (old !== 0) {
      this.unlink(old)
      this.release(old)
    }
    this.link(element, hash)
    return 0
  }

  override forEach(_cpu: number, _visit: (key: number, value: number) => boolean): number {
    return -EINVAL
  }

  override readAndRemove(_key: Uint8Array, flags: bigint): Uint8Array | number {
    return flags !== 0n ? -EINVAL : -ENOTSUPP
  }

  /** Whether a packet can be sent to `index`. */
  has(index: number): boolean {
    this.host.arena.view.setUint32(this.scratchKey, index, true)
    return this.find(this.scratchKey) !== 0
  }

  protected updateFromUser(key: number, value: number, flags: bigint): number {
    return this.update(key, value, flags, 0)
  }

  protected release(element: number): void {
    this.pool.retire(element)
  }

  protected override hashKey(key: number): number {
    return this.host.arena.view.getUint32(key, true)
  }
}
