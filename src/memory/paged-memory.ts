/**
 * Memory of up to 4 GiB of which only some pages are there: what an arena map is made of.
 *
 * Rules
 * - It is addressed by the distance from its first byte. A table of one u32 for each page, in the arena, says where
 *   the page lies there; 0: nowhere. Compiled code reads the table itself.
 * - Pages lie in groups that are contiguous in the arena; one page of a group there makes the whole group be there.
 *   A small memory is one group, so that a range of it is one piece.
 * - What a page holds is zero when it comes.
 */
import type { Arena } from './arena.ts'

const PAGE = 4096

/** A memory of at most this many pages (16 MiB) is one group. */
const PAGES_IN_ONE_GROUP = 4096
const PAGES_OF_A_GROUP = 64

interface Group {
  readonly offset: number
  /** Pages of it that are there. */
  count: number
}

export class PagedMemory implements Disposable {
  readonly pageCount: number
  /** Offset of `u32 page[pageCount]`. */
  readonly table: number
  /** How far contiguous pieces go: none crosses a multiple of this. */
  readonly pieceBytes: number
  readonly #arena: Arena
  readonly #pagesOfAGroup: number
  readonly #groups = new Map<number, Group>()
  #present = 0

  private constructor(arena: Arena, pageCount: number, table: number) {
    this.#arena = arena
    this.pageCount = pageCount
    this.table = table
    this.#pagesOfAGroup = pageCount <= PAGES_IN_ONE_GROUP ? pageCount : PAGES_OF_A_GROUP
    this.pieceBytes = this.#pagesOfAGroup * PAGE
  }

  /** Without a page; undefined where the arena has no room for the table. */
  static create(arena: Arena, pageCount: number): PagedMemory | undefined {
    const table = arena.allocate(pageCount * 4, { access: 'none' })
    return table === undefined ? undefined : new PagedMemory(arena, pageCount, table)
  }

  get sizeBytes(): number {
    return this.pageCount * PAGE
  }

  /** Pages that are there. */
  get presentPages(): number {
    return this.#present
  }

  /** Bytes of the arena that it takes. */
  get memoryBytes(): number {
    return this.pageCount * 4 + this.#groups.size * this.pieceBytes
  }

  has(page: number): boolean {
    return this.#place(page) !== 0
  }

  /** Makes a page be there; false where the arena has no room. */
  add(page: number): boolean {
    if (this.has(page)) return true
    const number = Math.floor(page / this.#pagesOfAGroup)
    const group = this.#groups.get(number) ?? this.#newGroup(number)
    if (group === undefined) return false
    const place = group.offset + (page % this.#pagesOfAGroup) * PAGE
    this.#arena.bytes.fill(0, place, place + PAGE)
    this.#setPlace(page, place)
    group.count++
    this.#present++
    return true
  }

  remove(page: number): void {
    if (!this.has(page)) return
    this.#setPlace(page, 0)
    this.#present--
    const number = Math.floor(page / this.#pagesOfAGroup)
    const group = this.#groups.get(number) as Group
    if (--group.count > 0) return
    this.#groups.delete(number)
    this.#arena.free(group.offset)
  }

  /** The arena offset of `sizeBytes` bytes in one piece; -1 where they are not there or not in one piece. */
  offsetOf(at: number, sizeBytes: number): number {
    const end = at + sizeBytes
    if (at < 0 || end > this.sizeBytes) return -1
    if (Math.floor(at / this.pieceBytes) !== Math.floor((end - 1) / this.pieceBytes)) return -1
    for (let page = Math.floor(at / PAGE); page * PAGE < end; page++) if (!this.has(page)) return -1
    return this.#place(Math.floor(at / PAGE)) + (at % PAGE)
  }

  /** Copies from `at` on; false, with nothing copied, where not all of it is there. */
  read(at: number, into: Uint8Array): boolean {
    return this.#pieces(at, into.length, (offset, start, end) => {
      into.set(this.#arena.bytes.subarray(offset, offset + end - start), start)
    })
  }

  /** Copies to `at`; false, with nothing copied, where not all of it is there. */
  write(at: number, bytes: Uint8Array): boolean {
    return this.#pieces(at, bytes.length, (offset, start, end) => {
      this.#arena.bytes.set(bytes.subarray(start, end), offset)
    })
  }

  [Symbol.dispose](): void {
    for (const { offset } of this.#groups.values()) this.#arena.free(offset)
    this.#groups.clear()
    this.#arena.free(this.table)
  }

  #pieces(
    at: number,
    sizeBytes: number,
    visit: (offset: number, start: number, end: number) => void,
  ): boolean {
    if (at < 0 || at + sizeBytes > this.sizeBytes) return false
    for (let page = Math.floor(at / PAGE); page * PAGE < at + sizeBytes; page++) {
      if (!this.has(page)) return false
    }
    for (let start = 0; start < sizeBytes; ) {
      const end = Math.min(sizeBytes, start + PAGE - ((at + start) % PAGE))
      visit(this.#place(Math.floor((at + start) / PAGE)) + ((at + start) % PAGE), start, end)
      start = end
    }
    return true
  }

  #newGroup(number: number): Group | undefined {
    const offset = this.#arena.allocate(this.pieceBytes, { align: PAGE, access: 'none' })
    if (offset === undefined) return undefined
    const group = { offset, count: 0 }
    this.#groups.set(number, group)
    return group
  }

  #place(page: number): number {
    return this.#arena.words[(this.table >>> 2) + page] as number
  }

  #setPlace(page: number, place: number): void {
    this.#arena.words[(this.table >>> 2) + page] = place
  }
}
