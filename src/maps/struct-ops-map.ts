/**
 * BPF_MAP_TYPE_STRUCT_OPS: one value, a struct of functions that programs implement for a part of the kernel.
 *
 * The value begins with a count and a state. Writing it turns the descriptors of programs in it into the programs. With
 * BPF_F_LINK it is then ready for links, which register it; without, it is registered at once and stays so, whoever
 * closes the map, until it is deleted.
 *
 * Source: the behaviour of kernel/bpf/bpf_struct_ops.c of Linux.
 */
import {
  BPF_F_LINK,
  E2BIG,
  EBUSY,
  EINPROGRESS,
  EINVAL,
  ENOENT,
  EOPNOTSUPP,
  struct,
  u32,
} from '../abi/index.ts'
import type { MapDefinition, MapHost } from './map.ts'
import { MapBase } from './map-base.ts'

export const structOpsState = { init: 0, inUse: 1, toBeFreed: 2, ready: 3 } as const

const commonValue = struct('struct bpf_struct_ops_common_value', { refcnt: u32, state: u32 })

export interface StructOpsMember {
  readonly name: string
  /** Its place in the order of the struct, which programs for it are loaded with. */
  readonly index: number
  /** In the struct. */
  readonly offset: number
  readonly sizeBytes: number
  /** Whether it is a pointer to a function. */
  readonly isFunction: boolean
}

/** A type of value, as the kernel's types describe it. */
export interface StructOpsLayout {
  /** Of the value, and how far in the struct begins. */
  readonly sizeBytes: number
  readonly dataOffset: number
  readonly members: readonly StructOpsMember[]
  /** Ranges of the value that belong to no member. */
  readonly holes: readonly { readonly start: number; readonly end: number }[]
}

/** What the map needs of the kernel that it lives in. */
export interface StructOpsHost<Program> {
  /** What the part of the kernel makes of a member: 1: done with it, 0: it is to be treated as any other, or -errno. */
  initMember(member: StructOpsMember, value: Uint8Array): number
  /** The program that a descriptor names, with a reference; or -errno. */
  resolve(member: StructOpsMember, fd: number): Program | number
  idOf(program: Program): number
  release(program: Program): void
  /** 0 or -errno, once all members are set. */
  validate(): number
  register(): number
  unregister(): void
  /** How many hold the map beside user space. */
  references(): number
}

export class StructOpsMap<Program = unknown> extends MapBase {
  readonly memoryBytes: number
  readonly layout: StructOpsLayout
  /** Set by the kernel, right after creation. */
  structOps: StructOpsHost<Program> | undefined
  #state: number = structOpsState.init
  /** As user space sees it, with the programs' ids. */
  #value: Uint8Array
  #programs = new Map<number, Program>()

  constructor(host: MapHost, definition: MapDefinition, layout: StructOpsLayout) {
    super(host, definition, false)
    this.layout = layout
    this.memoryBytes = this.ownedBytes
    this.#value = new Uint8Array(layout.sizeBytes)
    this.writeHeader({ cpuCount: 1, elementSize: 0, data: 0, mask: 0, seed: 0 })
  }

  get state(): number {
    return this.#state
  }

  /** Whether links may register it. */
  get isLinkable(): boolean {
    return (this.definition.flags & BPF_F_LINK) !== 0 && this.#state === structOpsState.ready
  }

  /** The struct, with the programs' ids where functions stand. */
  get data(): Uint8Array {
    return this.#value.subarray(this.layout.dataOffset)
  }

  /** By the member's index. */
  programAt(member: number): Program | undefined {
    return this.#programs.get(member)
  }

  lookup(_key: number, _cpu: number): number {
    return 0
  }

  update(_key: number, _value: number, _flags: bigint, _cpu: number): number {
    return -EINVAL
  }

  delete(_key: number): number {
    return -EINVAL
  }

  forEach(_cpu: number, _visit: (key: number, value: number) => boolean): number {
    return -EINVAL
  }

  nextKey(key: Uint8Array | undefined): Uint8Array | number {
    return key !== undefined && keyOf(key) === 0 ? -ENOENT : new Uint8Array(4)
  }

  override read(key: Uint8Array, flags: bigint): Uint8Array | number {
    this.placeKey(key)
    if (flags !== 0n) return -EINVAL
    if (keyOf(key) !== 0) return -ENOENT
    const value = this.#value.slice()
    if (this.#state === structOpsState.init) return value.fill(0)
    const common = { refcnt: this.structOps?.references() ?? 0, state: this.#state }
    value.set(commonValue.encode(common))
    return value
  }

  override write(key: Uint8Array, value: Uint8Array, flags: bigint): number {
    const { structOps, layout } = this
    this.checkValue(value)
    this.placeKey(key)
    if (flags !== 0n) return -EINVAL
    if (keyOf(key) !== 0) return -E2BIG
    if (layout.holes.some(({ start, end }) => isSet(value, start, end))) return -EINVAL
    if (isSet(value, 0, commonValue.size)) return -EINVAL
    if (this.#state !== structOpsState.init) return -EBUSY
    if (structOps === undefined) return -EINVAL
    this.#value = value.slice()
    const error = this.#takeMembers(structOps, value) || structOps.validate() || this.#enter(structOps)
    if (error < 0) this.#forget()
    return error
  }

  /** Of whatever key. */
  override remove(key: Uint8Array): number {
    this.placeKey(key)
    if ((this.definition.flags & BPF_F_LINK) !== 0) return -EOPNOTSUPP
    switch (this.#state) {
      case structOpsState.inUse:
        this.#state = structOpsState.toBeFreed
        this.structOps?.unregister()
        return 0
      case structOpsState.toBeFreed:
        return -EINPROGRESS
      default:
        return -ENOENT
    }
  }

  override [Symbol.dispose](): void {
    this.#forget()
    super[Symbol.dispose]()
  }

  protected peek(_key: number): number {
    return 0
  }

  protected updateFromUser(): number {
    return -EINVAL
  }

  /** Programs for descriptors; everything else must be zero, unless somebody knows what it means. */
  #takeMembers(structOps: StructOpsHost<Program>, value: Uint8Array): number {
    const { dataOffset, members } = this.layout
    const view = new DataView(this.#value.buffer)
    for (const member of members) {
      const start = dataOffset + member.offset
      const done = structOps.initMember(member, value.subarray(start, start + member.sizeBytes))
      if (done < 0) return done
      if (done > 0) continue
      if (!member.isFunction) {
        if (isSet(value, start, start + member.sizeBytes)) return -EINVAL
        continue
      }
      const fd = view.getInt32(start, true)
      if (fd === 0) continue
      const program = structOps.resolve(member, fd)
      if (typeof program === 'number') return program
      this.#programs.set(member.index, program)
      view.setBigUint64(start, BigInt(structOps.idOf(program)), true)
    }
    return 0
  }

  #enter(structOps: StructOpsHost<Program>): number {
    if ((this.definition.flags & BPF_F_LINK) !== 0) {
      this.#state = structOpsState.ready
      return 0
    }
    const error = structOps.register()
    if (error === 0) this.#state = structOpsState.inUse
    return error
  }

  #forget(): void {
    for (const program of this.#programs.values()) this.structOps?.release(program)
    this.#programs.clear()
    this.#value.fill(0)
  }
}

const keyOf = (key: Uint8Array): number => new DataView(key.buffer, key.byteOffset).getUint32(0, true)

const isSet = (value: Uint8Array, start: number, end: number): boolean =>
  value.subarray(start, end).some((byte) => byte !== 0)
