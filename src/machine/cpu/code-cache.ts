/**
 * The cache of decoded code: fills entry tables with records, and throws them away when their bytes change.
 *
 * Decoding starts at an entry and follows the code as far as it stays on the page: fall-through, branch
 * targets, the instructions behind calls. What turns out to be data is harmless, because nothing reaches its
 * records.
 *
 * Rules: a page with an entry table never has a TLB entry for writing, so every store into it comes here
 * (`beforeStore`). Memory is given out from bottom to top; when it is used up, everything is forgotten, which
 * only happens between runs.
 */
import { csrDescriptorAt } from './csrs.ts'
import type { Decoded } from './decoder.ts'
import { decode, isCompressed } from './decoder.ts'
import { handlerOf, illegalHandler, pairHandler, stepHandler, withoutPair } from './handlers.ts'
import type { MemoryMap } from './layout.ts'
import { entryTable, PAGE_BYTES, record, SCRATCH } from './layout.ts'

/** Fits the u8 `remaining`. */
const LONGEST_BLOCK = 250

const MOST_KNOWN_WORDS = 1 << 16

const STEP = {
  nop: stepHandler('nop'),
  li: stepHandler('li'),
  mv: stepHandler('mv'),
  jump: stepHandler('jump'),
  jumpRegister: stepHandler('jumpRegister'),
  goto: stepHandler('goto'),
  crossing: stepHandler('crossing'),
  stop: stepHandler('stop'),
  clearZero: stepHandler('clearZero'),
}

interface Link {
  readonly recordAt: number
  readonly target: number
}

export class CodeCache {
  readonly #map: MemoryMap
  readonly #bytes: Uint8Array
  readonly #halfwords: Uint16Array
  readonly #words: Int32Array
  /** Called when translations may have become wrong: all TLBs of all harts must be emptied. */
  readonly #flushTlbs: () => void
  /** Words decoded before: programs use the same few thousand. Measured: a quarter of the time of a boot. */
  readonly #known = new Map<number, Decoded | undefined>()
  #free: number
  /** The handler of the record before `#free`, where control may fall through from it; else -1. */
  #previous = -1

  constructor(map: MemoryMap, memory: ArrayBuffer, flushTlbs: () => void) {
    this.#map = map
    this.#bytes = new Uint8Array(memory)
    this.#halfwords = new Uint16Array(memory)
    this.#words = new Int32Array(memory)
    this.#flushTlbs = flushTlbs
    this.#free = map.codeCache
  }

