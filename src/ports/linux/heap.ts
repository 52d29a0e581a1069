/**
 * Memory at stable addresses: the bytes of ArrayBuffers, which V8 never moves, handed to the kernel by address.
 *
 * Rules: no C heap is involved, so that a view which outlives its allocation shows stale bytes, and never memory
 * that is gone. Small allocations share slabs of one size, which are reused and live as long as the heap; a large
 * one is a buffer of its own, kept from the garbage collector until it is freed. Every range is checked against
 * the size that was asked for.
 */
import { RegionIndex } from './region-index.ts'

/** Sizes of small allocations: powers of two from 16 bytes. Measured: 0.2 us from a slab, 1 us for a buffer. */
const SMALLEST_BLOCK = 16
const LARGEST_BLOCK = 16 * 1024
const SLAB_BYTES = 128 * 1024

interface Slab {
  readonly base: number
  readonly lengthBytes: number
  readonly bytes: Uint8Array
  readonly blockBytes: number
  /** What each block was asked to hold; -1 for one that is free. */
  readonly sizes: Int32Array
  readonly free: number[]
}

export class Heap {
  readonly #addressOf: (buffer: ArrayBuffer) => number
  readonly #slabs = new RegionIndex<Slab>()
  /** By block size: slabs that may have a free block, the last one first. */
  readonly #available = new Map<number, Slab[]>()
  #allocations = 0

  constructor(addressOf: (buffer: ArrayBuffer) => number) {
    this.#addressOf = addressOf
  }

  /** Allocations that have not been freed. */
  get allocations(): number {
    return this.#allocations
  }

  /** The address of `sizeBytes` zero bytes, 8-byte aligned. */
  allocate(sizeBytes: number): number {
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw new RangeError(`allocate ${sizeBytes} bytes`)
    this.#allocations++
    if (sizeBytes > LARGEST_BLOCK) return this.#takeBlock(this.#addSlab(sizeBytes, 1), sizeBytes)
    let blockBytes = SMALLEST_BLOCK
    while (blockBytes < sizeBytes) blockBytes *= 2
    let slabs = this.#available.get(blockBytes)
    if (slabs === undefined) {
      slabs = []
      this.#available.set(blockBytes, slabs)
    }
    let slab = slabs.at(-1)
    if (slab === undefined) {
      slab = this.#addSlab(blockBytes, SLAB_BYTES / blockBytes)
      slabs.push(slab)
    }
    const address = this.#takeBlock(slab, sizeBytes)
    if (slab.free.length === 0) slabs.pop()
    return address
  }

  /** False where no allocation begins at `address`. */
  free(address: number): boolean {
    const slab = this.#slabs.find(address)
    if (slab === undefined) return false
    const block = (address - slab.base) / slab.blockBytes
    if ((slab.sizes[block] ?? -1) < 0) return false
    this.#allocations--
    if (slab.sizes.length === 1) {
      this.#slabs.delete(slab)
      return true
    }
    slab.sizes[block] = -1
    slab.free.push(block)
    if (slab.free.length === 1) this.#available.get(slab.blockBytes)?.push(slab)
    return true
  }

  /** The bytes of a range inside one allocation; undefined elsewhere. */
  view(address: number, sizeBytes: number): Uint8Array | undefined {
    const slab = this.#slabAround(address, sizeBytes)
    const offset = slab === undefined ? 0 : address - slab.base
    return slab?.bytes.subarray(offset, offset + sizeBytes)
  }

  /** Whether all of a range lies in one allocation. */
  holds(address: number, sizeBytes: number): boolean {
    return this.#slabAround(address, sizeBytes) !== undefined
  }

  clear(): void {
    this.#slabs.clear()
    this.#available.clear()
    this.#allocations = 0
  }

  #slabAround(address: number, sizeBytes: number): Slab | undefined {
    const slab = this.#slabs.find(address)
    if (slab === undefined) return undefined
    const offset = address - slab.base
    const block = Math.floor(offset / slab.blockBytes)
    const end = block * slab.blockBytes + (slab.sizes[block] as number)
    return offset + sizeBytes <= end ? slab : undefined
  }

  #addSlab(blockBytes: number, blocks: number): Slab {
    const bytes = new Uint8Array(new ArrayBuffer(blockBytes * blocks))
    const slab: Slab = {
      base: this.#addressOf(bytes.buffer),
      lengthBytes: bytes.length,
      bytes,
      blockBytes,
      sizes: new Int32Array(blocks).fill(-1),
      free: Array.from({ length: blocks }, (_, index) => blocks - 1 - index),
    }
    if (slab.base % 8 !== 0) throw new Error(`a buffer at 0x${slab.base.toString(16)}, which is not aligned`)
    this.#slabs.add(slab)
    return slab
  }

  #takeBlock(slab: Slab, sizeBytes: number): number {
    const block = slab.free.pop()
    if (block === undefined) throw new Error('a full slab among those with free blocks')
    slab.sizes[block] = sizeBytes
    const start = block * slab.blockBytes
    slab.bytes.fill(0, start, start + sizeBytes)
    return slab.base + start
  }
}
