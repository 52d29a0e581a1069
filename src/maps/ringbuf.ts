/**
 * BPF_MAP_TYPE_RINGBUF: one ring of records from all CPUs to one reader.
 *
 *     page 0         the map's header, invisible to all
 *     page 1         u64 consumer position: user space maps it at 0, read-write
 *     page 2         u64 producer position: user space maps the rest from 4096 on, read-only
 *     page 3 ...     `size` bytes of data, and as many again
 *
 * Rules
 * - Positions only grow; a record lies at `position & (size - 1)`: u32 length | BUSY | DISCARD, u32 page
 *   number counted from page 0, data, padding to 8.
 * - Linux maps the data pages twice in a row, so that a record which crosses the end can be read in one piece.
 *   Here the second half is memory of its own: a crossing record is written on into it, and what lies beyond
 *   the end is copied to the beginning when the record is committed.
 * - A program may touch a record's data from reserve to commit, and nothing else of the ring.
 * - The reader is told when a record is committed that it is waiting for: the one at the consumer position.
 *
 * Source: the behaviour of kernel/bpf/ringbuf.c of Linux; Documentation/bpf/ringbuf.rst.
 */
import {
  BPF_RB_AVAIL_DATA,
  BPF_RB_CONS_POS,
  BPF_RB_FORCE_WAKEUP,
  BPF_RB_NO_WAKEUP,
  BPF_RB_PROD_POS,
  BPF_RB_RING_SIZE,
  BPF_RINGBUF_BUSY_BIT,
  BPF_RINGBUF_DISCARD_BIT,
  BPF_RINGBUF_HDR_SZ,
  bytes,
  EAGAIN,
  EINVAL,
  ENOTSUPP,
  PAGE_SIZE,
  struct,
  u64,
} from '../abi/index.ts'
import { mapHeader, roundUp } from './layout.ts'
import type { MapDefinition, MapHost } from './map.ts'
import { MapBase } from './map-base.ts'

const CONSUMER_PAGE = 1
const PRODUCER_PAGE = 2
const DATA_PAGE = 3
const LARGEST_RECORD = 0x3fff_ffff
const LENGTH_MASK = BPF_RINGBUF_DISCARD_BIT - 1
const BYTES_IN_2_32 = 2 ** 32

/** What stands behind the map's header in page 0, for this class and for compiled code. */
export const ringState = struct('ring state', {
  mapHeader: bytes(mapHeader.size),
  /** Position of the oldest record that may still be busy. */
  pending: u64,
  /** Reservations and outputs that found no room. */
  dropped: u64,
})

/** A range of the arena that mmap can show. */
export interface Region {
  readonly offset: number
  readonly sizeBytes: number
}

/** The ring as programs see it: reserve, submit, discard, query. */
export class RingBuffer extends MapBase {
  readonly memoryBytes: number
  /** Called when the reader should look: poll on the map becomes ready. */
  onWakeup: (() => void) | undefined
  readonly #consumer: number
  readonly #producer: number
  readonly #data: number
  readonly #size: number