  /** Decodes from an offset into RAM on, up to the borders of its page. */
  decodeAt(ramOffset: number): void {
    // A page's table and all its records, each halfword an instruction with two more records behind it.
    this.#reserve(entryTable.sizeBytes + 3 * record.sizeBytes * (PAGE_BYTES / 2))
    const page = ramOffset & -PAGE_BYTES
    const table = this.#tableOf(page)
    const work = [ramOffset - page]
    const links: Link[] = []
    for (let entry = work.pop(); entry !== undefined; entry = work.pop()) {
      if (this.#entry(table, entry) === 0) this.#decodeBlock(page, table, entry, work, links)
    }
    for (const { recordAt, target } of links) {
      this.#words[(recordAt + record.extra) >>> 2] = this.#entry(table, target)
    }
  }

  /**
   * Decodes the instruction in the last halfword of the page at `page` whose second half is the first halfword
   * of the page at `nextPage` (offsets into RAM).
   */
  decodeCrossing(page: number, nextPage: number): void {
    this.#reserve(2 * entryTable.sizeBytes + 8 * record.sizeBytes)
    const table = this.#tableOf(page)
    const nextTable = this.#tableOf(nextPage)
    const offset = PAGE_BYTES - 2
    const word = this.#halfword(page + offset) | (this.#halfword(nextPage) << 16)
    this.#markDecoded(nextTable, 0, 2)
    this.#markDecoded(table, offset, 2)
    const start = this.#free
    this.#previous = -1
    this.#emit(STEP.crossing, 0, 0, 0, offset, 0, nextTable)
    const links: Link[] = []
    this.#emitInstruction(this.#decode(word), word, offset, [], links)
    this.#emit(STEP.goto, 0, 0, 0, offset + 4, offset + 4, 0)
    this.#setRemaining(start, 1)
    this.#setRemaining(start + record.sizeBytes, 1)
    this.#words[(table + 2 * offset) >>> 2] = start
    // Links stay open: the entries of this page may not be decoded yet, and the look-up finds them.
  }

  /** The record at an offset into RAM, or 0. */
  recordAt(ramOffset: number): number {
    const page = ramOffset & -PAGE_BYTES
    const table = this.#directory(page)
    return table === 0 ? 0 : this.#entry(table, ramOffset - page)
  }

  /**
   * Runs `body` with a copy, cut off after `count` instructions, in place of the block that begins at an offset
   * into RAM.
   */
  withCutBlock<T>(ramOffset: number, count: number, body: () => T): T {
    const page = ramOffset & -PAGE_BYTES
    const slot = (this.#directory(page) + 2 * (ramOffset - page)) >>> 2
    const original = this.#words[slot] as number
    this.#copyCut(original, count)
    this.#words[slot] = SCRATCH
    const result = body()
    // The page may have lost this table meanwhile; then nobody looks into it any more.
    this.#words[slot] = original
    return result
  }

  /** To be called before `bytes` bytes of a page with an entry table change. */
  beforeStore(ramOffset: number, bytes: number): void {
    const page = ramOffset & -PAGE_BYTES
    const table = this.#directory(page)
    if (table === 0) return
    const from = (ramOffset - page) >>> 1
    const to = Math.min((ramOffset - page + bytes - 1) >>> 1, PAGE_BYTES / 2 - 1)
    for (let halfword = from; halfword <= to; halfword++) {
      const bits = this.#bytes[table + entryTable.decodedBits + (halfword >>> 3)] as number
      if (((bits >>> (halfword & 7)) & 1) === 0) continue
      this.#forgetPage(page)
      return
    }
  }

  /** Tells the cache that bytes from an offset into RAM on are about to change. */
  beforeWrite(ramOffset: number, bytes: number): void {
    for (let at = ramOffset; at < ramOffset + bytes; ) {
      const end = Math.min((at & -PAGE_BYTES) + PAGE_BYTES, ramOffset + bytes)
      this.beforeStore(at, end - at)
      at = end
    }
  }

  #forgetPage(page: number): void {
    this.#words[(this.#map.codeDirectory + (page / PAGE_BYTES) * 4) >>> 2] = 0
    this.#flushTlbs()
  }

  #reserve(bytes: number): void {
    if (this.#free + bytes <= this.#map.codeCacheEnd) return
    this.#bytes.fill(
      0,
      this.#map.codeDirectory,
      this.#map.codeDirectory + (this.#map.ramBytes / PAGE_BYTES) * 4,
    )
    this.#free = this.#map.codeCache
    this.#flushTlbs()
  }

