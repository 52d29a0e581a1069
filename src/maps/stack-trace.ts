/**
 * BPF_MAP_TYPE_STACK_TRACE: call stacks, each under the number that bpf_get_stackid gave for it.
 *
 * The number is the bucket that the stack's hash leads to, of as many buckets as the next power of two of
 * `max_entries`. A bucket holds one stack: another one with the same bucket is -EEXIST, or takes its place with
 * BPF_F_REUSE_STACKID. With BPF_F_FAST_STACK_CMP equal hashes are taken for equal stacks. With BPF_F_STACK_BUILD_ID
 * a frame is a struct bpf_stack_build_id, which here always holds an address (BPF_STACK_BUILD_ID_IP), as in Linux
 * where no file is known.
 *
 * Source: the behaviour of kernel/bpf/stackmap.c of Linux.
 */
import { BPF_F_STACK_BUILD_ID, E2BIG, EEXIST, EINVAL, ENOENT, ENOMEM, EOPNOTSUPP } from '../abi/index.ts'
import { indexKey } from './array.ts'
import { jhash } from './jhash.ts'
import type { MapDefinition, MapHost } from './map.ts'
import { MapBase } from './map-base.ts'

/** u32 hash, u32 frames, then the frames' addresses. */
const HASH = 0
const FRAMES = 4
const ADDRESSES = 8
const ADDRESS_BYTES = 8
/** struct bpf_stack_build_id: s32 status, u8 id[20], u64 address. */
export const BUILD_ID_BYTES = 32
const BUILD_ID_ADDRESS = 24
const BPF_STACK_BUILD_ID_IP = 2

export class StackTraceMap extends MapBase {
  readonly memoryBytes: number
  /** Most frames of a stack. */
  readonly mostFrames: number
  readonly #bucketCount: number
  readonly #hasBuildIds: boolean
  /** u32 for each bucket: the offset of its stack; 0: none. */
  readonly #buckets: number
  readonly #free: number[] = []
  /** Where a stack is put together before it is known to be new. */
  readonly #candidate: number

