/**
 * Perf events, as files: a probe that programs attach to, or a ring that programs write samples to.
 */
import {
  E2BIG,
  EBADF,
  EEXIST,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOMEM,
  ENOTTY,
  PAGE_SIZE,
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_ID,
  PERF_EVENT_IOC_QUERY_BPF,
  PERF_EVENT_IOC_RESET,
  PERF_EVENT_IOC_SET_BPF,
  POLLIN,
} from '../abi/index.ts'
import { type PerfOutputTarget, PerfRing } from '../maps/index.ts'
import type { Arena, Grace } from '../memory/index.ts'
import type { Kprobe, Kretprobe } from '../probes/index.ts'
import type { AttachedProgram } from './attached-program.ts'
import { type MmapRequest, OpenFile } from './open-file.ts'
import type { KernelProcess } from './process.ts'
import { ProgramFile, type ProgramObject } from './program-object.ts'
import type { ProgramRunner } from './runner.ts'
import type { Mapping } from './types.ts'

/** Programs that PERF_EVENT_IOC_QUERY_BPF will list at most. Source: BPF_TRACE_MAX_PROGS of Linux. */
const MOST_PROGRAMS = 64

/** More could not be allocated. */
const MOST_PAGES = 2 ** 20

export abstract class PerfEvent extends OpenFile implements PerfOutputTarget {
  readonly id: bigint
  readonly takesBpfOutput: boolean = false
  /** Where samples go; undefined until user space has mapped it. */
  ring: PerfRing | undefined
  #enabled: boolean

  constructor(id: bigint, enabled: boolean) {
    super()
    this.id = id
    this.#enabled = enabled
  }

  /** The CPU that it is active on, for bpf_perf_event_output(). */
  get activeCpu(): number {
    return -1
  }

  get enabled(): boolean {
    return this.#enabled
  }

  /** Binds a program; 0 or -errno. The event holds a reference until `detach`. */
  abstract attach(program: ProgramObject, cookie: bigint): number
  abstract detach(): void
  /** The ids of the programs bound; undefined where the event cannot have any. */
  abstract programIds(): readonly number[] | undefined
  /** `enabled` has changed, or is to be applied: 0 or -errno. */
  protected abstract apply(): number

  override ioctl(process: KernelProcess, request: number, argument: bigint): number {
    switch (request >>> 0) {
      case PERF_EVENT_IOC_ENABLE:
        return this.#setEnabled(true)
      case PERF_EVENT_IOC_DISABLE:
        return this.#setEnabled(false)
      case PERF_EVENT_IOC_RESET:
        return 0
      case PERF_EVENT_IOC_ID: {
        const bytes = new Uint8Array(8)
        new DataView(bytes.buffer).setBigUint64(0, this.id, true)
        return process.memory.write(argument, bytes) ? 0 : -EFAULT
      }
      case PERF_EVENT_IOC_SET_BPF: {
        const file = process.file(Number(BigInt.asIntN(32, argument)))
        if (file === undefined) return -EBADF
        return file instanceof ProgramFile ? this.attach(file.object, 0n) : -EINVAL
      }
      case PERF_EVENT_IOC_QUERY_BPF:
        return this.#queryPrograms(process, argument)
      default:
        return -ENOTTY
    }
  }

  #setEnabled(enabled: boolean): number {
    if (enabled === this.#enabled) return 0
    this.#enabled = enabled
    const error = this.apply()
    if (error !== 0) this.#enabled = !enabled
    return error
  }

  /** struct perf_event_query_bpf: u32 ids_len, u32 prog_cnt, u32 ids[]. */
  #queryPrograms(process: KernelProcess, argument: bigint): number {
    const ids = this.programIds()
    if (ids === undefined) return -EINVAL
    const header = new Uint8Array(8)
    if (!process.memory.read(argument, header)) return -EFAULT
    const view = new DataView(header.buffer)
    const room = view.getUint32(0, true)
    if (room > MOST_PROGRAMS) return -E2BIG
    view.setUint32(4, ids.length, true)
    const given = Uint32Array.from(ids.slice(0, room))
    const written =
      process.memory.write(argument + 4n, header.subarray(4)) &&
      process.memory.write(argument + 8n, new Uint8Array(given.buffer))
    return written ? 0 : -EFAULT
  }
}

/** How a probe event tells the kernel that it was hit, and where it is. */
export interface ProbePlace {
  readonly functionName: string
  readonly offset: bigint
  readonly address: bigint
  readonly isReturn: boolean
  /** Whether a program may have the function return at once: whether this is its entry, and the port allows it. */
  readonly mayOverride: boolean
}

