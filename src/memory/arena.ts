/**
 * The one memory that programs may dereference: stacks, contexts, map values, ring-buffer records.
 *
 * Rules
 * - A program's pointer into it is `ARENA_BASE + offset`: kernel-looking, and the low 32 bits are the offset.
 * - Page 0 is never handed out, so that null and small offsets from null fault.
 * - Every byte outside an allocation is inaccessible, and between two allocations there are at least 8 such
 *   bytes; inside one, `setAccess` says what a program may do.
 *   The map of that is a shadow byte per 8 bytes (a *granule*): how many of its first bytes a program may
 *   touch, and whether it may write them. So a check is exact to the byte as long as ranges begin on 8.
 * - The shadow lies in the same memory, right behind the data, so that compiled code can check an access itself;
 *   the u32 at `SHADOW_POINTER` says where. It moves when the memory grows.
 * - `bytes`, `view` and `words` are replaced when the memory grows: fetch them again after an allocation.
 */
import { BlockAllocator } from './blocks.ts'

/** Address of offset 0. */
export const ARENA_BASE = 0xffff_c900_0000_0000n

/** What a program may do with a range. */
export type Access = 'none' | 'read' | 'write'

export interface ArenaOptions {
  /** Bytes at the start, rounded up to 65,536. Default 1 MiB. */
  readonly initialBytes?: number
  /** Bytes that it may grow to. Default and most: 2 GiB, so that an offset is a positive i32. */
  readonly maximumBytes?: number
}

export interface AllocateOptions {
  /** A power of two; default and least 8. */
  readonly align?: number
  /** What a program may do there; default `write`. */
  readonly access?: Access
}

const WASM_PAGE = 65_536
const FIRST_OFFSET = 4096
const MOST_BYTES = 2 ** 31
/** Inaccessible bytes behind every allocation, so that running off its end does not go unnoticed. */
const GUARD = 8
/** Up to here a loop beats the call of a built-in: it made a 16-byte array update several times as fast (bench/maps.ts). */
const SHORT_BYTES = 64
/** In a granule's shadow byte: a program may write it. */
export const SHADOW_WRITABLE = 0x10
/** Where compiled code finds the offset of the shadow, a u32 in page 0. The data end there too. */
export const SHADOW_POINTER = 8
const WRITABLE = SHADOW_WRITABLE
const COUNT = 0x0f

/** The part of a `WebAssembly.Memory` that reading it takes; named here so that no consumer needs the DOM's types. */
export interface ArenaMemory {
  readonly buffer: ArrayBuffer
  grow(pages: number): number
}

/** The memory, with an allocator and an exact record of what programs may touch. */
export class Arena {
  readonly memory: ArenaMemory
  readonly #maximumBytes: number
  readonly #blocks: BlockAllocator
  #bytes: Uint8Array
  #view: DataView
  #words: Uint32Array
  #shadow: Uint8Array
  /** Offsets from here on have never been handed out and still read as zero. */
  #untouched = FIRST_OFFSET