  constructor(host: MapHost, definition: MapDefinition) {
    super(host, definition, false)
    const { maxEntries, valueSize, flags } = definition
    this.#hasBuildIds = (flags & BPF_F_STACK_BUILD_ID) !== 0
    this.mostFrames = valueSize / (this.#hasBuildIds ? BUILD_ID_BYTES : ADDRESS_BYTES)
    this.#bucketCount = 2 ** Math.ceil(Math.log2(maxEntries))
    this.#buckets = this.own(this.#bucketCount * 4)
    const elementSize = ADDRESSES + this.mostFrames * ADDRESS_BYTES
    const stacks = this.own(elementSize * maxEntries)
    this.#candidate = this.own(elementSize)
    for (let index = maxEntries - 1; index >= 0; index--) this.#free.push(stacks + index * elementSize)
    this.memoryBytes = this.ownedBytes
    this.writeHeader({
      cpuCount: 1,
      elementSize,
      data: this.#buckets,
      mask: this.#bucketCount - 1,
      seed: 0,
    })
  }

  /**
   * The number of a stack of at least one frame, innermost first, of which at most `mostFrames` count; -EEXIST
   * where another stack is in its bucket, -ENOMEM where all are in use.
   */
  idOf(
    frames: readonly bigint[],
    options: { readonly comparesHashOnly: boolean; readonly replaces: boolean },
  ): number {
    const { arena } = this.host
    const { view } = arena
    const count = Math.min(frames.length, this.mostFrames)
    const candidate = this.#candidate
    for (let index = 0; index < count; index++) {
      view.setBigUint64(candidate + ADDRESSES + index * ADDRESS_BYTES, frames[index] as bigint, true)
    }
    const sizeBytes = count * ADDRESS_BYTES
    const hash = jhash(view, candidate + ADDRESSES, sizeBytes, 0)
    const id = (hash & (this.#bucketCount - 1)) >>> 0
    const link = this.#buckets + id * 4
    const old = view.getUint32(link, true)
    if (old !== 0 && view.getUint32(old + HASH, true) === hash) {
      if (options.comparesHashOnly) return id
      if (view.getUint32(old + FRAMES, true) === count && this.#isSame(old, candidate, sizeBytes)) return id
    }
    if (old !== 0 && !options.replaces) return -EEXIST
    const stack = this.#free.pop()
    if (stack === undefined) return -ENOMEM
    view.setUint32(stack + HASH, hash, true)
    view.setUint32(stack + FRAMES, count, true)
    arena.copy(stack + ADDRESSES, candidate + ADDRESSES, sizeBytes)
    view.setUint32(link, stack, true)
    if (old !== 0) this.#free.push(old)
    return id
  }

  lookup(_key: number, _cpu: number): number {
    return 0
  }

  update(_key: number, _value: number, _flags: bigint, _cpu: number): number {
    return -EINVAL
  }

  delete(key: number): number {
    const { view } = this.host.arena
    const id = view.getUint32(key, true)
    if (id >= this.#bucketCount) return -E2BIG
    const stack = view.getUint32(this.#buckets + id * 4, true)
    if (stack === 0) return -ENOENT
    view.setUint32(this.#buckets + id * 4, 0, true)
    this.#free.push(stack)
    return 0
  }

  forEach(_cpu: number, _visit: (key: number, value: number) => boolean): number {
    return -EOPNOTSUPP
  }

  nextKey(key: Uint8Array | undefined): Uint8Array | number {
    const { view } = this.host.arena
    let id = 0
    if (key !== undefined) {
      this.placeKey(key)
      const given = view.getUint32(this.scratchKey, true)
      id = given >= this.#bucketCount ? 0 : given + 1
    }
    while (id < this.#bucketCount && view.getUint32(this.#buckets + id * 4, true) === 0) id++
    return id < this.#bucketCount ? indexKey(id) : -ENOENT
  }

  override read(key: Uint8Array, flags: bigint): Uint8Array | number {
    if (flags !== 0n) return -EINVAL
    this.placeKey(key)
    const { view } = this.host.arena
    const id = view.getUint32(this.scratchKey, true)
    const stack = id < this.#bucketCount ? view.getUint32(this.#buckets + id * 4, true) : 0
    if (stack === 0) return -ENOENT
    return this.#show(stack)
  }

  override readAndRemove(key: Uint8Array, flags: bigint): Uint8Array | number {
    const value = this.read(key, flags)
    if (typeof value !== 'number') this.delete(this.scratchKey)
    return value
  }

  protected peek(_key: number): number {
    return 0
  }

  protected updateFromUser(): number {
    return -EINVAL
  }

  /** The value that user space sees. */
  #show(stack: number): Uint8Array {
    const { view } = this.host.arena
    const value = new Uint8Array(this.definition.valueSize)
    const shown = new DataView(value.buffer)
    const frames = view.getUint32(stack + FRAMES, true)
    for (let index = 0; index < frames; index++) {
      const address = view.getBigUint64(stack + ADDRESSES + index * ADDRESS_BYTES, true)
      if (this.#hasBuildIds) {
        shown.setInt32(index * BUILD_ID_BYTES, BPF_STACK_BUILD_ID_IP, true)
        shown.setBigUint64(index * BUILD_ID_BYTES + BUILD_ID_ADDRESS, address, true)
      } else shown.setBigUint64(index * ADDRESS_BYTES, address, true)
    }
    return value
  }

  #isSame(a: number, b: number, sizeBytes: number): boolean {
    const { view } = this.host.arena
    for (let at = ADDRESSES; at < ADDRESSES + sizeBytes; at += 4) {
      if (view.getUint32(a + at, true) !== view.getUint32(b + at, true)) return false
    }
    return true
  }
}
