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

export class ClientMemory implements UserMemory, UserAccess {
  /** In the order of their addresses, which only ever grow. */
  readonly #regions: Region[] = []
  #next = FIRST_ADDRESS

  allocate(sizeBytes: number): UserPointer {
    if (!Number.isInteger(sizeBytes) || sizeBytes < 0) throw new RangeError(`allocate ${sizeBytes} bytes`)
    const bytes = new Uint8Array(sizeBytes)
    return this.#add(16, { lengthBytes: sizeBytes, bytes, mapping: undefined })
  }

  free(pointer: UserPointer): void {
    const index = this.#indexOf(pointer)
    const region = this.#regions[index]
    if (region === undefined || region.base !== Number(pointer) || region.bytes === undefined) {
      throw new Error(`free of 0x${pointer.toString(16)}, which was not allocated`)
    }
    this.#regions.splice(index, 1)
  }

  view(pointer: UserPointer, sizeBytes: number): Uint8Array {
    const view = this.#find(pointer, sizeBytes)
    if (view === undefined) {
      throw new RangeError(`${sizeBytes} bytes at 0x${pointer.toString(16)} are not mapped`)
    }
    return view
  }

  read(pointer: bigint, into: Uint8Array): boolean {
    if (into.length === 0) return true
    const view = this.#find(pointer, into.length)
    if (view === undefined) return false
    into.set(view)
    return true
  }

  write(pointer: bigint, bytes: Uint8Array): boolean {
    if (bytes.length === 0) return true
    const region = this.#regions[this.#indexOf(pointer)]
    if (region?.mapping !== undefined && !region.mapping.writable) return false
    const view = this.#find(pointer, bytes.length)
    if (view === undefined) return false
    view.set(bytes)
    return true
  }

  map(mapping: Mapping): bigint {
    return this.#add(PAGE, { lengthBytes: mapping.lengthBytes, bytes: undefined, mapping })
  }

  unmap(address: bigint, lengthBytes: number): boolean {
    const index = this.#indexOf(address)
    const region = this.#regions[index]
    if (region?.mapping === undefined || region.base !== Number(address)) return false
    if (region.lengthBytes !== Math.ceil(lengthBytes / PAGE) * PAGE) return false
    this.#regions.splice(index, 1)
    region.mapping.close()
    return true
  }

  unmapAll(): void {
    for (const region of this.#regions.splice(0)) region.mapping?.close()
  }

  #add(align: number, region: Omit<Region, 'base'>): bigint {
    const base = Math.ceil(this.#next / align) * align
    this.#next = base + region.lengthBytes + GAP
    this.#regions.push({ base, ...region })
    return BigInt(base)
  }

  #find(pointer: bigint, sizeBytes: number): Uint8Array | undefined {
    const region = this.#regions[this.#indexOf(pointer)]
    if (region === undefined) return undefined
    const start = Number(pointer) - region.base
    if (start + sizeBytes > region.lengthBytes) return undefined
    if (region.bytes !== undefined) return region.bytes.subarray(start, start + sizeBytes)
    return region.mapping?.bytes().subarray(start, start + sizeBytes)
  }

  /** Index of the last region that begins at or before `pointer`, or -1. */
  #indexOf(pointer: bigint): number {
    if (pointer < BigInt(FIRST_ADDRESS) || pointer >= BigInt(this.#next)) return -1
    const address = Number(pointer)
    let low = 0
    let high = this.#regions.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#regions[middle] as Region).base <= address) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}
