/**
 * What all map types share: the header block, and user space's side of lookups through a scratch block in the
 * arena that programs cannot touch.
 */
import { BPF_EXIST, BPF_F_LOCK, BPF_F_RDONLY_PROG, EINVAL, ENOENT, ENOTSUPP } from '../abi/index.ts'
import type { Access } from '../memory/index.ts'
import { mapHeader, roundUp } from './layout.ts'
import type { BpfMap, MapDefinition, MapHost } from './map.ts'
import { clearFields, copyAround, type SpecialFields } from './special-fields.ts'

const EXIST = BigInt(BPF_EXIST)
const LOCK = BigInt(BPF_F_LOCK)
/** struct bpf_spin_lock. */
const LOCK_BYTES = 4

/** What the header says beside the definition; members that a type has no use for stay 0. */
export interface HeaderFields {
  readonly cpuCount: number
  readonly elementSize: number
  readonly data: number
  readonly mask: number
  readonly seed: number
}

/** The arena has no room: BPF_MAP_CREATE answers -ENOMEM. */
export class OutOfArena extends Error {}

export abstract class MapBase implements BpfMap {
  readonly definition: MapDefinition
  readonly address: bigint
  readonly userValueSize: number
  abstract readonly memoryBytes: number
  lockOffset: number | undefined
  specialFields: SpecialFields | undefined
  protected readonly host: MapHost
  protected readonly header: number
  /** From one CPU's value to the next. */
  protected readonly valueStride: number
  /** Where user space's key stands, and behind it its value. */
  protected readonly scratchKey: number
  protected readonly scratchValue: number
  readonly #blocks: number[] = []

  /**
   * `headerBytes` may ask for more behind the header, for types that find their header from a record. Throws
   * `OutOfArena`, which `createMap` turns into -ENOMEM.
   */
  protected constructor(
    host: MapHost,
    definition: MapDefinition,
    isPerCpu: boolean,
    headerBytes = mapHeader.size,
    headerAlign = 8,
  ) {
    this.host = host
    this.definition = definition
    this.valueStride = roundUp(definition.valueSize, 8)
    this.userValueSize = isPerCpu ? this.valueStride * host.cpuCount : definition.valueSize
    this.header = this.own(headerBytes, 'none', headerAlign)
    this.address = host.arena.address(this.header)
    this.scratchKey = this.own(roundUp(definition.keySize, 8) + this.userValueSize)
    this.scratchValue = this.scratchKey + roundUp(definition.keySize, 8)
  }

  abstract lookup(key: number, cpu: number): number
  abstract update(key: number, value: number, flags: bigint, cpu: number): number
  abstract delete(key: number): number
  abstract forEach(cpu: number, visit: (key: number, value: number) => boolean): number
  abstract nextKey(key: Uint8Array | undefined): Uint8Array | number
  /** Offset of the first CPU's value for user space, which leaves no trace in LRU lists; 0: none. */
  protected abstract peek(key: number): number
  /** `update` with the values of all CPUs; `cpu` is the one that the caller is taken to run on. */
  protected abstract updateFromUser(key: number, value: number, flags: bigint, cpu: number): number

  setSpecialFields(fields: SpecialFields): void {
    this.specialFields = fields
  }

  lookupOfCpu(_key: number, _ofCpu: number): number {
    return 0
  }

  read(key: Uint8Array, flags: bigint, _given?: Uint8Array): Uint8Array | number {
    if (!this.allowsFlags(flags)) return -EINVAL
    this.placeKey(key)
    const value = this.peek(this.scratchKey)
    return value === 0 ? -ENOENT : this.shown(value)
  }

  write(key: Uint8Array, value: Uint8Array, flags: bigint): number {
    if ((flags & LOCK) !== 0n && this.lockOffset === undefined) return -EINVAL
    this.checkValue(value)
    this.placeKey(key)
    this.host.arena.bytes.set(value, this.scratchValue)
    return this.updateFromUser(this.scratchKey, this.scratchValue, flags, 0)
  }

