/**
 * Reads a BPF_MAP_TYPE_PERF_EVENT_ARRAY: one ring of samples for each CPU, made by perf_event_open(2).
 *
 * Each ring is a page of positions, then 2^n pages of data that wrap. A sample of PERF_SAMPLE_RAW is
 *
 *     | type (32) | misc (16) | size (16) | raw size (u32) | raw data, padded to 8 bytes with its size |
 *     | type = PERF_RECORD_LOST ...       | id (u64) | how many samples found no room (u64) |
 *
 * Source: perf_event_open(2), "MMAP layout".
 */
import {
  BPF_MAP_TYPE,
  MAP_SHARED,
  PAGE_SIZE,
  PERF_COUNT_SW_BPF_OUTPUT,
  PERF_EVENT_IOC_ENABLE,
  PERF_FLAG_FD_CLOEXEC,
  PERF_MMAP_DATA_HEAD,
  PERF_MMAP_DATA_TAIL,
  PERF_RECORD_LOST,
  PERF_RECORD_SAMPLE,
  PERF_SAMPLE_RAW,
  PERF_TYPE,
  PROT_READ,
  PROT_WRITE,
  perfEventAttr,
  perfEventHeader,
  type Syscalls,
  type UserPointer,
} from '../abi/index.ts'
import type { AbortSignalLike } from './abort.ts'
import { SyscallError } from './errors.ts'
import { viewOf } from './globals.ts'
import type { BpfMap } from './map.ts'
import { Descriptor, Owner, UserBuffer } from './owner.ts'
import { Poller } from './poller.ts'
import { loadPosition, storePosition } from './shared-words.ts'

export interface PerfReaderOptions<T> {
  /** Data pages of each CPU's ring, a power of two. Default 8. */
  readonly pages?: number
  /** How the bytes of a sample become a value. Default: a copy of them. Linux pads samples to 8 bytes less 4. */
  readonly decode?: (sample: Uint8Array, cpu: number) => T
}

interface Ring {
  readonly cpu: number
  readonly base: UserPointer
}

/** The samples of all CPUs, as they come or as many as are there; `lost` counts those that found no room. */
export class PerfReader<T = Uint8Array> implements AsyncIterable<T>, Disposable {
  readonly #syscalls: Syscalls
  readonly #rings: readonly Ring[]
  readonly #dataBytes: number
  readonly #decode: (sample: Uint8Array, cpu: number) => T
  readonly #owner: Owner
  readonly #poller: Poller
  #isClosed = false
  #lost = 0n

  private constructor(
    syscalls: Syscalls,
    rings: readonly Ring[],
    fds: readonly number[],
    dataBytes: number,
    options: PerfReaderOptions<T>,
    owner: Owner,
  ) {
    this.#syscalls = syscalls
    this.#rings = rings
    this.#dataBytes = dataBytes
    this.#decode = options.decode ?? ((sample) => sample.slice() as T)
    this.#owner = owner
    this.#poller = new Poller(syscalls, fds)
  }

