/**
 * BPF_MAP_TYPE_DEVMAP_HASH: a devmap whose indexes are any numbers; the number is its own hash.
 *
 * Source: the behaviour of kernel/bpf/devmap.c of Linux.
 */
import { BPF_EXIST, BPF_NOEXIST, E2BIG, EEXIST, EINVAL, ENOMEM, ENOTSUPP } from '../abi/index.ts'
import { HashBase } from './hash-base.ts'
import type { MapDefinition, MapHost } from './map.ts'
import {
  checkDevice,
  PROGRAM,
  type RedirectTarget,
  type TargetPrograms,
  takeProgram,
  targetAt,
} from './redirect-array.ts'

export class DeviceHash extends HashBase {
  programs: TargetPrograms | undefined

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
    const program = takeProgram(this.programs, view, value, valueSize)
    if (program < 0) return -EINVAL
    const element = old === 0 && this.count >= maxEntries ? 0 : this.pool.take()
    if (element === 0) {
      if (program > 0) this.programs?.release(program)
      return old === 0 && this.count >= maxEntries ? -E2BIG : -ENOMEM
    }
    this.copyKey(element, key)
    this.copyValue(element, value, 0, false)
    if (valueSize > PROGRAM) {
      this.host.arena.view.setUint32(this.valueAt(element, 0) + PROGRAM, program, true)
    }
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

  /** Where a packet goes that is sent to `index`. */
  target(index: number): RedirectTarget | undefined {
    const { view } = this.host.arena
    view.setUint32(this.scratchKey, index, true)
    const element = this.find(this.scratchKey)
    return element === 0 ? undefined : targetAt(view, this.valueAt(element, 0), this.definition.valueSize)
  }

  targets(): RedirectTarget[] {
    const all: RedirectTarget[] = []
    for (let key = this.nextKey(undefined); typeof key !== 'number'; key = this.nextKey(key)) {
      const target = this.target(new DataView(key.buffer, key.byteOffset).getUint32(0, true))
      if (target !== undefined) all.push(target)
    }
    return all
  }

  protected updateFromUser(key: number, value: number, flags: bigint): number {
    return this.update(key, value, flags, 0)
  }

  override [Symbol.dispose](): void {
    for (let key = this.nextKey(undefined); typeof key !== 'number'; key = this.nextKey(undefined))
      this.remove(key)
    super[Symbol.dispose]()
  }

  protected release(element: number): void {
    if (this.definition.valueSize > PROGRAM) {
      const program = this.host.arena.view.getUint32(this.valueAt(element, 0) + PROGRAM, true)
      if (program !== 0) this.programs?.release(program)
    }
    this.pool.retire(element)
  }

  protected override hashKey(key: number): number {
    return this.host.arena.view.getUint32(key, true)
  }
}