/** A kprobe or kretprobe made by perf_event_open(2). */
export class ProbeEvent extends PerfEvent {
  readonly place: ProbePlace
  readonly #onEnd: (event: ProbeEvent) => void
  readonly #runner: ProgramRunner
  /** Set by `install`. */
  #probe: Kprobe | Kretprobe | undefined
  #attached: AttachedProgram | undefined

  constructor(
    id: bigint,
    enabled: boolean,
    place: ProbePlace,
    runner: ProgramRunner,
    onEnd: (event: ProbeEvent) => void,
  ) {
    super(id, enabled)
    this.place = place
    this.#runner = runner
    this.#onEnd = onEnd
  }

  /** Hands over the registered, disabled probe. */
  install(probe: Kprobe | Kretprobe): void {
    this.#probe = probe
  }

  /** The program, with a reference to it. */
  get attached(): AttachedProgram | undefined {
    return this.#attached
  }

  get missed(): number {
    return this.#probe?.missed ?? 0
  }

  attach(program: ProgramObject, cookie: bigint): number {
    if (program.loaded.type.name !== 'kprobe') return -EINVAL
    if (program.loaded.overridesReturn && !this.place.mayOverride) return -EINVAL
    if (this.#attached !== undefined) return -EEXIST
    // As on Linux, bpf_get_func_ip() is 0 inside of a function.
    const functionAddress = this.place.offset === 0n ? this.place.address : 0n
    this.#attached = this.#runner.attach(program.get(), functionAddress, cookie)
    const error = this.apply()
    if (error !== 0) this.detach()
    return error
  }

  detach(): void {
    const attached = this.#attached
    if (attached === undefined) return
    this.#attached = undefined
    this.apply()
    attached.program.put()
  }

  programIds(): readonly number[] {
    return this.#attached === undefined ? [] : [this.#attached.program.id]
  }

  /** The text is patched only while there is something to run. */
  protected apply(): number {
    if (this.#probe === undefined) return 0
    return this.enabled && this.#attached !== undefined ? this.#probe.enable() : this.#probe.disable()
  }

  protected end(): void {
    this.#probe?.unregister()
    this.detach()
    this.#onEnd(this)
  }
}

/** PERF_COUNT_SW_BPF_OUTPUT: the ring that bpf_perf_event_output() writes to. */
export class OutputEvent extends PerfEvent {
  override readonly takesBpfOutput = true
  readonly #cpu: number
  readonly #wakeupEvents: number
  readonly #arena: Arena
  readonly #grace: Grace
  #dataPages = 0
  #mappings = 0

  constructor(
    id: bigint,
    enabled: boolean,
    options: { readonly cpu: number; readonly wakeupEvents: number },
    host: { readonly arena: Arena; readonly grace: Grace },
  ) {
    super(id, enabled)
    this.#cpu = options.cpu
    this.#wakeupEvents = options.wakeupEvents
    this.#arena = host.arena
    this.#grace = host.grace
  }

  override get activeCpu(): number {
    return this.enabled ? this.#cpu : -1
  }

  /** Only an event that counts has an overflow which a program could handle. */
  attach(): number {
    return -EINVAL
  }

  detach(): void {}

  programIds(): undefined {
    return undefined
  }

  override mmap(request: MmapRequest): Mapping | number {
    if (!request.shared || request.offsetBytes !== 0) return -EINVAL
    const dataPages = request.lengthBytes / PAGE_SIZE - 1
    if (dataPages > MOST_PAGES) return -ENOMEM
    if (dataPages < 0 || (dataPages & (dataPages - 1)) !== 0) return -EINVAL
    if (dataPages === 0) return -ENODEV
    if (this.ring === undefined) {
      const ring = PerfRing.create(this.#arena, {
        dataPages,
        wakeupEvents: this.#wakeupEvents,
        id: this.id,
        onWakeup: () => this.wakeUp(),
      })
      if (ring === undefined) return -ENOMEM
      this.ring = ring
      this.#dataPages = dataPages
    } else if (dataPages !== this.#dataPages) return -EINVAL
    this.#mappings++
    this.get()
    const { offset } = this.ring.region
    return {
      lengthBytes: request.lengthBytes,
      writable: request.writable,
      bytes: (start, sizeBytes) => this.#arena.bytes.subarray(offset + start, offset + start + sizeBytes),
      close: () => {
        if (--this.#mappings === 0) this.#dropRing()
        this.put()
      },
    }
  }

  override poll(): number {
    return this.ring?.readable() === true ? POLLIN : 0
  }

  protected apply(): number {
    return 0
  }

  protected end(): void {
    this.#dropRing()
  }

  #dropRing(): void {
    const { ring } = this
    this.ring = undefined
    if (ring !== undefined) this.#grace.defer(() => ring[Symbol.dispose]())
  }
}
