/**
 * The memory of a client in this process: allocations, and mappings that alias the kernel's memory.
 *
 * An address is good only inside one allocation or mapping; between them lie gaps, so that a range that runs over
 * the end is found.
 */
import type { UserMemory, UserPointer } from '../abi/syscalls.ts'
import type { Mapping, UserAccess } from './types.ts'

interface Region {
  readonly base: number
  readonly lengthBytes: number
  readonly bytes: Uint8Array | undefined
  readonly mapping: Mapping | undefined
}

const FIRST_ADDRESS = 0x1_0000
const GAP = 16
const PAGE = 4096
/** 4 GiB. */
const WORD = 2 ** 32

const endOf = ({ base, lengthBytes }: Region): number => base + lengthBytes + GAP

/** What lies in the region, if it is in one piece. */
function pieceOf(
  { lengthBytes, bytes, mapping }: Region,
  start: number,
  size: number,
): Uint8Array | undefined {
  if (start + size > lengthBytes) return undefined
  if (bytes === undefined) return mapping?.bytes(start, size)
  return start === 0 && size === lengthBytes ? bytes : bytes.subarray(start, start + size)
}

export class ClientMemory implements UserMemory, UserAccess {
  /** In the order of their addresses. */
  readonly #regions: Region[] = []
  #next = FIRST_ADDRESS

  allocate(sizeBytes: number): UserPointer {
    if (!Number.isInteger(sizeBytes) || sizeBytes < 0) throw new RangeError(`allocate ${sizeBytes} bytes`)
    const bytes = new Uint8Array(sizeBytes)
    return this.#add(16, { lengthBytes: sizeBytes, bytes, mapping: undefined })
  }

  free(pointer: UserPointer): void {
    const index = this.#indexOf(Number(pointer))
    const region = this.#regions[index]
    if (region === undefined || region.base !== Number(pointer) || region.bytes === undefined) {
      throw new Error(`free of 0x${pointer.toString(16)}, which was not allocated`)
    }
    this.#remove(index)
  }

  view(pointer: UserPointer, sizeBytes: number): Uint8Array {
    const view = this.#find(pointer, sizeBytes)
    if (view === undefined) {
      throw new RangeError(`${sizeBytes} bytes at 0x${pointer.toString(16)} are not mapped in one piece`)
    }
    return view
  }

  read(pointer: bigint, into: Uint8Array): boolean {
    const region = this.#regionAt(pointer)
    if (region?.bytes !== undefined && into.length > 0) {
      const from = pieceOf(region, Number(pointer) - region.base, into.length)
      if (from !== undefined) into.set(from)
      return from !== undefined
    }
    return this.#pieces(pointer, into.length, (piece, start) => into.set(piece, start))
  }

  write(pointer: bigint, bytes: Uint8Array): boolean {
    const region = this.#regionAt(pointer)
    if (bytes.length > 0 && region?.mapping?.writable === false) return false
    return this.#pieces(pointer, bytes.length, (piece, start) => {
      piece.set(bytes.subarray(start, start + piece.length))
    })
  }

  map(mapping: Mapping): bigint | undefined {
    const { lengthBytes, place } = mapping
    const region = { lengthBytes, bytes: undefined, mapping }
    if (place === undefined) return this.#add(PAGE, region)
    if (place.address !== 0n || place.isRequired) {
      const wanted = Number(place.address)
      const fits =
        Number.isSafeInteger(wanted + lengthBytes) &&
        wanted >= FIRST_ADDRESS &&
        this.#over(wanted, lengthBytes) === undefined
      if (fits) return this.#insert(wanted, region)
      if (place.isRequired) return undefined
    }
    return this.#add(PAGE, region, place.keepsUpperWord)
  }

  unmap(address: bigint, lengthBytes: number): boolean {
    const index = this.#indexOf(Number(address))
    const region = this.#regions[index]
    if (region?.mapping === undefined || region.base !== Number(address)) return false
    if (region.lengthBytes !== Math.ceil(lengthBytes / PAGE) * PAGE) return false
    this.#remove(index)
    region.mapping.close()
    return true
  }

  unmapAll(): void {
    for (const region of this.#regions.splice(0)) region.mapping?.close()
  }

  #add(align: number, region: Omit<Region, 'base'>, keepsUpperWord = false): bigint {
    const { lengthBytes } = region
    let base = this.#next
    for (;;) {
      base = Math.ceil(base / align) * align
      if (keepsUpperWord && Math.floor(base / WORD) !== Math.floor((base + lengthBytes - 1) / WORD)) {
        base = Math.ceil(base / WORD) * WORD
      }
      // What was put at a place of its own may be in the way.
      const inTheWay = this.#over(base, lengthBytes)
      if (inTheWay === undefined) break
      base = endOf(inTheWay)
    }
    this.#next = base + lengthBytes + GAP
    return this.#insert(base, region)
  }

  /** A region that the range, with the gap behind it, touches. */
  #over(base: number, lengthBytes: number): Region | undefined {
    const last = this.#regions[this.#indexOf(base + lengthBytes + GAP - 1)]
    return last !== undefined && endOf(last) > base ? last : undefined
  }

  #insert(base: number, region: Omit<Region, 'base'>): bigint {
    const { lengthBytes, bytes, mapping } = region
    this.#regions.splice(this.#indexOf(base) + 1, 0, { base, lengthBytes, bytes, mapping })
    return BigInt(base)
  }

  #remove(index: number): void {
    // What was allocated last is freed first, as a rule.
    if (index === this.#regions.length - 1) this.#regions.pop()
    else this.#regions.splice(index, 1)
  }

  /** Visits the range in the pieces that it lies in; false, with nothing visited, where some of it is not there. */
  #pieces(pointer: bigint, sizeBytes: number, visit: (piece: Uint8Array, start: number) => void): boolean {
    if (sizeBytes === 0) return true
    const region = this.#regionAt(pointer)
    if (region === undefined) return false
    if (region.bytes !== undefined) {
      const whole = this.#find(pointer, sizeBytes)
      if (whole !== undefined) visit(whole, 0)
      return whole !== undefined
    }
    const pieceBytes = region.mapping?.pieceBytes ?? region.lengthBytes
    // Touching a piece may move those that were looked at before, so all are touched first.
    for (const visits of [false, true]) {
      for (let start = 0; start < sizeBytes; ) {
        const at = Number(pointer) + start
        const length = Math.min(sizeBytes - start, pieceBytes - ((at - region.base) % pieceBytes))
        const piece = this.#find(BigInt(at), length)
        if (piece === undefined) return false
        if (visits) visit(piece, start)
        start += length
      }
    }
    return true
  }

  #find(pointer: bigint, sizeBytes: number): Uint8Array | undefined {
    const region = this.#regionAt(pointer)
    return region === undefined ? undefined : pieceOf(region, Number(pointer) - region.base, sizeBytes)
  }

  /** The last region that begins at or before `pointer`. */
  #regionAt(pointer: bigint): Region | undefined {
    return this.#regions[this.#indexOf(Number(pointer))]
  }

  /** Index of the last region that begins at or before `address`, or -1. */
  #indexOf(address: number): number {
    let low = 0
    let high = this.#regions.length
    // What was allocated last is used most.
    if (high > 0 && (this.#regions[high - 1] as Region).base <= address) return high - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#regions[middle] as Region).base <= address) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}
