/**
 * The packet of one run, in the arena: its bytes, the room around them, and the pointers to it in the context.
 *
 * ```text
 *   base        meta    data                 end         data + length      base + capacity
 *    |  headroom  | meta  |  linear           |  the rest         |  tailroom  |
 * ```
 *
 * Rules
 * - Programs may touch from `meta` to `end`; helpers also reach the rest, as in a packet with fragments. The end is
 *   exact to the byte, the beginning to the 8 bytes that an arena check tells apart.
 * - The context holds three 64-bit pointers, data, end and meta, one after the other; each change rewrites them.
 *   A packet may move: pointers that a program took before the change are no longer good.
 */
import type { Access, Arena } from './arena.ts'

export interface PacketOptions {
  /** `xdp`: a frame with metadata; `skb`: a socket buffer; `flow`: only bytes to look at. */
  readonly kind: 'xdp' | 'skb' | 'flow'
  /** Metadata first, if any, then the packet. */
  readonly bytes: Uint8Array
  readonly metaBytes?: number
  /** How much of the packet programs may touch; default all of it. */
  readonly linearBytes?: number
  readonly headroomBytes: number
  readonly tailroomBytes: number
  readonly access: Access
  /** Arena offset of the three pointers in the context. */
  readonly pointersAt: number
  /** Arena offset of the context's 32-bit length, where it has one. */
  readonly lengthAt?: number
  /** Of a frame: what headroom, packet and the room that the kernel keeps at its end are to fit. Default a page. */
  readonly frameBytes?: number
}

/** Where a packet lies in its memory. */
export interface PacketPlace {
  readonly data: number
  readonly metaBytes: number
  readonly lengthBytes: number
  readonly linearBytes: number
}

const PAGE_BYTES = 4096

export class PacketBuffer {
  readonly kind: PacketOptions['kind']
  readonly frameBytes: number
  /** Where the link layer's and the network layer's headers begin, from `data` on; may be negative. */
  macHeader = 0
  networkHeader = 0
  /** One's complement sum of what follows the network header, where the packet came with one. */
  checksum: number | undefined
  /** Whether `checksum` still covers all of it: changes are then summed, too. */
  isSummed = false
  /** How many checksums are known to be good; undefined: none is said to be. */
  checksumLevel: number | undefined
  /** Whether a tunnel's headers were put before it. */
  isEncapsulated = false
  readonly #arena: Arena
  readonly #access: Access
  readonly #pointersAt: number
  readonly #lengthAt: number | undefined
  #base: number
  #capacity: number
  #data: number
  #metaBytes: number
  #length: number
  #linear: number

  private constructor(arena: Arena, options: PacketOptions, base: number, capacity: number) {
    this.kind = options.kind
    this.frameBytes = options.frameBytes ?? PAGE_BYTES
    this.#arena = arena
    this.#access = options.access
    this.#pointersAt = options.pointersAt
    this.#lengthAt = options.lengthAt
    this.#base = base
    this.#capacity = capacity
    this.#metaBytes = options.metaBytes ?? 0
    this.#data = base + options.headroomBytes + this.#metaBytes
    this.#length = options.bytes.length - this.#metaBytes
    this.#linear = Math.min(options.linearBytes ?? this.#length, this.#length)
    arena.bytes.set(options.bytes, base + options.headroomBytes)
    this.#publish()
  }

  /** Undefined where the arena is full. */
  static create(arena: Arena, options: PacketOptions): PacketBuffer | undefined {
    const capacity = options.headroomBytes + options.bytes.length + options.tailroomBytes
    const base = arena.allocate(capacity, { access: 'none' })
    return base === undefined ? undefined : new PacketBuffer(arena, options, base, capacity)
  }

  /** Arena offset of the first byte. */
  get data(): number {
    return this.#data
  }

  /** Whether programs may write to it. */
  get isWritable(): boolean {
    return this.#access === 'write'
  }

  /** The whole packet, programs' part and the rest. */
  get lengthBytes(): number {
    return this.#length
  }

  /** What programs may touch of it. */
  get linearBytes(): number {
    return this.#linear
  }

  get metaBytes(): number {
    return this.#metaBytes
  }

  get headroomBytes(): number {
    return this.#data - this.#metaBytes - this.#base
  }

  get tailroomBytes(): number {
    return this.#base + this.#capacity - this.#data - this.#length
  }