  constructor(host: MapHost, definition: MapDefinition) {
    const size = definition.maxEntries
    super(host, definition, false, DATA_PAGE * PAGE_SIZE + 2 * size, PAGE_SIZE)
    this.#size = size
    this.#consumer = this.header + CONSUMER_PAGE * PAGE_SIZE
    this.#producer = this.header + PRODUCER_PAGE * PAGE_SIZE
    this.#data = this.header + DATA_PAGE * PAGE_SIZE
    this.memoryBytes = this.ownedBytes
    this.writeHeader({ cpuCount: 1, elementSize: 0, data: this.#consumer, mask: size - 1, seed: 0 })
  }

  /** What mmap shows at 0 (`consumer`) and from 4096 on (`producerAndData`). */
  get regions(): { readonly consumer: Region; readonly producerAndData: Region } {
    return {
      consumer: { offset: this.#consumer, sizeBytes: PAGE_SIZE },
      producerAndData: { offset: this.#producer, sizeBytes: PAGE_SIZE + 2 * this.#size },
    }
  }

  /** Reservations and outputs that found no room, which Linux does not count. */
  get dropped(): number {
    return this.#position(this.header + ringState.offsets.dropped)
  }

  /** Bytes from the consumer to the producer position, busy records included. */
  get availableBytes(): number {
    return this.#position(this.#producer) - this.#position(this.#consumer)
  }

  /** Whether poll(2) reports POLLIN. */
  readable(): boolean {
    return this.availableBytes !== 0
  }

  /** Offset of `size` bytes that the program may fill; 0 where there is no room. `flags` must be 0. */
  reserve(size: number, flags: bigint): number {
    return flags !== 0n ? 0 : this.#reserve(size, 'write')
  }

  /** Hands a reserved record to the reader. `flags`: BPF_RB_NO_WAKEUP, BPF_RB_FORCE_WAKEUP. */
  submit(record: number, flags: bigint): void {
    this.#commit(record, flags, 0)
  }

  /** Gives a reserved record up: the reader skips it. */
  discard(record: number, flags: bigint): void {
    this.#commit(record, flags, BPF_RINGBUF_DISCARD_BIT)
  }

  /** Copies `size` bytes at arena offset `data` into a record: 0, -EINVAL for bad flags, -EAGAIN without room. */
  output(data: number, size: number, flags: bigint): number {
    if ((flags & ~(BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP)) !== 0n) return -EINVAL
    const record = this.#reserve(size, 'none')
    if (record === 0) return -EAGAIN
    this.host.arena.copy(record, data, size)
    this.submit(record, flags)
    return 0
  }

  /** BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE, BPF_RB_CONS_POS or BPF_RB_PROD_POS; 0 for anything else. */
  query(what: bigint): number {
    switch (what) {
      case BPF_RB_AVAIL_DATA:
        return this.availableBytes
      case BPF_RB_RING_SIZE:
        return this.#size
      case BPF_RB_CONS_POS:
        return this.#position(this.#consumer)
      case BPF_RB_PROD_POS:
        return this.#position(this.#producer)
      default:
        return 0
    }
  }

  /** Whether `record` is what `reserve` gave and was not committed yet. */
  isReserved(record: number): boolean {
    const header = record - BPF_RINGBUF_HDR_SZ
    const at = header - this.#data
    if (at < 0 || at >= this.#size || (at & 7) !== 0) return false
    const view = this.host.arena.view
    return (
      (view.getUint32(header, true) & BPF_RINGBUF_BUSY_BIT) !== 0 &&
      view.getUint32(header + 4, true) === this.#pageOf(header) &&
      this.#isOutstanding(at)
    )
  }

  /** Offset of the map header that belongs to a record, for RingBuffer.isReserved to confirm; -1: none. */
  static headerOf(view: DataView, record: number): number {
    const header = record - BPF_RINGBUF_HDR_SZ
    if (header < 0 || header + BPF_RINGBUF_HDR_SZ > view.byteLength) return -1
    return header - (header % PAGE_SIZE) - view.getUint32(header + 4, true) * PAGE_SIZE
  }

  lookup(_key: number, _cpu: number): number {
    return 0
  }

  update(_key: number, _value: number, _flags: bigint, _cpu: number): number {
    return -ENOTSUPP
  }

  delete(_key: number): number {
    return -ENOTSUPP
  }

  forEach(_cpu: number, _visit: (key: number, value: number) => boolean): number {
    return -EINVAL
  }

  nextKey(_key: Uint8Array | undefined): Uint8Array | number {
    return -ENOTSUPP
  }

  override read(_key: Uint8Array, flags: bigint): Uint8Array | number {
    return flags !== 0n ? -EINVAL : -ENOTSUPP
  }

  protected peek(_key: number): number {
    return 0
  }

  protected updateFromUser(): number {
    return -ENOTSUPP
  }

  #reserve(size: number, access: 'none' | 'write'): number {
    const record = this.#claim(size)
    if (record === 0) this.#setPosition(this.header + ringState.offsets.dropped, this.dropped + 1)
    else if (access !== 'none') this.host.arena.setAccess(record, size, access)
    return record
  }

  #claim(size: number): number {
    if (size > LARGEST_RECORD) return 0
    const length = roundUp(size + BPF_RINGBUF_HDR_SZ, 8)
    if (length > this.#size) return 0
    const view = this.host.arena.view
    const consumer = this.#position(this.#consumer)
    const producer = this.#position(this.#producer)
    const after = producer + length
    const pending = this.#oldestBusy(producer)
    this.#setPosition(this.header + ringState.offsets.pending, pending)
    // a consumer position from user space may be anything: never let it put a busy record at risk
    if (after - consumer > this.#size - 1 || after < consumer) return 0
    if (after - pending > this.#size - 1) return 0
    const header = this.#data + (producer % this.#size)
    view.setUint32(header, (size | BPF_RINGBUF_BUSY_BIT) >>> 0, true)
    view.setUint32(header + 4, this.#pageOf(header), true)
    this.#setPosition(this.#producer, after)
    return header + BPF_RINGBUF_HDR_SZ
  }

  /** Moves from the oldest known position over records that are committed. */
  #oldestBusy(producer: number): number {
    const view = this.host.arena.view
    let position = this.#position(this.header + ringState.offsets.pending)
    while (position < producer) {
      const word = view.getUint32(this.#data + (position % this.#size), true)
      if ((word & BPF_RINGBUF_BUSY_BIT) !== 0) break
      position += roundUp((word & LENGTH_MASK) + BPF_RINGBUF_HDR_SZ, 8)
    }
    return position
  }

  #commit(record: number, flags: bigint, extraBit: number): void {
    const { arena } = this.host
    const header = record - BPF_RINGBUF_HDR_SZ
    const size = arena.view.getUint32(header, true) & LENGTH_MASK
    arena.setAccess(record, size, 'none')
    const end = this.#data + this.#size
    if (record + size > end) arena.bytes.copyWithin(this.#data, end, record + size)
    arena.view.setUint32(header, size | extraBit, true)
    const awaited = this.#position(this.#consumer) % this.#size
    const isAwaited = header - this.#data === awaited && (flags & BPF_RB_NO_WAKEUP) === 0n
    if ((flags & BPF_RB_FORCE_WAKEUP) !== 0n || isAwaited) this.onWakeup?.()
  }

  /** Whether a record begins at `at` bytes into the data, between the oldest busy one and the producer. */
  #isOutstanding(at: number): boolean {
    const producer = this.#position(this.#producer)
    const view = this.host.arena.view
    for (let position = this.#oldestBusy(producer); position < producer; ) {
      if (position % this.#size === at) return true
      const word = view.getUint32(this.#data + (position % this.#size), true)
      position += roundUp((word & LENGTH_MASK) + BPF_RINGBUF_HDR_SZ, 8)
    }
    return false
  }

  #pageOf(header: number): number {
    return Math.floor((header - this.header) / PAGE_SIZE)
  }

  /** Positions stay far below 2^53. */
  #position(page: number): number {
    const view = this.host.arena.view
    return view.getUint32(page, true) + view.getUint32(page + 4, true) * BYTES_IN_2_32
  }

  #setPosition(page: number, position: number): void {
    const view = this.host.arena.view
    view.setUint32(page, position % BYTES_IN_2_32, true)
    view.setUint32(page + 4, Math.floor(position / BYTES_IN_2_32), true)
  }
}
