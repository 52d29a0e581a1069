/**
 * An open map on bytes: the element commands of bpf(2), without an allocation per call.
 *
 * The attribute, one key, the next key and one value lie in one block of user memory that lives as long as the
 * map is open.
 */
import { BPF_CMD, mapElemAttr, mapNextKeyAttr, type Syscalls, type UserPointer } from '../abi/index.ts'
import type { MappedArena } from './mapped-arena.ts'
import { type Descriptor, UserBuffer } from './owner.ts'

const align8 = (size: number) => (size + 7) & ~7

export class MapHandle implements Disposable {
  readonly syscalls: Syscalls
  readonly descriptor: Pick<Descriptor, 'fd' | 'isOpen'> & Disposable
  readonly keySize: number
  /** Bytes of a value as user space sees it: for per-CPU maps, of all CPUs. */
  readonly valueBytes: number
  readonly maxEntries: number
  /** Of an arena, its memory, which is mapped as long as the map is open. */
  arena: MappedArena | undefined
  readonly #scratch: UserBuffer
  readonly #key: number
  readonly #nextKey: number
  readonly #value: number

  constructor(
    syscalls: Syscalls,
    descriptor: Pick<Descriptor, 'fd' | 'isOpen'> & Disposable,
    sizes: { readonly keySize: number; readonly valueBytes: number; readonly maxEntries: number },
  ) {
    this.syscalls = syscalls
    this.descriptor = descriptor
    this.keySize = sizes.keySize
    this.valueBytes = sizes.valueBytes
    this.maxEntries = sizes.maxEntries
    this.#key = align8(mapElemAttr.size)
    this.#nextKey = this.#key + align8(sizes.keySize)
    this.#value = this.#nextKey + align8(sizes.keySize)
    this.#scratch = new UserBuffer(syscalls.memory, this.#value + align8(sizes.valueBytes))
  }

  get fd(): number {
    return this.descriptor.fd
  }

  /** The value, shared and good until the next call, or -errno. */
  lookup(key: Uint8Array, cmd: number = BPF_CMD.BPF_MAP_LOOKUP_ELEM, flags = 0n): Uint8Array | number {
    this.#putKey(key)
    const result = this.#element(cmd, flags)
    return result < 0 ? result : this.#bytes(this.#value, this.valueBytes)
  }

  update(key: Uint8Array, value: Uint8Array, flags: number): number {
    this.#putKey(key)
    this.#bytes(this.#value, this.valueBytes).set(value)
    return this.#element(BPF_CMD.BPF_MAP_UPDATE_ELEM, BigInt(flags))
  }

  remove(key: Uint8Array): number {
    this.#putKey(key)
    return this.#element(BPF_CMD.BPF_MAP_DELETE_ELEM, 0n)
  }

  /** A copy of the key after `key` (of the first without one), or -errno: -ENOENT at the end. */
  nextKey(key: Uint8Array | undefined): Uint8Array | number {
    if (key !== undefined) this.#putKey(key)
    const attr = mapNextKeyAttr.encode({
      map_fd: this.fd,
      key: key === undefined ? 0n : this.#pointer(this.#key),
      next_key: this.#pointer(this.#nextKey),
    })
    const result = this.#call(BPF_CMD.BPF_MAP_GET_NEXT_KEY, attr)
    return result < 0 ? result : this.#bytes(this.#nextKey, this.keySize).slice()
  }

  [Symbol.dispose](): void {
    if (!this.descriptor.isOpen) return
    this.arena?.[Symbol.dispose]()
    this.descriptor[Symbol.dispose]()
    this.#scratch[Symbol.dispose]()
  }

  #element(cmd: number, flags: bigint): number {
    const attr = mapElemAttr.encode({
      map_fd: this.fd,
      key: this.keySize === 0 ? 0n : this.#pointer(this.#key),
      // Linux refuses an attribute with more in it than the command takes.
      value: cmd === BPF_CMD.BPF_MAP_DELETE_ELEM ? 0n : this.#pointer(this.#value),
      flags,
    })
    return this.#call(cmd, attr)
  }

  #call(cmd: number, attr: Uint8Array): number {
    if (!this.descriptor.isOpen) throw new Error('this map has been closed')
    this.#scratch.bytes.set(attr)
    return this.syscalls.bpf(cmd, this.#scratch.pointer, attr.length)
  }

  #putKey(key: Uint8Array): void {
    if (key.length !== this.keySize) throw new RangeError(`a key of ${key.length} bytes, not ${this.keySize}`)
    if (!this.descriptor.isOpen) throw new Error('this map has been closed')
    this.#scratch.bytes.set(key, this.#key)
  }

  #pointer(offset: number): UserPointer {
    return this.#scratch.pointer + BigInt(offset)
  }

  #bytes(offset: number, size: number): Uint8Array {
    return this.#scratch.bytes.subarray(offset, offset + size)
  }
}