  /** The bytes themselves, from `data` on; good until the packet or the arena next changes. */
  bytes(): Uint8Array {
    return this.#arena.bytes.subarray(this.#data, this.#data + this.#length)
  }

  /** Metadata and packet. */
  bytesWithMeta(): Uint8Array {
    return this.#arena.bytes.subarray(this.#data - this.#metaBytes, this.#data + this.#length)
  }

  /** Lets programs touch the first `bytes` bytes, at least. */
  pull(bytes: number): void {
    this.#linear = Math.max(this.#linear, Math.min(bytes, this.#length))
    this.#publish()
  }

  /** Moves the beginning by `bytes`, forth (positive) or back; metadata moves along. False: the arena is full. */
  moveHead(bytes: number): boolean {
    if (-bytes > this.headroomBytes && !this.#makeRoom(-bytes, 0)) return false
    const meta = this.#data - this.#metaBytes
    this.#arena.bytes.copyWithin(meta + bytes, meta, this.#data)
    this.#data += bytes
    this.#length -= bytes
    this.#linear = Math.max(this.#linear - bytes, 0)
    this.macHeader -= bytes
    this.networkHeader -= bytes
    this.#publish()
    return true
  }

  /** Moves the end by `bytes`; what is added is zero, and linear where the packet is. False: the arena is full. */
  moveTail(bytes: number): boolean {
    if (bytes > this.tailroomBytes && !this.#makeRoom(0, bytes)) return false
    const end = this.#data + this.#length
    if (bytes > 0) this.#arena.bytes.fill(0, end, end + bytes)
    const isLinear = this.#linear === this.#length
    this.#length += bytes
    this.#linear = isLinear ? this.#length : Math.min(this.#linear, this.#length)
    this.#publish()
    return true
  }

  /** Metadata of `bytes` bytes, right before the packet; the caller has seen to the headroom. */
  resizeMeta(bytes: number): void {
    this.#metaBytes = bytes
    this.#publish()
  }

  /** Where it lies now, for `restore`. */
  get place(): PacketPlace {
    return {
      data: this.#data - this.#base,
      metaBytes: this.#metaBytes,
      lengthBytes: this.#length,
      linearBytes: this.#linear,
    }
  }

  /** Back to a place that it had, and has not outgrown since; what lies there stays as it was last left. */
  restore(place: PacketPlace): void {
    this.#data = this.#base + place.data
    this.#metaBytes = place.metaBytes
    this.#length = place.lengthBytes
    this.#linear = place.linearBytes
    this.#publish()
  }

  /** Opens a gap of `bytes` zero bytes at `at`, or, where negative, takes as many away there. */
  resizeAt(at: number, bytes: number): boolean {
    if (!this.moveHead(-bytes)) return false
    const all = this.bytes()
    if (bytes > 0) {
      all.copyWithin(0, bytes, bytes + at)
      all.fill(0, at, at + bytes)
      return true
    }
    // The front goes over what is taken away, whose bytes now lie before `data`.
    const from = this.#data + bytes
    this.#arena.bytes.copyWithin(this.#data, from, from + at)
    return true
  }

  free(): void {
    this.#arena.free(this.#base)
  }

  #makeRoom(head: number, tail: number): boolean {
    const headroom = Math.max(this.headroomBytes, head)
    const meta = this.#data - this.#metaBytes
    const size = this.#metaBytes + this.#length
    const capacity = headroom + size + Math.max(this.tailroomBytes, tail)
    const base = this.#arena.allocate(capacity, { access: 'none' })
    if (base === undefined) return false
    this.#arena.bytes.copyWithin(base + headroom, meta, meta + size)
    this.#arena.free(this.#base)
    this.#base = base
    this.#capacity = capacity
    this.#data = base + headroom + this.#metaBytes
    return true
  }

  #publish(): void {
    const arena = this.#arena
    const meta = this.#data - this.#metaBytes
    const end = this.#data + this.#linear
    const first = meta & ~7
    arena.setAccess(this.#base, this.#capacity, 'none')
    if (this.#access !== 'none') arena.setAccess(first, end - first, this.#access)
    const { view } = arena
    view.setBigUint64(this.#pointersAt, arena.address(this.#data), true)
    view.setBigUint64(this.#pointersAt + 8, arena.address(end), true)
    view.setBigUint64(this.#pointersAt + 16, arena.address(meta), true)
    if (this.#lengthAt !== undefined) view.setUint32(this.#lengthAt, this.#length, true)
  }
}
