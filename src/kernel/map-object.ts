import {
  BPF_F_PRESERVE_ELEMS,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY,
  BPF_MAP_TYPE,
  EACCES,
  EINVAL,
  ENOTSUPP,
  EPERM,
  PAGE_SIZE,
  POLLIN,
  POLLOUT,
} from '../abi/index.ts'
import type { SpecialField } from '../helpers/index.ts'
import { ArenaMap, ArrayMap, type BpfMap, ReferenceArray, RingBuffer, UserRingBuffer } from '../maps/index.ts'
import type { Arena, Grace } from '../memory/index.ts'
import type { MapSpec } from '../verifier/index.ts'
import type { BtfObject } from './btf-object.ts'
import { type MmapRequest, OpenFile } from './open-file.ts'
import { Counted } from './reference.ts'
import { isSameKind, type TailCallKind } from './tail-call-kind.ts'
import type { Mapping } from './types.ts'

/** What the program's types say of a map's key and value. */
export interface MapTypes {
  readonly object: BtfObject
  readonly keyType: number
  readonly valueType: number
}

/** A map of the kernel: what descriptors, programs and mappings hold references to. */
export class MapObject extends Counted {
  readonly id: number
  readonly map: BpfMap
  readonly arena: Arena
  frozen = false
  /** Members of its values that are the kernel's own. */
  fields: readonly SpecialField[] = []
  /** Of a map of maps: what each of its maps is like. */
  inner: MapSpec | undefined
  writableMappings = 0
  readonly #grace: Grace
  readonly #onEnd: (object: MapObject) => void
  readonly #listeners = new Set<() => void>()
  #types: MapTypes | undefined
  /** Of a struct_ops map: its value's type among the kernel's, and their id. */
  kernelValueType: { readonly typeId: number; readonly btfId: number } | undefined
  #programs: TailCallKind | undefined
  /** Descriptors and mappings: what is gone when user space has let go of the map. */
  #userReferences = 0

  constructor(
    id: number,
    map: BpfMap,
    host: { readonly arena: Arena; readonly grace: Grace },
    onEnd: (object: MapObject) => void,
  ) {
    super()
    this.id = id
    this.map = map
    this.arena = host.arena
    this.#grace = host.grace
    this.#onEnd = onEnd
    if (map instanceof RingBuffer || map instanceof UserRingBuffer) map.onWakeup = () => this.#wakeUp()
  }

  get types(): MapTypes | undefined {
    return this.#types
  }

  /** Takes a reference of its own to the type information. */
  describeWith(types: MapTypes): void {
    types.object.get()
    this.#types = types
  }

