/**
 * BPF_MAP_TYPE_TASK_STORAGE, SK_STORAGE, INODE_STORAGE and CGRP_STORAGE: a value for each object of the operating
 * system, found by the object.
 *
 * An owner is any number that the kernel takes for the object as long as it lives; the kernel says when it has
 * ended (`forget`). User space names owners by descriptors, of which this kernel has none: -EBADF.
 *
 * Source: the behaviour of kernel/bpf/bpf_local_storage.c of Linux.
 */
import { BPF_EXIST, EBADF, EINVAL, ENOENT, ENOMEM, ENOTSUPP } from '../abi/index.ts'
import { ElementPool } from './element-pool.ts'
import { HashBase } from './hash-base.ts'
import type { MapDefinition, MapHost } from './map.ts'
import { MapBase, OutOfArena } from './map-base.ts'
import type { SpecialFields } from './special-fields.ts'

export class OwnerStorage extends MapBase {
  /** The owner that a descriptor of user space names, or -errno; set by the kernel. */
  ownerOf: (fd: number) => bigint | number = () => -EBADF
  readonly #pool: ElementPool
  /** Elements by owner. */
  readonly #elements = new Map<bigint, number>()

  constructor(host: MapHost, definition: MapDefinition) {
    super(host, definition, false)
    const { keySize, valueSize, flags } = definition
    const shape = { keySize, valueSize, cpuCount: 1, valueAccess: MapBase.valueAccess(flags) }
    const pool = ElementPool.create(host.arena, host.grace, shape, 0)
    if (pool === undefined) {
      super[Symbol.dispose]()
      throw new OutOfArena(`${definition.name}: no arena memory`)
    }
    this.#pool = pool
    this.writeHeader({ cpuCount: 1, elementSize: pool.elementSize, data: 0, mask: 0, seed: 0 })
  }

  get count(): number {
    return this.#elements.size
  }

  get memoryBytes(): number {
    return this.ownedBytes + this.#pool.memoryBytes
  }

  get owners(): Iterable<bigint> {
    return this.#elements.keys()
  }

  /** Offset of the owner's value; 0 where it has none. */
  find(owner: bigint): number {
    const element = this.#elements.get(owner)
    return element === undefined ? 0 : element + this.#pool.valueOffset
  }

  /** `find`, and where there is none a new value: what lies at `initial`, or zero where that is 0. 0: no memory. */
  findOrCreate(owner: bigint, initial: number): number {
    const found = this.find(owner)
    if (found !== 0) return found
    const element = this.#pool.take()
    if (element === 0) return 0
    const { arena } = this.host
    const value = element + this.#pool.valueOffset
    if (initial === 0) arena.bytes.fill(0, value, value + this.definition.valueSize)
    else this.copyValues(value, initial, 1)
    this.#elements.set(owner, element)
    return value
  }

  /** 0, or -ENOENT. */
  removeOwner(owner: bigint): number {
    const element = this.#elements.get(owner)
    if (element === undefined) return -ENOENT
    this.#elements.delete(owner)
    this.#pool.retire(element)
    return 0
  }

  /** The object has ended. */
  forget(owner: bigint): void {
    this.removeOwner(owner)
  }

  lookup(_key: number, _cpu: number): number {
    return 0
  }

  update(_key: number, _value: number, _flags: bigint, _cpu: number): number {
    return -ENOTSUPP
  }

  delete(key: number): number {
    const owner = this.#ownerAt(key)
    return typeof owner === 'number' ? owner : this.removeOwner(owner)
  }

  forEach(_cpu: number, _visit: (key: number, value: number) => boolean): number {
    return -EINVAL
  }

  nextKey(_key: Uint8Array | undefined): Uint8Array | number {
    return -ENOTSUPP
  }

  override read(key: Uint8Array, flags: bigint): Uint8Array | number {
    if (flags !== 0n) return -EINVAL
    this.placeKey(key)
    const owner = this.#ownerAt(this.scratchKey)
    if (typeof owner === 'number') return owner
    const value = this.find(owner)
    return value === 0 ? -ENOENT : this.shown(value)
  }

  override setSpecialFields(fields: SpecialFields): void {
    super.setSpecialFields(fields)
    this.#pool.specialFields = fields
  }

  override [Symbol.dispose](): void {
    for (const element of this.#elements.values()) this.releaseValues(element + this.#pool.valueOffset, 1)
    this.#elements.clear()
    this.#pool[Symbol.dispose]()
    super[Symbol.dispose]()
  }

  protected peek(_key: number): number {
    return 0
  }

  protected updateFromUser(key: number, value: number, flags: bigint): number {
    const owner = this.#ownerAt(key)
    if (typeof owner === 'number') return owner
    if (flags > BigInt(BPF_EXIST)) return -EINVAL
    const refusal = HashBase.refusal(MapBase.updateMode(flags), this.find(owner))
    if (refusal !== 0) return refusal
    this.removeOwner(owner)
    return this.findOrCreate(owner, value) === 0 ? -ENOMEM : 0
  }

  #ownerAt(key: number): bigint | number {
    return this.ownerOf(this.host.arena.view.getInt32(key, true))
  }
}
