/**
 * BPF_MAP_TYPE_USER_RINGBUF: one ring of records from user space to programs, which drain it.
 *
 * Laid out as a ring buffer is (`ringbuf.ts`), with the parts exchanged: user space writes the producer position and
 * the data and may only read the consumer position. So nothing in the pages is trusted.
 *
 * Rules
 * - Linux maps the data pages twice in a row. Here the second half is memory of its own: a writer lets a record that
 *   crosses the end run on into it, as libbpf does, and a program sees it in one piece.
 * - While a record is shown to a callback its bytes are readable and writable; nothing else of the ring is.
 *
 * Source: the behaviour of kernel/bpf/ringbuf.c of Linux.
 */
import {
  BPF_RB_FORCE_WAKEUP,
  BPF_RB_NO_WAKEUP,
  BPF_RINGBUF_BUSY_BIT,
  BPF_RINGBUF_DISCARD_BIT,
  BPF_RINGBUF_HDR_SZ,
  E2BIG,
  EAGAIN,
  EBUSY,
  EINVAL,
  ENODATA,
  ENOTSUPP,
  PAGE_SIZE,
} from '../abi/index.ts'
import { roundUp } from './layout.ts'
import type { MapDefinition, MapHost } from './map.ts'
import { MapBase } from './map-base.ts'
import type { Region } from './ringbuf.ts'

const CONSUMER_PAGE = 1
const PRODUCER_PAGE = 2
const DATA_PAGE = 3
/** BPF_MAX_USER_RINGBUF_SAMPLES: records looked at in one drain. */
const MOST_RECORDS = 128 * 1024
/** DYNPTR_MAX_SIZE. */
const LARGEST_RECORD = (1 << 24) - 1
const LENGTH_MASK = BPF_RINGBUF_DISCARD_BIT - 1

export class UserRingBuffer extends MapBase {
  readonly memoryBytes: number
  /** Called when the writer should look: there may be room again. */
  onWakeup: (() => void) | undefined
  readonly #size: number
  readonly #consumer: number
  readonly #producer: number
  readonly #data: number
  #isDraining = false

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

  /** What mmap shows at 0, read-only (`consumer`), and from 4096 on (`producerAndData`). */
  get regions(): { readonly consumer: Region; readonly producerAndData: Region } {
    return {
      consumer: { offset: this.#consumer, sizeBytes: PAGE_SIZE },
      producerAndData: { offset: this.#producer, sizeBytes: PAGE_SIZE + 2 * this.#size },
    }
  }

  /** Whether poll(2) reports POLLOUT: there is room for a byte. */
  writable(): boolean {
    const used = this.#position(this.#producer) - this.#position(this.#consumer)
    return used < BigInt(this.#size)
  }

  /**
   * Shows each record to `visit` (offset and bytes) until it answers true or none is left. Returns how many it
   * showed; -EINVAL or -E2BIG for what no writer should have written, -EBUSY inside of a drain. `flags`:
   * BPF_RB_NO_WAKEUP, BPF_RB_FORCE_WAKEUP.
   */
  drain(flags: bigint, visit: (record: number, size: number) => boolean): number {
    if ((flags & ~(BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP)) !== 0n) return -EINVAL
    if (this.#isDraining) return -EBUSY
    this.#isDraining = true
    let looked = 0
    let discarded = 0
    let status = 0
    try {
      for (let isDone = false; looked < MOST_RECORDS && !isDone; looked++) {
        const record = this.#next()
        if (record === -ENODATA) break
        if (record === -EAGAIN) {
          discarded++
          continue
        }
        if (record < 0) {
          status = record
          break
        }
        isDone = this.#show(record, visit)
      }
    } finally {
      this.#isDraining = false
    }
    const wakes = (flags & BPF_RB_FORCE_WAKEUP) !== 0n || ((flags & BPF_RB_NO_WAKEUP) === 0n && looked > 0)
    if (wakes) this.onWakeup?.()
    return status < 0 ? status : looked - discarded
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

  #show(header: number, visit: (record: number, size: number) => boolean): boolean {
    const { arena } = this.host
    const size = arena.view.getUint32(header, true) & LENGTH_MASK
    const at = (header + BPF_RINGBUF_HDR_SZ - this.#data) % this.#size
    const record = this.#data + at
    arena.setAccess(record, size, 'write')
    try {
      return visit(record, size)
    } finally {
      arena.setAccess(record, size, 'none')
      this.#advance(size)
    }
  }

  /** Offset of the header of the record at the consumer position; -ENODATA, -EAGAIN for one to skip, or -errno. */
  #next(): number {
    const producer = this.#position(this.#producer)
    const consumer = this.#position(this.#consumer)
    if (producer % 8n !== 0n) return -EINVAL
    if (consumer >= producer) return -ENODATA
    const header = this.#data + Number(consumer % BigInt(this.#size))
    const word = this.host.arena.view.getUint32(header, true)
    const size = word & LENGTH_MASK
    const total = roundUp(size + BPF_RINGBUF_HDR_SZ, 8)
    if (BigInt(total) > producer - consumer) return -EINVAL
    if (total > this.#size || size > LARGEST_RECORD) return -E2BIG
    if ((word & BPF_RINGBUF_DISCARD_BIT) !== 0) {
      this.#advance(size)
      return -EAGAIN
    }
    return (word & BPF_RINGBUF_BUSY_BIT) !== 0 ? -ENODATA : header
  }

  #advance(size: number): void {
    const after = this.#position(this.#consumer) + BigInt(roundUp(size + BPF_RINGBUF_HDR_SZ, 8))
    this.host.arena.view.setBigUint64(this.#consumer, after, true)
  }

  /** User space may write any. */
  #position(page: number): bigint {
    return this.host.arena.view.getBigUint64(page, true)
  }
}
