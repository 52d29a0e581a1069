/** The bus: address ranges, each with the device that answers there. RAM is not on it. */

/** A device's registers, by their offset from its base. Sizes are 1, 2, 4 or 8 bytes, naturally aligned. */
export interface Device {
  readonly name: string
  /** The value, unsigned; what lies above 32 bits of a register of 64 goes into the second half. */
  read(offset: number, bytes: number): number
  write(offset: number, bytes: number, value: number): void
}

interface Mapping {
  readonly base: number
  readonly size: number
  readonly device: Device
}

export class Bus {
  readonly #mappings: Mapping[] = []

  /** Throws where the range overlaps another device's. */
  map(base: number, size: number, device: Device): void {
    const other = this.#mappings.find((at) => base < at.base + at.size && at.base < base + size)
    if (other !== undefined) throw new Error(`${device.name} overlaps ${other.device.name} on the bus`)
    this.#mappings.push({ base, size, device })
  }

  /** Reads; accesses of 8 bytes become two of 4. False where no device answers. */
  load(address: number, bytes: number, value: Uint32Array): boolean {
    const at = this.#find(address)
    if (at === undefined) return false
    const offset = address - at.base
    value[0] = at.device.read(offset, bytes === 8 ? 4 : bytes)
    value[1] = bytes === 8 ? at.device.read(offset + 4, 4) : 0
    return true
  }

  store(address: number, bytes: number, low: number, high: number): boolean {
    const at = this.#find(address)
    if (at === undefined) return false
    const offset = address - at.base
    if (bytes === 8) {
      at.device.write(offset, 4, low)
      at.device.write(offset + 4, 4, high)
    } else at.device.write(offset, bytes, bytes === 1 ? low & 0xff : bytes === 2 ? low & 0xffff : low)
    return true
  }

  #find(address: number): Mapping | undefined {
    for (const at of this.#mappings) {
      if (address >= at.base && address - at.base < at.size) return at
    }
    return undefined
  }
}