  constructor(options: ArenaOptions = {}) {
    this.#maximumBytes = Math.min(MOST_BYTES, roundUp(options.maximumBytes ?? MOST_BYTES, WASM_PAGE))
    const initial = Math.min(roundUp(options.initialBytes ?? 2 ** 20, WASM_PAGE), this.#maximumBytes)
    this.memory = new WebAssembly.Memory({
      initial: (initial + shadowBytes(initial)) / WASM_PAGE,
      maximum: (this.#maximumBytes + shadowBytes(this.#maximumBytes)) / WASM_PAGE,
    })
    const { buffer } = this.memory
    this.#bytes = new Uint8Array(buffer, 0, initial)
    this.#view = new DataView(buffer, 0, initial)
    this.#words = new Uint32Array(buffer, 0, initial / 4)
    this.#shadow = new Uint8Array(buffer, initial, initial / 8)
    this.#words[SHADOW_POINTER / 4] = initial
    this.#blocks = new BlockAllocator(FIRST_OFFSET, initial)
  }

  /** The data: all of the memory but the shadow behind it. */
  get bytes(): Uint8Array {
    return this.#bytes
  }

  get view(): DataView {
    return this.#view
  }

  /** The memory as 32-bit words: `words[offset >>> 2]`. */
  get words(): Uint32Array {
    return this.#words
  }

  /** Bytes handed out and not freed, with what lies between them. */
  get allocatedBytes(): number {
    return this.#blocks.allocatedBytes
  }

  /** Offset of a zeroed range of at least `sizeBytes`; undefined where the memory is used up. */
  allocate(sizeBytes: number, options: AllocateOptions = {}): number | undefined {
    const align = options.align ?? 8
    if (!Number.isInteger(sizeBytes) || sizeBytes < 0) throw new RangeError(`allocate ${sizeBytes} bytes`)
    if (align < 8 || (align & (align - 1)) !== 0) throw new RangeError(`allocate aligned to ${align}`)
    let offset = this.#blocks.take(sizeBytes + GUARD, align)
    if (offset === undefined) {
      if (!this.#grow(sizeBytes + GUARD + align)) return undefined
      offset = this.#blocks.take(sizeBytes + GUARD, align)
      if (offset === undefined) return undefined
    }
    const used = Math.min(offset + sizeBytes, this.#untouched)
    if (used > offset) this.#bytes.fill(0, offset, used)
    this.#untouched = Math.max(this.#untouched, offset + sizeBytes)
    this.setAccess(offset, sizeBytes, options.access ?? 'write')
    return offset
  }

  /** Gives back what `allocate` returned; from now on no program may touch it. */
  free(offset: number): void {
    const sizeBytes = this.#blocks.release(offset)
    this.#shadow.fill(0, offset >>> 3, (offset + sizeBytes) >>> 3)
  }

  /**
   * Says what a program may do with a range that begins on 8. Where it ends inside a granule, the rest of
   * that granule becomes inaccessible.
   */
  setAccess(offset: number, sizeBytes: number, access: Access): void {
    if ((offset & 7) !== 0) throw new RangeError(`access of a range at ${offset}, which is not on 8`)
    const writable = access === 'write' ? WRITABLE : 0
    const first = offset >>> 3
    const whole = (offset + sizeBytes) >>> 3
    const state = access === 'none' ? 0 : 8 | writable
    if (whole - first > SHORT_BYTES) this.#shadow.fill(state, first, whole)
    else for (let granule = first; granule < whole; granule++) this.#shadow[granule] = state
    const rest = sizeBytes & 7
    if (rest !== 0) this.#shadow[whole] = access === 'none' ? 0 : rest | writable
  }

  /** Copies within the memory, as memmove does. */
  copy(to: number, from: number, sizeBytes: number): void {
    const bytes = this.#bytes
    if (sizeBytes > SHORT_BYTES || (to > from && to < from + sizeBytes)) {
      bytes.copyWithin(to, from, from + sizeBytes)
      return
    }
    for (let index = 0; index < sizeBytes; index++) bytes[to + index] = bytes[from + index] as number
  }

  /** What a program holds as a pointer to `offset`. */
  address(offset: number): bigint {
    return ARENA_BASE + BigInt(offset)
  }

  /** The offset that `address` points to; -1 where it is no arena address. Says nothing of access. */
  offsetOf(address: bigint): number {
    const offset = Number(BigInt.asUintN(64, address - ARENA_BASE))
    return offset < this.#bytes.length ? offset : -1
  }

  /**
   * The offset of a range that a program may read, or write; -1 where any byte of it is out of bounds. This
   * is the run-time check of the checked interpreter and of helpers.
   */
  check(address: bigint, sizeBytes: number, write: boolean): number {
    const offset = this.offsetOf(address)
    if (offset < 0) return -1
    return this.checkOffset(offset, sizeBytes, write) ? offset : -1
  }

  /** `check` for an offset; an empty range is always fine. */
  checkOffset(offset: number, sizeBytes: number, write: boolean): boolean {
    const shadow = this.#shadow
    const end = offset + sizeBytes
    const last = (end - 1) >>> 3
    if (sizeBytes <= 0) return sizeBytes === 0
    if (offset < 0 || end > this.#bytes.length) return false
    const required = write ? WRITABLE : 0
    for (let granule = offset >>> 3; granule < last; granule++) {
      const state = shadow[granule] as number
      if ((state & COUNT) !== 8 || (state & required) !== required) return false
    }
    const state = shadow[last] as number
    return (state & COUNT) > ((end - 1) & 7) && (state & required) === required
  }

  /** Room for at least `sizeBytes` more; false at the maximum. */
  #grow(sizeBytes: number): boolean {
    const size = this.#bytes.length
    const least = size + sizeBytes
    if (least > this.#maximumBytes) return false
    const wanted = Math.min(Math.max(roundUp(least, WASM_PAGE), size + (size >>> 1)), this.#maximumBytes)
    const grownTo = roundUp(wanted, WASM_PAGE)
    const added = grownTo + shadowBytes(grownTo) - size - shadowBytes(size)
    try {
      this.memory.grow(added / WASM_PAGE)
    } catch (error) {
      if (error instanceof RangeError) return false
      throw error
    }
    const { buffer } = this.memory
    const moved = new Uint8Array(buffer, size, size / 8).slice()
    new Uint8Array(buffer, size, moved.length).fill(0)
    this.#bytes = new Uint8Array(buffer, 0, grownTo)
    this.#view = new DataView(buffer, 0, grownTo)
    this.#words = new Uint32Array(buffer, 0, grownTo / 4)
    this.#shadow = new Uint8Array(buffer, grownTo, grownTo / 8)
    this.#shadow.fill(0)
    this.#shadow.set(moved)
    this.#words[SHADOW_POINTER / 4] = grownTo
    this.#blocks.extend(grownTo)
    return true
  }
}

/** Bytes behind `dataBytes` of data that hold the shadow. */
function shadowBytes(dataBytes: number): number {
  return roundUp(dataBytes / 8, WASM_PAGE)
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple
}
