/** Guest memory from outside: physical, virtual as a hart's page table has it, and as a device sees it. */
import type { Cpu } from './cpu/cpu.ts'
import { PAGE_BYTES, RAM_BASE } from './cpu/layout.ts'
import type { DmaMemory } from './devices/virtio-block.ts'
import type { Hart, Privilege } from './hart.ts'
import { privilege } from './hart.ts'

/** Bytes up to which a copy goes byte by byte. */
const SMALL_COPY = 64

export class GuestMemory implements DmaMemory {
  readonly ram: Uint8Array
  readonly #cpu: Cpu
  /** An address on its way to WebAssembly as two halves: arithmetic on it would allocate. */
  readonly #address = new BigUint64Array(1)
  readonly #halves = new Int32Array(this.#address.buffer)

  constructor(cpu: Cpu) {
    this.#cpu = cpu
    this.ram = cpu.bytes.subarray(cpu.map.ram, cpu.map.ram + cpu.map.ramBytes)
  }

  view(physical: number, sizeBytes: number): DataView | undefined {
    const offset = this.#offset(physical, sizeBytes)
    if (offset === undefined) return undefined
    return new DataView(this.ram.buffer, this.ram.byteOffset + offset, sizeBytes)
  }

  read(physical: number, into: Uint8Array): boolean {
    const offset = this.#offset(physical, into.length)
    if (offset === undefined) return false
    into.set(this.ram.subarray(offset, offset + into.length))
    return true
  }

  write(physical: number, bytes: Uint8Array): boolean {
    const offset = this.#offset(physical, bytes.length)
    if (offset === undefined) return false
    this.#cpu.code.beforeWrite(offset, bytes.length)
    this.ram.set(bytes, offset)
    return true
  }

  readVirtual(hart: Hart, address: bigint, into: Uint8Array, as: Privilege): boolean {
    const count = into.length
    const { ram } = this
    if (count > 0 && count <= SMALL_COPY) {
      const offset = this.translate(hart, address, as)
      if (offset === undefined) return false
      if ((offset % PAGE_BYTES) + count <= PAGE_BYTES) {
        // A loop beats subarray and set here: they cost some 100 ns however little they copy.
        for (let i = 0; i < count; i++) into[i] = ram[offset + i] as number
        return true
      }
    }
    return this.#forEachPage(hart, address, into.length, as, (offset, from, count) => {
      into.set(this.ram.subarray(offset, offset + count), from)
    })
  }

  writeVirtual(hart: Hart, address: bigint, bytes: Uint8Array, as: Privilege): boolean {
    if (!this.#forEachPage(hart, address, bytes.length, as, () => {})) return false
    return this.#forEachPage(hart, address, bytes.length, as, (offset, from, count) => {
      this.#cpu.code.beforeWrite(offset, count)
      this.ram.set(bytes.subarray(from, from + count), offset)
    })
  }

  /** The offset into RAM of a virtual address, or undefined. */
  translate(hart: Hart, address: bigint, as: Privilege): number | undefined {
    hart.activate()
    this.#address[0] = address
    const mode = as === privilege.machine ? 2 : as
    const offset = this.#cpu.exports.inspect(this.#halves[1] as number, this.#halves[0] as number, mode)
    return offset === -1 ? undefined : offset >>> 0
  }

  #offset(physical: number, sizeBytes: number): number | undefined {
    const offset = physical - RAM_BASE
    return offset >= 0 && offset + sizeBytes <= this.ram.length ? offset : undefined
  }

  /** Visits the pieces of a range: offset into RAM, offset into the range, bytes. False at the first hole. */
  #forEachPage(
    hart: Hart,
    address: bigint,
    sizeBytes: number,
    as: Privilege,
    visit: (offset: number, from: number, count: number) => void,
  ): boolean {
    for (let from = 0; from < sizeBytes; ) {
      const at = BigInt.asUintN(64, address + BigInt(from))
      const offset = this.translate(hart, at, as)
      if (offset === undefined) return false
      const count = Math.min(sizeBytes - from, PAGE_BYTES - (offset % PAGE_BYTES))
      visit(offset, from, count)
      from += count
    }
    return true
  }
}