  #directory(page: number): number {
    return this.#words[(this.#map.codeDirectory + (page / PAGE_BYTES) * 4) >>> 2] as number
  }

  #tableOf(page: number): number {
    const known = this.#directory(page)
    if (known !== 0) return known
    const table = this.#free
    this.#free += entryTable.sizeBytes
    this.#bytes.fill(0, table, this.#free)
    this.#words[(this.#map.codeDirectory + (page / PAGE_BYTES) * 4) >>> 2] = table
    // TLB entries for writing to this page must go.
    this.#flushTlbs()
    return table
  }

  #entry(table: number, offset: number): number {
    return this.#words[(table + 2 * offset) >>> 2] as number
  }

  #halfword(ramOffset: number): number {
    return this.#halfwords[(this.#map.ram + ramOffset) >>> 1] as number
  }

  #markDecoded(table: number, offset: number, lengthBytes: number): void {
    for (let halfword = offset >>> 1; halfword < (offset + lengthBytes) >>> 1; halfword++) {
      const at = table + entryTable.decodedBits + (halfword >>> 3)
      this.#bytes[at] = (this.#bytes[at] as number) | (1 << (halfword & 7))
    }
  }

  #emit(
    handler: number,
    rd: number,
    rs1: number,
    rs2: number,
    pageOffset: number,
    immediate: number,
    extra: number,
  ): void {
    const at = this.#free >>> 2
    const pair = pairHandler(this.#previous, handler)
    if (pair !== undefined) this.#halfwords[(this.#free - record.sizeBytes + record.handler) >>> 1] = pair
    this.#previous = handler
    this.#words[at] = handler | (rs1 << 19) | (rs2 << 27)
    this.#words[at + 1] = (rd << 3) | (pageOffset << 16)
    this.#words[at + 2] = immediate
    this.#words[at + 3] = extra
    this.#free += record.sizeBytes
  }

  #setRemaining(recordAt: number, remaining: number): void {
    this.#bytes[recordAt + record.remaining] = remaining
  }

  #decodeBlock(page: number, table: number, entry: number, work: number[], links: Link[]): void {
    const starts: number[] = []
    let offset = entry
    this.#previous = -1
    for (;;) {
      if (offset >= PAGE_BYTES) {
        this.#emit(STEP.goto, 0, 0, 0, offset, offset, 0)
        break
      }
      const known = this.#entry(table, offset)
      if (known !== 0) {
        this.#emit(STEP.jump, 0, 0, 0, offset, offset, known)
        break
      }
      if (starts.length === LONGEST_BLOCK) {
        links.push({ recordAt: this.#free, target: offset })
        work.push(offset)
        this.#emit(STEP.jump, 0, 0, 0, offset, offset, 0)
        break
      }
      const low = this.#halfword(page + offset)
      const crosses = offset === PAGE_BYTES - 2 && !isCompressed(low)
      if (crosses && starts.length > 0) {
        this.#emit(STEP.goto, 0, 0, 0, offset, offset, 0)
        break
      }
      starts.push(this.#free)
      this.#words[(table + 2 * offset) >>> 2] = this.#free
      if (crosses) {
        this.#markDecoded(table, offset, 2)
        this.#emit(STEP.crossing, 0, 0, 0, offset, 0, 0)
        break
      }
      const word = isCompressed(low) ? low : low | (this.#halfword(page + offset + 2) << 16)
      const decoded = this.#decode(word)
      this.#markDecoded(table, offset, isCompressed(low) ? 2 : 4)
      const goesOn = this.#emitInstruction(decoded, word, offset, work, links)
      offset += isCompressed(low) ? 2 : 4
      if (!goesOn) {
        // Where a system instruction goes on: its successor's offset is read from this record.
        this.#emit(STEP.goto, 0, 0, 0, offset, offset, 0)
        break
      }
    }
    starts.forEach((at, i) => {
      this.#setRemaining(at, starts.length - i)
    })
  }

  /** Emits the record(s) of one instruction; whether its block goes on behind it. */
  #emitInstruction(
    decoded: Decoded | undefined,
    word: number,
    offset: number,
    work: number[],
    links: Link[],
  ): boolean {
    if (decoded === undefined) {
      this.#emit(illegalHandler, 0, 0, 0, offset, 0, word)
      return false
    }
    const { row, rd, rs1, rs2, immediate, lengthBytes } = decoded
    const next = offset + lengthBytes
    const handler = handlerOf(row)
    const link = (target: number) => {
      if (target < 0 || target >= PAGE_BYTES) return
      links.push({ recordAt: this.#free, target })
      work.push(target)
    }
    const clearZero = () => {
      if (rd === 0) this.#emit(STEP.clearZero, 0, 0, 0, next, 0, 0)
    }
    switch (row.semantics.kind) {
      case 'nothing':
        this.#emit(STEP.nop, 0, 0, 0, offset, 0, 0)
        return true
      case 'compute':
        if (rd === 0) this.#emit(STEP.nop, 0, 0, 0, offset, 0, 0)
        else if (row.name === 'lui' || (row.name === 'addi' && rs1 === 0)) {
          this.#emit(STEP.li, rd, 0, 0, offset, immediate, 0)
        } else if (row.name === 'addi' && immediate === 0) this.#emit(STEP.mv, rd, rs1, 0, offset, 0, 0)
        else if (row.name === 'add' && rs1 === 0) this.#emit(STEP.mv, rd, rs2, 0, offset, 0, 0)
        else {
          const value = row.name === 'auipc' ? offset + immediate : immediate
          this.#emit(handler, rd, rs1, rs2, offset, value, 0)
        }
        return true
      case 'load':
        this.#emit(handler, rd, rs1, 0, offset, immediate, 0)
        clearZero()
        return true
      case 'store':
        this.#emit(handler, 0, rs1, rs2, offset, immediate, 0)
        return true
      case 'branch':
        link(offset + immediate)
        this.#emit(handler, 0, rs1, rs2, offset, offset + immediate, 0)
        return true
      case 'jump':
        link(offset + immediate)
        if (rd === 0) this.#emit(STEP.jump, 0, 0, 0, offset, offset + immediate, 0)
        else {
          if (next < PAGE_BYTES) work.push(next)
          this.#emit(handler, rd, 0, 0, offset, offset + immediate, 0)
          this.#halfwords[(this.#free - record.sizeBytes + record.rs1) >>> 1] = next
        }
        return false
      case 'jumpRegister':
        if (rd !== 0 && next < PAGE_BYTES) work.push(next)
        this.#emit(rd === 0 ? STEP.jumpRegister : handler, rd, rs1, 0, offset, immediate, next)
        return false
      case 'loadReserved':
      case 'storeConditional':
      case 'amo':
        this.#emit(handler, rd, rs1, rs2, offset, 0, word)
        clearZero()
        return true
      case 'csr': {
        const descriptor = csrDescriptorAt.get(immediate)
        if (descriptor === undefined) this.#emit(illegalHandler, 0, 0, 0, offset, 0, word)
        else {
          if (next < PAGE_BYTES) work.push(next)
          this.#emit(handler, rd, rs1, 0, offset, descriptor, word)
        }
        return false
      }
      case 'system':
        this.#emit(handler, 0, rs1, rs2, offset, 0, word)
        return false
    }
  }

  #decode(word: number): Decoded | undefined {
    const known = this.#known.get(word)
    if (known !== undefined || this.#known.has(word)) return known
    const decoded = decode(word)
    if (this.#known.size >= MOST_KNOWN_WORDS) this.#known.clear()
    this.#known.set(word, decoded)
    return decoded
  }

  /** Copies the first `count` instructions of the block at a record to SCRATCH. */
  #copyCut(from: number, count: number): void {
    let to = SCRATCH
    let left = count
    let at = from
    const handlerAt = (address: number) => this.#halfwords[address >>> 1] as number
    const remainingAt = (address: number) => this.#bytes[address + record.remaining] as number
    for (; ; at += record.sizeBytes, to += record.sizeBytes) {
      const handler = handlerAt(at)
      const counts = remainingAt(at) > 0 && handler !== STEP.crossing
      if (left === 0 && handler !== STEP.clearZero) break
      this.#bytes.copyWithin(to, at, at + record.sizeBytes)
      this.#halfwords[(to + record.handler) >>> 1] = withoutPair(handler)
      if (counts || handler === STEP.crossing) this.#bytes[to + record.remaining] = left
      if (counts) left--
    }
    this.#words[to >>> 2] = STEP.stop
    this.#words[(to >>> 2) + 1] = (this.#halfwords[(at + record.pageOffset) >>> 1] as number) << 16
  }
}