  /** Opens a ring for each CPU that the map has room for, and puts them into the map. */
  static open<T = Uint8Array>(
    map: BpfMap<never, never> | BpfMap,
    options: PerfReaderOptions<T> = {},
  ): PerfReader<T> | SyscallError {
    if (map.spec.type !== BPF_MAP_TYPE.BPF_MAP_TYPE_PERF_EVENT_ARRAY) {
      throw new RangeError(`map '${map.name}' is no array of perf events`)
    }
    const { handle } = map
    const { syscalls } = handle
    const dataBytes = (options.pages ?? 8) * PAGE_SIZE
    using owner = new Owner()
    const rings: Ring[] = []
    const fds: number[] = []
    for (let cpu = 0; cpu < handle.maxEntries; cpu++) {
      const fd = openOutput(syscalls, cpu)
      if (fd < 0) return new SyscallError('perf_event_open', fd, `CPU ${cpu} of '${map.name}'`)
      owner.own(new Descriptor(syscalls, fd))
      const length = PAGE_SIZE + dataBytes
      const base = syscalls.mmap(0n, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
      if (base < 0n) return new SyscallError('mmap', Number(base), `CPU ${cpu} of '${map.name}'`)
      owner.own({ [Symbol.dispose]: () => void syscalls.munmap(base, length) })
      const put = handle.update(uint32(cpu), uint32(fd), 0)
      if (put < 0) return new SyscallError('BPF_MAP_UPDATE_ELEM', put, `CPU ${cpu} of '${map.name}'`)
      const enabled = syscalls.ioctl(fd, PERF_EVENT_IOC_ENABLE, 0n)
      if (enabled < 0)
        return new SyscallError('PERF_EVENT_IOC_ENABLE', enabled, `CPU ${cpu} of '${map.name}'`)
      rings.push({ cpu, base })
      fds.push(fd)
    }
    return new PerfReader(syscalls, rings, fds, dataBytes, options, owner.release())
  }

  /** Samples that found no room, as far as the rings have told so far. */
  get lost(): number {
    return Number(this.#lost)
  }

  /** The samples that are there now, CPU by CPU. */
  *drain(): Generator<T, void> {
    for (const ring of this.#rings) yield* this.#drainRing(ring)
  }

  /** Samples as they come, until `signal` aborts or the reader is disposed. */
  async *records(signal?: AbortSignalLike): AsyncGenerator<T, void> {
    while (!this.#isClosed && !signal?.aborted) {
      for (const sample of this.drain()) {
        yield sample
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
    this.#owner[Symbol.dispose]()
  }

  *#drainRing({ cpu, base }: Ring): Generator<T, void> {
    while (!this.#isClosed) {
      const tail = this.#position(base, PERF_MMAP_DATA_TAIL)
      if (tail >= this.#position(base, PERF_MMAP_DATA_HEAD)) return
      const header = perfEventHeader.read(this.#copy(base, tail, perfEventHeader.size))
      const record = this.#copy(base, tail, header.size)
      storePosition(this.#syscalls.memory, base + BigInt(PERF_MMAP_DATA_TAIL), tail + header.size)
      const body = viewOf(record.subarray(perfEventHeader.size))
      if (header.type === PERF_RECORD_LOST) this.#lost += body.getBigUint64(8, true)
      if (header.type !== PERF_RECORD_SAMPLE) continue
      const start = perfEventHeader.size + 4
      yield this.#decode(record.subarray(start, start + body.getUint32(0, true)), cpu)
    }
  }

  #position(base: UserPointer, offset: number): number {
    return loadPosition(this.#syscalls.memory, base + BigInt(offset))
  }

  /** `size` bytes from a position of the ring, which may wrap. */
  #copy(base: UserPointer, position: number, size: number): Uint8Array {
    const data = this.#syscalls.memory.view(base + BigInt(PAGE_SIZE), this.#dataBytes)
    const start = position % this.#dataBytes
    const record = new Uint8Array(size)
    const first = data.subarray(start, Math.min(start + size, this.#dataBytes))
    record.set(first)
    record.set(data.subarray(0, size - first.length), first.length)
    return record
  }
}

function openOutput(syscalls: Syscalls, cpu: number): number {
  using attr = UserBuffer.of(
    syscalls.memory,
    perfEventAttr.encode({
      type: PERF_TYPE.PERF_TYPE_SOFTWARE,
      size: perfEventAttr.size,
      config: PERF_COUNT_SW_BPF_OUTPUT,
      sample_type: PERF_SAMPLE_RAW,
      sample_period: 1n,
      wakeup_events: 1,
    }),
  )
  return syscalls.perfEventOpen(attr.pointer, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC)
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  viewOf(bytes).setUint32(0, value, true)
  return bytes
}