  /**
   * Whether a program array may call, or be called by, a program of this kind: all must be of one, since a tail call
   * goes on with the caller's context. The first one decides.
   * None has functions return: who calls it may be anywhere.
   */
  admits(kind: TailCallKind): boolean {
    if (kind.overridesReturn) return false
    this.#programs ??= kind
    return isSameKind(this.#programs, kind)
  }

  /** Who holds it beside user space. */
  get kernelReferences(): number {
    return this.references - this.#userReferences
  }

  /** Whether it has something new to read or to write at times. */
  get wakes(): boolean {
    return this.map instanceof RingBuffer || this.map instanceof UserRingBuffer
  }

  onWakeUp(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  takeUserReference(): this {
    this.#userReferences++
    return this.get()
  }

  /** Programs in a program array would keep it, and it them, alive for ever: it is emptied with its last user. */
  putUserReference(): void {
    if (--this.#userReferences === 0) {
      if (this.map.definition.type === BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY)
        (this.map as ReferenceArray).clear()
      this.map.cancelTimed?.()
    }
    this.put()
  }

  get userReferences(): number {
    return this.#userReferences
  }

  /** Whether user space still has hold of it. */
  get hasUsers(): boolean {
    return this.#userReferences > 0
  }

  protected end(): void {
    this.#onEnd(this)
    this.#types?.object.put()
    this.#grace.defer(() => this.map[Symbol.dispose]())
  }

  #wakeUp(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}

export class MapFile extends OpenFile {
  readonly object: MapObject
  override readonly mayRead: boolean
  override readonly mayWrite: boolean
  /** Perf events that were entered through this file: they leave with it. */
  readonly enteredEvents = new Map<number, object>()
  readonly #stopListening: (() => void) | undefined

  /** `flags`: BPF_F_RDONLY and BPF_F_WRONLY restrict this file. */
  constructor(object: MapObject, flags: number) {
    super()
    this.object = object.takeUserReference()
    this.mayRead = (flags & BPF_F_WRONLY) === 0
    this.mayWrite = (flags & BPF_F_RDONLY) === 0
    this.#stopListening = object.wakes ? object.onWakeUp(() => this.wakeUp()) : undefined
  }

  /** Whether user space may change elements now. */
  get mayWriteElements(): boolean {
    return this.mayWrite && !this.object.frozen
  }

  override mmap(request: MmapRequest): Mapping | number {
    const { object } = this
    const { map } = object
    const isRing = map instanceof RingBuffer || map instanceof UserRingBuffer
    const isArray = map.definition.type === BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY && map instanceof ArrayMap
    if (map instanceof ArenaMap) {
      const error = map.checkPlace(request.address, request.lengthBytes, request.offsetBytes)
      if (error !== 0) return error
    } else if ((!isRing && !isArray) || object.fields.length > 0) {
      // What of a value is the kernel's own must not be shown, nor written.
      return -ENOTSUPP
    }
    if (request.writable && !this.mayWrite) return -EACCES
    // A shared mapping of a read-only file is a private one to Linux, and maps have no private mappings.
    if (!request.shared || !this.mayWrite) return -EINVAL
    if (request.writable) {
      if (object.frozen) return -EPERM
      if ((map.definition.flags & BPF_F_RDONLY_PROG) !== 0) return -EACCES
    }
    if (map instanceof ArenaMap) return this.#showArena(map, request)
    const region = mappableRegion(map, request)
    if (typeof region === 'number') return region
    if (request.offsetBytes + request.lengthBytes > region.sizeBytes) return -EINVAL
    const start = region.offset + request.offsetBytes
    return {
      ...this.#keptBy(request),
      bytes: (at, sizeBytes) => object.arena.bytes.subarray(start + at, start + at + sizeBytes),
    }
  }

  /** A page comes to be when it is touched. */
  #showArena(map: ArenaMap, request: MmapRequest): Mapping {
    const { arena } = this.object
    return {
      ...this.#keptBy(request),
      place: {
        address: request.address,
        isRequired: request.isFixed || map.userStart !== 0n,
        keepsUpperWord: true,
      },
      pieceBytes: map.pages.pieceBytes,
      bytes(start, sizeBytes) {
        for (let page = start - (start % PAGE_SIZE); page < start + sizeBytes; page += PAGE_SIZE) {
          if (!map.touch(page)) return undefined
        }
        const offset = map.pages.offsetOf(start, sizeBytes)
        return offset < 0 ? undefined : arena.bytes.subarray(offset, offset + sizeBytes)
      },
      opened: (address) => map.settle(address, request.lengthBytes),
    }
  }

  /** A mapping keeps the map, and as long as it can be written the map is not frozen. */
  #keptBy({ lengthBytes, writable }: MmapRequest): Pick<Mapping, 'lengthBytes' | 'writable' | 'close'> {
    const { object } = this
    object.takeUserReference()
    if (writable) object.writableMappings++
    return {
      lengthBytes,
      writable,
      close() {
        if (writable) object.writableMappings--
        object.putUserReference()
      },
    }
  }

  override poll(): number {
    const { map } = this.object
    if (map instanceof UserRingBuffer) return map.writable() ? POLLOUT : 0
    return map instanceof RingBuffer && map.readable() ? POLLIN : 0
  }

  override describe(): string {
    const { definition, memoryBytes } = this.object.map
    return [
      `map_type:\t${definition.type}`,
      `key_size:\t${definition.keySize}`,
      `value_size:\t${definition.valueSize}`,
      `max_entries:\t${definition.maxEntries}`,
      `map_flags:\t0x${definition.flags.toString(16)}`,
      `map_extra:\t0x${(definition.extra ?? 0n).toString(16)}`,
      `memlock:\t${memoryBytes}`,
      `map_id:\t${this.object.id}`,
      `frozen:\t${this.object.frozen ? 1 : 0}`,
      '',
    ].join('\n')
  }

  protected end(): void {
    this.#stopListening?.()
    const { map } = this.object
    if (map instanceof ReferenceArray && (map.definition.flags & BPF_F_PRESERVE_ELEMS) === 0) {
      for (const [index, event] of this.enteredEvents) {
        if (map.entryAt(index) === event) map.setEntry(index, undefined, 0n)
      }
    }
    this.object.putUserReference()
  }
}

/** The arena range that the map shows from offset 0 on, or why not in this way. */
function mappableRegion(
  map: RingBuffer | UserRingBuffer | ArrayMap,
  request: MmapRequest,
): { readonly offset: number; readonly sizeBytes: number } | number {
  if (map instanceof ArrayMap) return map.region ?? -EINVAL
  // Only the consumer position is a reader's to write, and all else is a writer's.
  const isWriters = map instanceof UserRingBuffer
  if (request.writable && isWriters && request.offsetBytes === 0) return -EPERM
  const isConsumerPage = request.offsetBytes === 0 && request.lengthBytes === PAGE_SIZE
  if (request.writable && !isWriters && !isConsumerPage) return -EPERM
  const { consumer, producerAndData } = map.regions
  return { offset: consumer.offset, sizeBytes: consumer.sizeBytes + producerAndData.sizeBytes }
}
