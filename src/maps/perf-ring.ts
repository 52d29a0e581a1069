/**
 * The ring that a perf event's mmap shows, as the sink of bpf_perf_event_output.
 *
 *     page 0         struct perf_event_mmap_page: data_head at 1024 (ours), data_tail at 1032 (the reader's)
 *     page 1 ...     2^n pages of records; one that crosses the end goes on at the beginning
 *
 * Rules
 * - A record is perf_event_header and body, a multiple of 8 bytes.
 * - What finds no room is counted, and a PERF_RECORD_LOST with the count stands before the next record.
 * - The reader is told every `wakeupEvents` records, or, with 0, whenever half of the ring has been written.
 *
 * Source: include/uapi/linux/perf_event.h; the behaviour of kernel/events/ring_buffer.c of Linux.
 */
import {
  ENOSPC,
  PAGE_SIZE,
  PERF_MMAP_DATA_HEAD,
  PERF_MMAP_DATA_OFFSET,
  PERF_MMAP_DATA_SIZE,
  PERF_MMAP_DATA_TAIL,
  PERF_RECORD_LOST,
  PERF_RECORD_SAMPLE,
  perfEventHeader,
  struct,
  u32,
  u64,
} from '../abi/index.ts'
import type { Arena } from '../memory/index.ts'
import { roundUp } from './layout.ts'
import type { Region } from './ringbuf.ts'

const lostRecord = struct('PERF_RECORD_LOST', { type: u32, misc_and_size: u32, id: u64, lost: u64 })
const RAW_SIZE_BYTES = 4
const NOTHING = new Uint8Array(0)

export interface PerfRingOptions {
  /** Pages of records: a power of two. */
  readonly dataPages: number
  /** `wakeup_events` of the event. */
  readonly wakeupEvents: number
  /** The event's id, for PERF_RECORD_LOST. */
  readonly id: bigint
  /** Called when the reader should look. */
  readonly onWakeup?: (() => void) | undefined
}

/** What a perf event array holds: a perf event as bpf_perf_event_output sees it. */
export interface PerfOutputTarget {
  /** Whether it is PERF_COUNT_SW_BPF_OUTPUT. */
  readonly takesBpfOutput: boolean
  /** The CPU that it is active on; -1 while disabled. */
  readonly activeCpu: number
  /** Undefined until user space has mapped it. */
  readonly ring: PerfRing | undefined
}

/** One ring of samples, written by one CPU and read by whoever mapped it. */
export class PerfRing implements Disposable {
  readonly #arena: Arena
  readonly #options: PerfRingOptions
  readonly #page: number
  readonly #data: number
  readonly #size: number
  readonly #watermark: number
  #head = 0
  #lost = 0
  #eventsSinceWakeup = 0
  #nextWatermark = 0

  /** Undefined where the arena has no room. */
  static create(arena: Arena, options: PerfRingOptions): PerfRing | undefined {
    const page = arena.allocate((1 + options.dataPages) * PAGE_SIZE, { align: PAGE_SIZE, access: 'none' })
    return page === undefined ? undefined : new PerfRing(arena, options, page)
  }

  private constructor(arena: Arena, options: PerfRingOptions, page: number) {
    this.#arena = arena
    this.#options = options
    this.#page = page
    this.#data = page + PAGE_SIZE
    this.#size = options.dataPages * PAGE_SIZE
    this.#watermark = this.#size / 2
    arena.view.setBigUint64(page + PERF_MMAP_DATA_OFFSET, BigInt(PAGE_SIZE), true)
    arena.view.setBigUint64(page + PERF_MMAP_DATA_SIZE, BigInt(this.#size), true)
  }

  /** What mmap shows, read-write. */
  get region(): Region {
    return { offset: this.#page, sizeBytes: PAGE_SIZE + this.#size }
  }

  /** Records that found no room and are not reported yet. */
  get lost(): number {
    return this.#lost
  }

  /** Whether there is anything between data_tail and data_head. */
  readable(): boolean {
    return this.#head !== this.#tail()
  }

  /**
   * Writes a PERF_RECORD_SAMPLE with PERF_SAMPLE_RAW: u32 size, then `size` bytes, of which the first
   * `sizeBytes` are those at arena offset `data`, `more` comes next and the rest pads to 8. Returns 0, or -ENOSPC.
   */
  outputSample(data: number, sizeBytes: number, more: Uint8Array = NOTHING): number {
    const body = roundUp(sizeBytes + more.length + RAW_SIZE_BYTES, 8)
    const total = perfEventHeader.size + body
    const lostTotal = this.#lost > 0 ? lostRecord.size : 0
    if (this.#size - 1 - (this.#head - this.#tail()) < total + lostTotal || total > 0xffff) {
      this.#lost++
      return -ENOSPC
    }
    if (lostTotal > 0) this.#writeLost()
    this.#put(perfEventHeader.encode({ type: PERF_RECORD_SAMPLE, misc: 0, size: total }))
    this.#put(u32Bytes(body - RAW_SIZE_BYTES))
    this.#put(this.#arena.bytes.subarray(data, data + sizeBytes))
    this.#put(more)
    this.#put(new Uint8Array(body - RAW_SIZE_BYTES - sizeBytes - more.length))
    this.#publish()
    return 0
  }

  [Symbol.dispose](): void {
    this.#arena.free(this.#page)
  }

  #writeLost(): void {
    const record = lostRecord.encode({ id: this.#options.id, lost: BigInt(this.#lost) })
    record.set(perfEventHeader.encode({ type: PERF_RECORD_LOST, misc: 0, size: lostRecord.size }))
    this.#lost = 0
    this.#put(record)
  }

  /** Writes on at the head, around the end if need be. */
  #put(bytes: Uint8Array): void {
    const at = this.#head % this.#size
    const beforeEnd = Math.min(bytes.length, this.#size - at)
    this.#arena.bytes.set(bytes.subarray(0, beforeEnd), this.#data + at)
    this.#arena.bytes.set(bytes.subarray(beforeEnd), this.#data)
    this.#head += bytes.length
  }

  #publish(): void {
    this.#arena.view.setBigUint64(this.#page + PERF_MMAP_DATA_HEAD, BigInt(this.#head), true)
    let isDue = false
    if (this.#head - this.#nextWatermark > this.#watermark) {
      this.#nextWatermark += this.#watermark
      isDue = true
    }
    if (this.#options.wakeupEvents > 0 && ++this.#eventsSinceWakeup >= this.#options.wakeupEvents) {
      this.#eventsSinceWakeup = 0
      isDue = true
    }
    if (isDue) this.#options.onWakeup?.()
  }

  #tail(): number {
    return Number(this.#arena.view.getBigUint64(this.#page + PERF_MMAP_DATA_TAIL, true))
  }
}

function u32Bytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}
