/**
 * BPF_MAP_TYPE_ARENA: memory that programs and user space share, page by page, under the same addresses.
 *
 * User space maps all of it, at a place that is settled by `map_extra` or by the first mmap. Programs hold addresses
 * of user space, or their low 32 bits, which they reach memory by; neither crosses 4 GiB. A page comes to be when a
 * program allocates it or user space touches it. Where none is, a program reads 0 and writes nothing.
 *
 * Source: the behaviour of kernel/bpf/arena.c of Linux.
 */
import { BPF_F_SEGV_ON_FAULT, E2BIG, EBUSY, EINVAL, EOPNOTSUPP, PAGE_SIZE } from '../abi/index.ts'
import { PagedMemory } from '../memory/index.ts'
import type { MapDefinition, MapHost } from './map.ts'
import { MapBase, OutOfArena } from './map-base.ts'
import { PageRanges } from './page-ranges.ts'

const PAGE = BigInt(PAGE_SIZE)
const LOW = 0xffff_ffffn

/** The arena of a program, and which of its instructions go through it. */
export interface ArenaUse {
  /** Mapped by user space, or with a place that `map_extra` gave it. */
  readonly map: ArenaMap
  /** Slots of loads, stores and atomic instructions. */
  readonly slots: ReadonlySet<number>
}

export class ArenaMap extends MapBase {
  readonly pages: PagedMemory
  readonly #ranges = new PageRanges()
  /** Where user space sees the first byte, and the byte behind the last one; 0: not settled yet. */
  #userStart: bigint
  #userEnd: bigint

  constructor(host: MapHost, definition: MapDefinition) {
    super(host, definition, false)
    const { maxEntries, extra = 0n } = definition
    const pages = PagedMemory.create(host.arena, maxEntries)
    if (pages === undefined) {
      super[Symbol.dispose]()
      throw new OutOfArena(`${definition.name}: no arena memory for a table of ${maxEntries} pages`)
    }
    this.pages = pages
    this.#ranges.give(0, maxEntries)
    this.#userStart = extra
    this.#userEnd = extra === 0n ? 0n : extra + BigInt(pages.sizeBytes)
    this.writeHeader({ cpuCount: 1, elementSize: PAGE_SIZE, data: pages.table, mask: 0, seed: 0 })
  }

  get memoryBytes(): number {
    return this.ownedBytes + this.pages.memoryBytes
  }

  /** 0n: not settled yet, and no program may use the map. */
  get userStart(): bigint {
    return this.#userStart
  }

  /** Why user space cannot map `lengthBytes` at `address` (0n: anywhere), or 0. */
  checkPlace(address: bigint, lengthBytes: number, offsetBytes: number): number {
    if (offsetBytes !== 0) return -EINVAL
    if (lengthBytes > 2 ** 32) return -E2BIG
    if (this.#userStart === 0n) return 0
    const settled = Number(this.#userEnd - this.#userStart)
    if (lengthBytes !== settled) return lengthBytes > settled ? -E2BIG : -EINVAL
    return address === this.#userStart ? 0 : -EINVAL
  }

  /** User space has mapped `lengthBytes` at `address`. */
  settle(address: bigint, lengthBytes: number): void {
    this.#userStart = address
    this.#userEnd = address + BigInt(lengthBytes)
  }

  /** Makes the page at byte `at` be there because user space touches it; false: that is a fault. */
  touch(at: number): boolean {
    const page = Math.floor(at / PAGE_SIZE)
    if (this.pages.has(page)) return true
    if ((this.definition.flags & BPF_F_SEGV_ON_FAULT) !== 0 || page >= this.pages.pageCount) return false
    // Also where programs have reserved it.
    if (!this.pages.add(page)) return false
    this.#ranges.take(page, 1)
    return true
  }

  /** bpf_arena_alloc_pages: user space's address of the first of `count` pages; 0n where there are none. */
  allocatePages(address: bigint, count: number): bigint {
    const mostPages = this.#placedPages
    if (count === 0 || count > mostPages) return 0n
    let first = -1
    if (address !== 0n) {
      if (address % PAGE !== 0n) return 0n
      first = this.#pageOf(address)
      if (first > mostPages - count || !this.#ranges.isFree(first, count)) return 0n
    } else first = this.#ranges.find(count)
    // A range may lie where user space has not mapped anything.
    if (first < 0) return 0n
    for (let page = first; page < first + count; page++) {
      if (this.pages.add(page)) continue
      for (let added = first; added < page; added++) this.pages.remove(added)
      return 0n
    }
    this.#ranges.take(first, count)
    return this.#userStart + BigInt(first) * PAGE
  }

  /** bpf_arena_free_pages. Only the low 32 bits of the address count, and of those the page. */
  freePages(address: bigint, count: number): void {
    const start = (this.#userStart & ~LOW) + (address & LOW & ~(PAGE - 1n))
    const wanted = start + BigInt(count) * PAGE
    const end = wanted < this.#userEnd ? wanted : this.#userEnd
    if (start < this.#userStart || start >= end) return
    const first = this.#pageOf(address)
    const pages = Number((end - start) / PAGE)
    this.#ranges.give(first, pages)
    for (let page = first; page < first + pages; page++) this.pages.remove(page)
  }

  /** bpf_arena_reserve_pages: keeps pages from being allocated. 0 or -errno. */
  reservePages(address: bigint, count: number): number {
    if (count === 0 || address % PAGE !== 0n) return 0
    const first = this.#pageOf(address)
    if (first + count > this.#placedPages) return -EINVAL
    if (!this.#ranges.isFree(first, count)) return -EBUSY
    this.#ranges.take(first, count)
    return 0
  }

  lookup(_key: number, _cpu: number): number {
    return 0
  }

  update(_key: number, _value: number, _flags: bigint, _cpu: number): number {
    return -EOPNOTSUPP
  }

  delete(_key: number): number {
    return -EOPNOTSUPP
  }

  forEach(_cpu: number, _visit: (key: number, value: number) => boolean): number {
    return -EINVAL
  }

  nextKey(_key: Uint8Array | undefined): Uint8Array | number {
    return -EOPNOTSUPP
  }

  override read(_key: Uint8Array, _flags: bigint): Uint8Array | number {
    return -EINVAL
  }

  override write(_key: Uint8Array, _value: Uint8Array, _flags: bigint): number {
    return -EOPNOTSUPP
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]()
    this.host.grace.defer(() => this.pages[Symbol.dispose]())
  }

  protected peek(_key: number): number {
    return 0
  }

  protected updateFromUser(): number {
    return -EOPNOTSUPP
  }

  get #placedPages(): number {
    return Number((this.#userEnd - this.#userStart) / PAGE)
  }

  /** The page of an address of user space, of which only the low 32 bits count. */
  #pageOf(address: bigint): number {
    return Number(BigInt.asUintN(32, address - this.#userStart) / PAGE)
  }
}
