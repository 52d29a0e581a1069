/**
 * What mmap(2) gave: shared with the kernel, not copied.
 *
 * Rules: only whole mappings are unmapped, and only those made here, as everything else in this process is
 * somebody's. A view that outlives its mapping must not end the process: where one was handed out, unmapping puts
 * zeroed memory in the place of the kernel's at once, and gives the addresses back when the last view is gone.
 * A mapping without PROT_WRITE must not be written to; no view can be made read-only in JavaScript.
 */
import { EEXIST, EINVAL, MAP_PRIVATE, PAGE_SIZE, PROT_READ, PROT_WRITE } from '../../abi/index.ts'
import type { Libc } from './libc.ts'
import { RegionIndex } from './region-index.ts'

/** Source: include/uapi/asm-generic/mman-common.h and mman.h. */
const MAP_FIXED = 0x10
const MAP_ANONYMOUS = 0x20
const MAP_NORESERVE = 0x4000
const MAP_FIXED_NOREPLACE = 0x10_0000

interface Mapping {
  readonly base: number
  readonly lengthBytes: number
  /** Made when first looked at. */
  buffer: ArrayBuffer | undefined
}

export class Mappings {
  readonly #libc: Libc
  readonly #regions = new RegionIndex<Mapping>()
  readonly #leftBehind: FinalizationRegistry<{ readonly base: number; readonly lengthBytes: number }>

  constructor(libc: Libc) {
    this.#libc = libc
    this.#leftBehind = new FinalizationRegistry(({ base, lengthBytes }) => libc.munmap(base, lengthBytes))
  }

  /** An address, or -errno. A fixed address that is in use is EEXIST: nothing of this process is replaced. */
  map(address: number, length: number, prot: number, flags: number, fd: number, offset: number): number {
    const kept = (flags & MAP_FIXED) === 0 ? flags : (flags & ~MAP_FIXED) | MAP_FIXED_NOREPLACE
    const base = this.#libc.mmap(address, length, prot, kept, fd, offset)
    if (base < 0) return base
    const mapping = { base, lengthBytes: wholePages(length), buffer: undefined }
    if (kept !== flags && base !== address) {
      // A kernel that does not know the flag took the address as a hint.
      this.#libc.munmap(base, mapping.lengthBytes)
      return -EEXIST
    }
    this.#regions.add(mapping)
    return base
  }

  /** 0, or -EINVAL where this is no whole mapping. */
  unmap(address: number, length: number): number {
    const mapping = this.#regions.find(address)
    if (mapping?.base !== address || mapping.lengthBytes !== wholePages(length)) return -EINVAL
    this.#regions.delete(mapping)
    return this.#release(mapping)
  }

  /** The bytes of a range inside one mapping; undefined elsewhere. */
  view(address: number, sizeBytes: number): Uint8Array | undefined {
    const mapping = this.#around(address, sizeBytes)
    if (mapping === undefined) return undefined
    mapping.buffer ??= this.#libc.view(mapping.base, mapping.lengthBytes)
    return new Uint8Array(mapping.buffer, address - mapping.base, sizeBytes)
  }

  /** Whether all of a range lies in one mapping. */
  holds(address: number, sizeBytes: number): boolean {
    return this.#around(address, sizeBytes) !== undefined
  }

  unmapAll(): void {
    for (const mapping of this.#regions) this.#release(mapping)
    this.#regions.clear()
  }

  #around(address: number, sizeBytes: number): Mapping | undefined {
    const mapping = this.#regions.find(address)
    if (mapping === undefined || address + sizeBytes > mapping.base + mapping.lengthBytes) return undefined
    return mapping
  }

  #release({ base, lengthBytes, buffer }: Mapping): number {
    if (buffer === undefined) return this.#libc.munmap(base, lengthBytes)
    const flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    const result = this.#libc.mmap(base, lengthBytes, PROT_READ | PROT_WRITE, flags, -1, 0)
    if (result < 0) return result
    this.#leftBehind.register(buffer, { base, lengthBytes })
    return 0
  }
}

const wholePages = (length: number) => Math.ceil(length / PAGE_SIZE) * PAGE_SIZE
