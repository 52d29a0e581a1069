/**
 * BPF_MAP_TYPE_DEVMAP and BPF_MAP_TYPE_CPUMAP: where bpf_redirect_map may send a packet, by index.
 *
 * There is no network behind them: entries are checked, stored and found, and say where live frames go. A
 * device is known by its index, of which only the loopback's (1) exists unless the host knows more. An entry may have
 * an XDP program of its own, which runs where the frame arrives: it is kept, and its id shown.
 *
 * Source: the behaviour of kernel/bpf/devmap.c and cpumap.c of Linux.
 */
import {
  BPF_EXIST,
  BPF_NOEXIST,
  E2BIG,
  EEXIST,
  EINVAL,
  ENODEV,
  ENOENT,
  ENOMEM,
  EOVERFLOW,
} from '../abi/index.ts'
import { indexKey, nextIndex } from './array.ts'
import type { MapDefinition, MapHost } from './map.ts'
import { MapBase } from './map-base.ts'

const LOOPBACK = 1
const LONGEST_QUEUE = 16_384

/** How entries meet the kernel's programs; set by the kernel right after creation. */
export interface TargetPrograms {
  /** Takes a reference to the program that a descriptor names, and gives its id; or -errno. */
  take(fd: number): number
  /** Gives the reference back. */
  release(id: number): void
}

/** What an entry says. */
export interface RedirectTarget {
  /** Of a device: its index. Of a CPU: the length of its queue. */
  readonly value: number
  /** Id of the program that runs on frames there; 0: none. */
  readonly program: number
}

/** What the value at offset `value` says. */
export const targetAt = (view: DataView, value: number, valueSize: number): RedirectTarget => ({
  value: view.getUint32(value, true),
  program: valueSize > PROGRAM ? view.getUint32(value + PROGRAM, true) : 0,
})

/** Offset of the program in a value of 8 bytes: a descriptor when it is written, an id when it is read. */
export const PROGRAM = 4

/** 1: the value at offset `value` may be stored; 0: it stands for none; or -errno. */
export type TargetCheck = (host: MapHost, value: number, valueSize: number, index: number) => number

/** A struct bpf_devmap_val: u32 device, s32 program descriptor where the value has 8 bytes. */
export const checkDevice: TargetCheck = (host, value, valueSize) => {
  const view = host.arena.view
  const device = view.getUint32(value, true)
  if (device === 0) return valueSize > PROGRAM && view.getInt32(value + PROGRAM, true) > 0 ? -EINVAL : 0
  return (host.deviceExists?.(device) ?? device === LOOPBACK) ? 1 : -EINVAL
}

/** A struct bpf_cpumap_val: u32 length of the queue, s32 program descriptor where the value has 8 bytes. */
export const checkCpu: TargetCheck = (host, value, _valueSize, index) => {
  const length = host.arena.view.getUint32(value, true)
  if (length > LONGEST_QUEUE) return -EOVERFLOW
  if (index >= host.cpuCount) return -ENODEV
  return length === 0 ? 0 : 1
}

export class RedirectArray extends MapBase {
  readonly memoryBytes: number
  programs: TargetPrograms | undefined
  readonly #check: TargetCheck
  readonly #values: number
  readonly #present: Uint8Array

  constructor(host: MapHost, definition: MapDefinition, check: TargetCheck) {
    super(host, definition, false)
    this.#check = check
    this.#values = this.own(this.valueStride * definition.maxEntries)
    this.#present = new Uint8Array(definition.maxEntries)
    this.memoryBytes = this.ownedBytes
    this.writeHeader({ cpuCount: 1, elementSize: this.valueStride, data: this.#values, mask: 0, seed: 0 })
  }

  lookup(key: number, _cpu: number): number {
    const index = this.host.arena.view.getUint32(key, true)
    return this.has(index) ? this.#values + index * this.valueStride : 0
  }

  /** Whether a packet can be sent to `index`. */
  has(index: number): boolean {
    return index < this.definition.maxEntries && this.#present[index] === 1
  }

  /** Where a packet goes that is sent to `index`. */
  target(index: number): RedirectTarget | undefined {
    if (!this.has(index)) return undefined
    return targetAt(this.host.arena.view, this.#values + index * this.valueStride, this.definition.valueSize)
  }

  targets(): RedirectTarget[] {
    const all: RedirectTarget[] = []
    for (let index = 0; index < this.definition.maxEntries; index++) {
      const target = this.target(index)
      if (target !== undefined) all.push(target)
    }
    return all
  }

  update(key: number, value: number, flags: bigint, _cpu: number): number {
    const { arena } = this.host
    const { maxEntries, valueSize } = this.definition
    const index = arena.view.getUint32(key, true)
    if (flags > BigInt(BPF_EXIST)) return -EINVAL
    if (index >= maxEntries) return -E2BIG
    if (flags === BigInt(BPF_NOEXIST)) return -EEXIST
    const verdict = this.#check(this.host, value, valueSize, index)
    if (verdict < 0) return verdict
    if (verdict === 0) {
      this.#remove(index)
      return 0
    }
    const program = takeProgram(this.programs, arena.view, value, valueSize)
    // Whatever is wrong with it, a CPU's entry cannot be made.
    if (program < 0) return this.#check === checkCpu ? -ENOMEM : -EINVAL
    this.#releaseProgram(index)
    const at = this.#values + index * this.valueStride
    arena.copy(at, value, valueSize)
    if (valueSize > PROGRAM) arena.view.setUint32(at + PROGRAM, program, true)
    arena.setAccess(at, valueSize, 'read')
    this.#present[index] = 1
    return 0
  }

  /** 0 whether or not there was an entry. */
  delete(key: number): number {
    const index = this.host.arena.view.getUint32(key, true)
    if (index >= this.definition.maxEntries) return -EINVAL
    this.#remove(index)
    return 0
  }

  forEach(_cpu: number, _visit: (key: number, value: number) => boolean): number {
    return -EINVAL
  }

  nextKey(key: Uint8Array | undefined): Uint8Array | number {
    const next = nextIndex(key, this.definition.maxEntries)
    return next < 0 ? -ENOENT : indexKey(next)
  }

  protected peek(key: number): number {
    return this.lookup(key, 0)
  }

  protected updateFromUser(key: number, value: number, flags: bigint): number {
    return this.update(key, value, flags, 0)
  }

  override [Symbol.dispose](): void {
    for (let index = 0; index < this.definition.maxEntries; index++) this.#releaseProgram(index)
    super[Symbol.dispose]()
  }

  #releaseProgram(index: number): void {
    if (!this.has(index) || this.definition.valueSize <= PROGRAM) return
    const at = this.#values + index * this.valueStride
    const program = this.host.arena.view.getUint32(at + PROGRAM, true)
    if (program !== 0) this.programs?.release(program)
  }

  #remove(index: number): void {
    this.#releaseProgram(index)
    this.#present[index] = 0
    this.host.grace.defer(() => {
      if (this.#present[index] === 1) return
      this.host.arena.setAccess(this.#values + index * this.valueStride, this.definition.valueSize, 'none')
    })
  }
}

/** The id of the program that a value names, with a reference; 0 where it names none; -errno. */
export function takeProgram(
  programs: TargetPrograms | undefined,
  view: DataView,
  value: number,
  valueSize: number,
): number {
  const fd = valueSize > PROGRAM ? view.getInt32(value + PROGRAM, true) : 0
  return fd <= 0 ? 0 : (programs?.take(fd) ?? -EINVAL)
}
