/**
 * The memory of an arena map as user space sees it: all of it is mapped as long as the map is open. Pointers that
 * programs store in it are addresses here.
 *
 * A page comes to be when it is first touched. Of a map with BPF_F_SEGV_ON_FAULT, only what a program has allocated may
 * be touched: on Linux anything else ends the process.
 */
import {
  errnoName,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  type Syscalls,
  type UserPointer,
} from '../abi/index.ts'
import { LoadError } from './errors.ts'

const MAP_FIXED = 0x10

export interface ArenaToMap {
  readonly name: string
  readonly fd: number
  readonly pageCount: number
  /** `map_extra`: where it must lie; 0n: anywhere. */
  readonly address: bigint
}

export class MappedArena implements Disposable {
  /** Of the first byte; a multiple of the page size. */
  readonly address: UserPointer
  readonly sizeBytes: number
  readonly #syscalls: Syscalls
  #isMapped = true

  private constructor(syscalls: Syscalls, address: UserPointer, sizeBytes: number) {
    this.#syscalls = syscalls
    this.address = address
    this.sizeBytes = sizeBytes
  }

  static map(syscalls: Syscalls, { name, fd, pageCount, address }: ArenaToMap): MappedArena | LoadError {
    const sizeBytes = pageCount * PAGE_SIZE
    const flags = MAP_SHARED | (address === 0n ? 0 : MAP_FIXED)
    const result = syscalls.mmap(address, sizeBytes, PROT_READ | PROT_WRITE, flags, fd, 0)
    if (result >= 0n) return new MappedArena(syscalls, result, sizeBytes)
    const place = address === 0n ? '' : ` at 0x${address.toString(16)}`
    const message = `arena '${name}' of ${pageCount} pages cannot be mapped${place}: ${errnoName(Number(result))}`
    return new LoadError('map', name, message, -Number(result))
  }

  /** A copy of `sizeBytes` bytes at an address. */
  read(address: UserPointer, sizeBytes: number): Uint8Array {
    const bytes = new Uint8Array(sizeBytes)
    this.#eachPage(address, sizeBytes, (page, start) => bytes.set(page, start))
    return bytes
  }

  write(address: UserPointer, bytes: Uint8Array): void {
    this.#eachPage(address, bytes.length, (page, start) =>
      page.set(bytes.subarray(start, start + page.length)),
    )
  }

  /**
   * The bytes at an address, shared with programs, inside one page or, of an arena of up to 4,096 pages, anywhere.
   * Good until memory is next allocated or mapped, and until a program frees the page.
   */
  view(address: UserPointer, sizeBytes: number): Uint8Array {
    this.#check(address, sizeBytes)
    return this.#syscalls.memory.view(address, sizeBytes)
  }

  [Symbol.dispose](): void {
    if (!this.#isMapped) return
    this.#isMapped = false
    this.#syscalls.munmap(this.address, this.sizeBytes)
  }

  #eachPage(address: UserPointer, sizeBytes: number, visit: (page: Uint8Array, start: number) => void): void {
    this.#check(address, sizeBytes)
    for (let start = 0; start < sizeBytes; ) {
      const at = address + BigInt(start)
      const length = Math.min(sizeBytes - start, PAGE_SIZE - Number(at % BigInt(PAGE_SIZE)))
      visit(this.#syscalls.memory.view(at, length), start)
      start += length
    }
  }

  #check(address: UserPointer, sizeBytes: number): void {
    if (!this.#isMapped) throw new Error('this arena has been unmapped')
    const at = address - this.address
    if (at >= 0n && at + BigInt(sizeBytes) <= BigInt(this.sizeBytes)) return
    throw new RangeError(`${sizeBytes} bytes at 0x${address.toString(16)} are not in the arena`)
  }
}