  remove(key: Uint8Array): number {
    this.placeKey(key)
    return this.delete(this.scratchKey)
  }

  /** -ENOTSUPP: only hash types can. */
  readAndRemove(_key: Uint8Array, flags: bigint): Uint8Array | number {
    return this.allowsFlags(flags) ? -ENOTSUPP : -EINVAL
  }

  [Symbol.dispose](): void {
    this.host.grace.defer(() => {
      for (const block of this.#blocks.splice(0)) this.host.arena.free(block)
    })
  }

  /** Whether a look-up may have these flags: BPF_F_LOCK where there is a lock. */
  protected allowsFlags(flags: bigint): boolean {
    return flags === 0n || (flags === LOCK && this.lockOffset !== undefined)
  }

  /** What user space sees of the value at an offset: a lock reads as zero. */
  protected shown(value: number): Uint8Array {
    const copy = this.host.arena.bytes.slice(value, value + this.userValueSize)
    if (this.lockOffset !== undefined) copy.fill(0, this.lockOffset, this.lockOffset + LOCK_BYTES)
    if (this.specialFields !== undefined) {
      for (let at = 0; at < copy.length; at += this.valueStride) clearFields(copy, this.specialFields, at)
    }
    return copy
  }

  /** Copies values of `count` CPUs, but for what in them is the kernel's own. */
  protected copyValues(to: number, from: number, count: number): void {
    const { arena } = this.host
    const { valueSize } = this.definition
    const { specialFields } = this
    if (specialFields === undefined) {
      arena.copy(to, from, count === 1 ? valueSize : this.userValueSize)
      return
    }
    for (let at = 0; at < count * this.valueStride; at += this.valueStride) {
      copyAround(arena, specialFields, to + at, from + at, valueSize)
    }
  }

  /** Lets go of what the values of `count` CPUs hold. */
  protected releaseValues(first: number, count: number): void {
    if (this.specialFields === undefined) return
    for (let cpu = 0; cpu < count; cpu++) this.specialFields.release(first + cpu * this.valueStride)
  }

  /** Bytes of the blocks that `own` gave. */
  protected ownedBytes = 0

  /** A zeroed block that lives as long as the map. */
  protected own(sizeBytes: number, access: Access = 'none', align = 8): number {
    const block = this.host.arena.allocate(sizeBytes, { access, align })
    if (block === undefined) {
      for (const earlier of this.#blocks.splice(0)) this.host.arena.free(earlier)
      throw new OutOfArena(`${this.definition.name}: no arena memory for ${sizeBytes} bytes`)
    }
    this.#blocks.push(block)
    this.ownedBytes += sizeBytes
    return block
  }

  protected writeHeader(fields: HeaderFields): void {
    const { type, flags, keySize, valueSize, maxEntries } = this.definition
    const encoded = mapHeader.encode({
      type,
      flags,
      keySize,
      valueSize,
      maxEntries,
      valueStride: this.valueStride,
      ...fields,
    })
    this.host.arena.bytes.set(encoded, this.header)
  }

  protected checkValue(value: Uint8Array): void {
    const { name } = this.definition
    if (value.length === this.userValueSize) return
    throw new RangeError(`${name}: value of ${value.length} bytes, not ${this.userValueSize}`)
  }

  protected placeKey(key: Uint8Array): void {
    if (key.length !== this.definition.keySize) {
      const { name, keySize } = this.definition
      throw new RangeError(`${name}: key of ${key.length} bytes, not ${keySize}`)
    }
    this.host.arena.bytes.set(key, this.scratchKey)
  }

  /** What programs may do with values. */
  protected static valueAccess(flags: number): Access {
    return (flags & BPF_F_RDONLY_PROG) !== 0 ? 'read' : 'write'
  }

  /** BPF_ANY, BPF_NOEXIST or BPF_EXIST; -1 for anything else. */
  protected static updateMode(flags: bigint): number {
    return flags <= EXIST ? Number(flags) : -1
  }
}
