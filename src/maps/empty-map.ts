/**
 * BPF_MAP_TYPE_XSKMAP, SOCKMAP, SOCKHASH, REUSEPORT_SOCKARRAY and the two CGROUP_STORAGE types: maps of what this
 * kernel has none of, sockets and cgroups.
 *
 * They can be made, passed to helpers and asked; each is empty for ever, since no descriptor names what would fit
 * in, and answers as Linux does for an empty map and a descriptor of something else.
 *
 * Source: the behaviour of net/xdp/xskmap.c, net/core/sock_map.c, kernel/bpf/reuseport_array.c and
 * kernel/bpf/local_storage.c of Linux.
 */
import { BPF_EXIST, E2BIG, EBADF, EINVAL, ENOENT, ENOSPC, ENOTSUPP, EOPNOTSUPP } from '../abi/index.ts'
import { indexKey, nextIndex } from './array.ts'
import type { MapDefinition, MapHost } from './map.ts'
import { MapBase } from './map-base.ts'

/** How the empty maps of one type answer. */
export interface EmptyMapRules {
  /** Keys are indexes below `max_entries`, and all of them are listed. */
  readonly isIndexed: boolean
  /** User space's lookup. */
  read(definition: MapDefinition): number
  /** Deletion of a key, which for indexes is in range. */
  readonly remove: number
  /** Deletion of an index that is out of range. */
  readonly removeBeyond: number
  /** What is wrong with an update beside the descriptor; 0: only that. `isBeyond`: an index out of range. */
  checkUpdate(flags: bigint, isBeyond: boolean): number
  /** Whether the value is a descriptor, which is what an update fails by in the end; else by -ENOENT. */
  readonly takesDescriptor: boolean
  /** Whether what cannot be a descriptor is -EINVAL. */
  readonly checksDescriptor: boolean
}

const EXIST = BigInt(BPF_EXIST)
const LARGEST_DESCRIPTOR = 2 ** 31 - 1

/** A socket's cookie needs a value of 8 bytes. */
const cookie = ({ valueSize }: MapDefinition) => (valueSize === 8 ? -ENOENT : -ENOSPC)
const indexedUpdate = (flags: bigint, isBeyond: boolean) => (flags > EXIST ? -EINVAL : isBeyond ? -E2BIG : 0)

export const xskMap: EmptyMapRules = {
  isIndexed: true,
  read: () => -EOPNOTSUPP,
  remove: 0,
  removeBeyond: -EINVAL,
  checkUpdate: indexedUpdate,
  takesDescriptor: true,
  checksDescriptor: false,
}
export const sockMap: EmptyMapRules = {
  isIndexed: true,
  read: cookie,
  remove: -EINVAL,
  removeBeyond: -EINVAL,
  checkUpdate: () => 0,
  takesDescriptor: true,
  checksDescriptor: true,
}
export const sockHash: EmptyMapRules = {
  isIndexed: false,
  read: cookie,
  remove: -ENOENT,
  removeBeyond: -ENOENT,
  checkUpdate: () => 0,
  takesDescriptor: true,
  checksDescriptor: true,
}
export const reuseportArray: EmptyMapRules = {
  isIndexed: true,
  read: cookie,
  remove: -ENOENT,
  removeBeyond: -E2BIG,
  checkUpdate: indexedUpdate,
  takesDescriptor: true,
  checksDescriptor: true,
}
export const cgroupStorage: EmptyMapRules = {
  isIndexed: false,
  read: () => -ENOENT,
  remove: -EINVAL,
  removeBeyond: -EINVAL,
  checkUpdate: (flags) => (flags !== 0n && flags !== EXIST ? -EINVAL : 0),
  takesDescriptor: false,
  checksDescriptor: false,
}

export class EmptyMap extends MapBase {
  readonly memoryBytes: number
  /** -errno for a descriptor that is no socket: -EBADF, or -ENOTSOCK where it is open; set by the kernel. */
  refuseDescriptor: (fd: number) => number = () => -EBADF
  readonly #rules: EmptyMapRules

  constructor(host: MapHost, definition: MapDefinition, rules: EmptyMapRules, isPerCpu = false) {
    super(host, definition, isPerCpu)
    this.#rules = rules
    this.memoryBytes = this.ownedBytes
    this.writeHeader({ cpuCount: 1, elementSize: 0, data: 0, mask: 0, seed: 0 })
  }

  /** Whether a packet can be sent to `index`: to no socket. */
  has(_index: number): boolean {
    return false
  }

  lookup(_key: number, _cpu: number): number {
    return 0
  }

  /** Programs give sockets, of which there are none. */
  update(_key: number, _value: number, _flags: bigint, _cpu: number): number {
    return -EOPNOTSUPP
  }

  delete(key: number): number {
    return this.#isBeyond(key) ? this.#rules.removeBeyond : this.#rules.remove
  }

  forEach(_cpu: number, _visit: (key: number, value: number) => boolean): number {
    return -EINVAL
  }

  nextKey(key: Uint8Array | undefined): Uint8Array | number {
    if (!this.#rules.isIndexed) return -ENOENT
    const next = nextIndex(key, this.definition.maxEntries)
    return next < 0 ? -ENOENT : indexKey(next)
  }

  override read(_key: Uint8Array, flags: bigint): Uint8Array | number {
    return flags !== 0n ? -EINVAL : this.#rules.read(this.definition)
  }

  override readAndRemove(_key: Uint8Array, flags: bigint): Uint8Array | number {
    return flags !== 0n ? -EINVAL : -ENOTSUPP
  }

  protected peek(_key: number): number {
    return 0
  }

  protected updateFromUser(key: number, value: number, flags: bigint): number {
    const refusal = this.#rules.checkUpdate(flags, this.#isBeyond(key))
    if (refusal !== 0) return refusal
    if (!this.#rules.takesDescriptor) return -ENOENT
    const { view } = this.host.arena
    const isLong = this.definition.valueSize === 8
    const fd = isLong ? view.getBigUint64(value, true) : BigInt(view.getUint32(value, true))
    if (this.#rules.checksDescriptor && fd > LARGEST_DESCRIPTOR) return -EINVAL
    return this.refuseDescriptor(Number(BigInt.asIntN(32, fd)))
  }

  #isBeyond(key: number): boolean {
    if (!this.#rules.isIndexed) return false
    return this.host.arena.view.getUint32(key, true) >= this.definition.maxEntries
  }
}
