/**
 * BPF_MAP_TYPE_BLOOM_FILTER: says of a value that it was never pushed, or that it probably was.
 *
 * A push sets a bit for each of the `map_extra` (default 5) hashes of the value; a peek looks whether all are set.
 * Hashes and size are Linux's, so that with BPF_F_ZERO_SEED the same values are wrongly found here as there.
 *
 * Source: the behaviour of kernel/bpf/bloom_filter.c of Linux.
 */
import { BPF_ANY, BPF_F_ZERO_SEED, EINVAL, ENOENT, ENOTSUPP, EOPNOTSUPP } from '../abi/index.ts'
import { jhash } from './jhash.ts'
import { KeylessMap } from './keyless.ts'
import type { MapDefinition, MapHost } from './map.ts'

const DEFAULT_HASHES = 5
const LEAST_BITS = 64
const MOST_BITS = 2 ** 31
const LARGEST_U32 = 2 ** 32 - 1

/** Bits of the filter less one: hashes x entries x 7 / 5 as a power of two, all 2^32 where that is too many. */
function bitMask(maxEntries: number, hashes: number): number {
  const product = maxEntries * hashes
  const scaled = Math.floor(product / 5) * 7
  if (product > LARGEST_U32 || scaled > LARGEST_U32 || scaled > MOST_BITS) return LARGEST_U32
  return 2 ** Math.ceil(Math.log2(Math.max(scaled, LEAST_BITS))) - 1
}

export class BloomFilter extends KeylessMap {
  readonly memoryBytes: number
  readonly hashes: number
  readonly #mask: number
  readonly #seed: number
  readonly #bits: number

  constructor(host: MapHost, definition: MapDefinition) {
    super(host, definition, false)
    const { maxEntries, flags, extra = 0n } = definition
    this.hashes = Number(extra & 0xfn) || DEFAULT_HASHES
    this.#mask = bitMask(maxEntries, this.hashes)
    this.#seed = (flags & BPF_F_ZERO_SEED) !== 0 ? 0 : host.random()
    this.#bits = this.own((this.#mask + 1) / 8)
    this.memoryBytes = this.ownedBytes
    this.writeHeader({ cpuCount: 1, elementSize: 0, data: this.#bits, mask: this.#mask, seed: this.#seed })
  }

  push(value: number, flags: bigint): number {
    if (flags !== BigInt(BPF_ANY)) return -EINVAL
    const { bytes } = this.host.arena
    for (let index = 0; index < this.hashes; index++) {
      const bit = this.#hash(value, index)
      bytes[this.#bits + (bit >>> 3)] = (bytes[this.#bits + (bit >>> 3)] as number) | (1 << (bit & 7))
    }
    return 0
  }

  pop(_value: number): number {
    return -EOPNOTSUPP
  }

  /** 0 where the value at `value` was probably pushed, else -ENOENT. */
  peekInto(value: number): number {
    const { bytes } = this.host.arena
    for (let index = 0; index < this.hashes; index++) {
      const bit = this.#hash(value, index)
      if (((bytes[this.#bits + (bit >>> 3)] as number) & (1 << (bit & 7))) === 0) return -ENOENT
    }
    return 0
  }

  override delete(_key: number): number {
    return -EOPNOTSUPP
  }

  override nextKey(_key: Uint8Array | undefined): Uint8Array | number {
    return -EOPNOTSUPP
  }

  /** Linux takes values out of queues and stacks only. */
  override readAndRemove(_key: Uint8Array, flags: bigint): Uint8Array | number {
    return flags !== 0n ? -EINVAL : -ENOTSUPP
  }

  #hash(value: number, index: number): number {
    const { view } = this.host.arena
    return (jhash(view, value, this.definition.valueSize, (this.#seed + index) | 0) & this.#mask) >>> 0
  }
}
