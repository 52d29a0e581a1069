/**
 * Reads a BPF_MAP_TYPE_RINGBUF: records that programs submit, in the order of their reservations.
 *
 * Two mappings show it: one page that holds the consumer's position and is ours to write, then one page that
 * holds the producer's position, followed by the data, twice, so that a record never wraps:
 *
 *     offset 0:     | consumer position (u64) ... |            read-write, one page
 *     offset 4096:  | producer position (u64) ... | data | data again |   read-only
 *     record:       | busy (1) discard (1) length (30) | page offset (32) | data, padded to 8 bytes |
 *
 * Positions only grow; a position modulo the size is a place in the data.
 *
 * A reservation that finds no room fails inside the program, and Linux counts that nowhere: a program that wants
 * its losses known counts them in a variable of its own, and `lostCounter` reads it.
 *
 * Source: Documentation/bpf/ringbuf.rst; kernel/bpf/ringbuf.c.
 */
import {
  BPF_MAP_TYPE,
  BPF_RINGBUF_BUSY_BIT,
  BPF_RINGBUF_DISCARD_BIT,
  BPF_RINGBUF_HDR_SZ,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  type Syscalls,
  type UserPointer,
} from '../abi/index.ts'
import type { AbortSignalLike } from './abort.ts'
import { type Codec, decodeWith } from './codec.ts'
import { SyscallError } from './errors.ts'
import type { BpfMap } from './map.ts'
import { Poller } from './poller.ts'
import { loadPosition, loadWord, storePosition } from './shared-words.ts'

export interface RingBufferOptions<T> {
  /** How a record becomes a value. Default: a copy of its bytes. */
  readonly decode?: (record: Uint8Array) => T
  /** Says how many records found no room, if the program counts them. */
  readonly lostCounter?: () => number | bigint
}

/** Decodes records with a codec; longer records are allowed, shorter ones throw. */
export const recordsOf =
  <T>(codec: Codec<T>) =>
  (record: Uint8Array): T =>
    decodeWith(codec, record)

/** The records of a ring, as they come or as many as are there, in the order of their reservations. */
export class RingBufferReader<T = Uint8Array> implements AsyncIterable<T>, Disposable {
  readonly #syscalls: Syscalls
  readonly #consumer: UserPointer
  readonly #producer: UserPointer
  readonly #size: number
  readonly #decode: (record: Uint8Array) => T
  readonly #lostCounter: (() => number | bigint) | undefined
  readonly #poller: Poller
  #isClosed = false
  #discarded = 0
  #received = 0

  private constructor(
    map: BpfMap<never, never>,
    consumer: UserPointer,
    producer: UserPointer,
    options: RingBufferOptions<T>,
  ) {
    this.#syscalls = map.handle.syscalls
    this.#consumer = consumer
    this.#producer = producer
    this.#size = map.maxEntries
    this.#decode = options.decode ?? ((record) => record.slice() as T)
    this.#lostCounter = options.lostCounter
    this.#poller = new Poller(this.#syscalls, [map.fd])
  }

  /** Maps the ring; the reader must be disposed before the map. There is one reader to a ring. */
  static open<T = Uint8Array>(
    map: BpfMap<never, never> | BpfMap,
    options: RingBufferOptions<T> = {},
  ): RingBufferReader<T> | SyscallError {
    if (map.spec.type !== BPF_MAP_TYPE.BPF_MAP_TYPE_RINGBUF) {
      throw new RangeError(`map '${map.name}' is no ring buffer`)
    }
    const { syscalls } = map.handle
    const consumer = syscalls.mmap(0n, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, map.fd, 0)
    if (consumer < 0n) return new SyscallError('mmap', Number(consumer), `ring buffer '${map.name}'`)
    const length = PAGE_SIZE + 2 * map.maxEntries
    const producer = syscalls.mmap(0n, length, PROT_READ, MAP_SHARED, map.fd, PAGE_SIZE)
    if (producer < 0n) {
      syscalls.munmap(consumer, PAGE_SIZE)
      return new SyscallError('mmap', Number(producer), `ring buffer '${map.name}'`)
    }
    return new RingBufferReader(map as BpfMap<never, never>, consumer, producer, options)
  }

  /** Records that programs reserved and then discarded. */
  get discarded(): number {
    return this.#discarded
  }

  /** Records handed out. */
  get received(): number {
    return this.#received
  }

  /** Records that found no room; undefined where nobody counts them (see `lostCounter`). */
  get lost(): number | undefined {
    return this.#lostCounter === undefined ? undefined : Number(this.#lostCounter())
  }

  /** Bytes reserved and not yet read, headers included. */
  get backlogBytes(): number {
    return this.#isClosed ? 0 : this.#position(this.#producer) - this.#position(this.#consumer)
  }

  /** The records that are there now; each gives its room back when the next is asked for. */
  *drain(): Generator<T, void> {
    while (!this.#isClosed) {
      const position = this.#position(this.#consumer)
      if (position >= this.#position(this.#producer)) return
      const start = this.#producer + BigInt(PAGE_SIZE + (position % this.#size))
      const header = loadWord(this.#syscalls.memory, start)
      // Records behind one that is still being written wait for it: the order is that of reservation.
      if (header & BPF_RINGBUF_BUSY_BIT) return
      const length = (header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT)) >>> 0
      const next = position + BPF_RINGBUF_HDR_SZ + ((length + 7) & ~7)
      if (header & BPF_RINGBUF_DISCARD_BIT) {
        this.#discarded++
        this.#consume(next)
        continue
      }
      const record = this.#syscalls.memory.view(start + BigInt(BPF_RINGBUF_HDR_SZ), length)
      let value: T
      try {
        value = this.#decode(record)
      } finally {
        this.#consume(next)
      }
      this.#received++
      yield value
    }
  }

  /** Records as they come, until `signal` aborts or the reader is disposed. */
  async *records(signal?: AbortSignalLike): AsyncGenerator<T, void> {
    while (!this.#isClosed && !signal?.aborted) {
      for (const record of this.drain()) {
        yield record
        if (signal?.aborted) return
      }
      await this.#poller.wait(signal)
    }
  }

  [Symbol.asyncIterator](): AsyncGenerator<T, void> {
    return this.records()
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#poller[Symbol.dispose]()
    this.#syscalls.munmap(this.#producer, PAGE_SIZE + 2 * this.#size)
    this.#syscalls.munmap(this.#consumer, PAGE_SIZE)
  }

  /** Exact up to 2^53 bytes, which is a century of a full ring. */
  #position(pointer: UserPointer): number {
    return loadPosition(this.#syscalls.memory, pointer)
  }

  #consume(position: number): void {
    storePosition(this.#syscalls.memory, this.#consumer, position)
  }
}
