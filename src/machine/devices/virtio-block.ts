/**
 * A virtio block device behind virtio-mmio version 2 (the modern one), with one queue. A request is done when
 * the notification's store has finished.
 *
 * Addresses that the driver gives are claims: everything outside RAM ends the queue's service with
 * DEVICE_NEEDS_RESET, as the standard wants for a driver that broke the rules.
 *
 * Source: Virtual I/O Device (VIRTIO) 1.2, 2.7 (split virtqueues), 4.2 (virtio over MMIO), 5.2 (block device).
 */
import type { Device } from '../bus.ts'

/** Offsets of the MMIO registers (4.2.2). */
const mmio = {
  magic: 0x000,
  version: 0x004,
  deviceId: 0x008,
  vendorId: 0x00c,
  deviceFeatures: 0x010,
  deviceFeaturesSel: 0x014,
  driverFeatures: 0x020,
  driverFeaturesSel: 0x024,
  queueSel: 0x030,
  queueNumMax: 0x034,
  queueNum: 0x038,
  queueReady: 0x044,
  queueNotify: 0x050,
  interruptStatus: 0x060,
  interruptAck: 0x064,
  status: 0x070,
  queueDescLow: 0x080,
  queueDescHigh: 0x084,
  queueDriverLow: 0x090,
  queueDriverHigh: 0x094,
  queueDeviceLow: 0x0a0,
  queueDeviceHigh: 0x0a4,
  configGeneration: 0x0fc,
  config: 0x100,
} as const

const MAGIC = 0x74726976
const VENDOR = 0x59504241 // "ABPY"
const BLOCK_DEVICE = 2
const QUEUE_SIZE = 256
const SECTOR_BYTES = 512

const deviceStatus = { driverOk: 4, needsReset: 0x40 } as const
const feature = { segmentLimit: 2, readOnly: 5, blockSize: 6, flush: 9, indirect: 28, version1: 32 } as const
const descriptorFlag = { next: 1, write: 2, indirect: 4 } as const
const requestType = { read: 0, write: 1, flush: 4, getId: 8 } as const
const requestStatus = { ok: 0, ioError: 1, unsupported: 2 } as const
const DESCRIPTOR_BYTES = 16

/** Guest memory as the device sees it; undefined or false where the range is not RAM. */
export interface DmaMemory {
  /** A view of RAM, valid until the machine goes on. */
  view(physical: number, sizeBytes: number): DataView | undefined
  read(physical: number, into: Uint8Array): boolean
  write(physical: number, bytes: Uint8Array): boolean
}

interface Descriptor {
  readonly address: number
  readonly sizeBytes: number
  readonly deviceWrites: boolean
}

/** The driver broke a rule; the queue stops until it resets the device. */
class BrokenQueue extends Error {}

export class VirtioBlock implements Device {
  readonly name: string
  readonly #disk: Uint8Array | undefined
  readonly #memory: DmaMemory
  readonly #setInterrupt: (raised: boolean) => void
  readonly #config: Uint8Array
  readonly #features: bigint
  #deviceFeaturesSel = 0
  #driverFeaturesSel = 0
  #driverFeatures = 0n
  #status = 0
  #interruptStatus = 0
  #queueSel = 0
  #queueNum = 0
  #queueReady = false
  readonly #addresses = new Uint32Array(6)
  #lastAvailable = 0

  /** Without a disk the slot is empty: its device id reads as 0. Writes go straight into `disk`. */
  constructor(
    name: string,
    disk: Uint8Array | undefined,
    memory: DmaMemory,
    setInterrupt: (raised: boolean) => void,
  ) {
    this.name = name
    this.#disk = disk
    this.#memory = memory
    this.#setInterrupt = setInterrupt
    const bit = (n: number) => 1n << BigInt(n)
    this.#features =
      bit(feature.version1) |
      bit(feature.indirect) |
      bit(feature.flush) |
      bit(feature.blockSize) |
      bit(feature.segmentLimit)
    this.#config = new Uint8Array(64)
    const config = new DataView(this.#config.buffer)
    const sectors = Math.floor((disk?.length ?? 0) / SECTOR_BYTES)
    config.setUint32(0, sectors, true)
    config.setUint32(4, Math.floor(sectors / 2 ** 32), true)
    config.setUint32(12, QUEUE_SIZE - 2, true)
    config.setUint32(20, SECTOR_BYTES, true)
  }

  read(offset: number, bytes: number): number {
    if (this.#disk === undefined) {
      return offset === mmio.magic ? MAGIC : offset === mmio.version ? 2 : 0
    }
    if (offset >= mmio.config) {
      let value = 0
      for (let i = bytes - 1; i >= 0; i--) value = value * 256 + (this.#config[offset - mmio.config + i] ?? 0)
      return value
    }
    switch (offset) {
      case mmio.magic:
        return MAGIC
      case mmio.version:
        return 2
      case mmio.deviceId:
        return BLOCK_DEVICE
      case mmio.vendorId:
        return VENDOR
      case mmio.deviceFeatures:
        return this.#deviceFeaturesSel > 1
          ? 0
          : Number((this.#features >> BigInt(32 * this.#deviceFeaturesSel)) & 0xffff_ffffn)
      case mmio.queueNumMax:
        return this.#queueSel === 0 ? QUEUE_SIZE : 0
      case mmio.queueReady:
        return this.#queueSel === 0 && this.#queueReady ? 1 : 0
      case mmio.interruptStatus:
        return this.#interruptStatus
      case mmio.status:
        return this.#status
      default:
        return 0
    }
  }

  write(offset: number, _bytes: number, value: number): void {
    if (this.#disk === undefined) return
    switch (offset) {
      case mmio.deviceFeaturesSel:
        this.#deviceFeaturesSel = value
        break
      case mmio.driverFeatures:
        if (this.#driverFeaturesSel <= 1) {
          const shift = BigInt(32 * this.#driverFeaturesSel)
          this.#driverFeatures =
            (this.#driverFeatures & ~(0xffff_ffffn << shift)) | (BigInt(value >>> 0) << shift)
        }
        break
      case mmio.driverFeaturesSel:
        this.#driverFeaturesSel = value
        break
      case mmio.queueSel:
        this.#queueSel = value
        break
      case mmio.queueNum:
        if (this.#queueSel === 0) this.#queueNum = value
        break
      case mmio.queueReady:
        if (this.#queueSel === 0) this.#queueReady = (value & 1) !== 0
        break
      case mmio.queueNotify:
        if (value === 0) this.#serve(this.#disk)
        break
      case mmio.interruptAck:
        this.#interruptStatus &= ~value
        this.#setInterrupt(this.#interruptStatus !== 0)
        break
      case mmio.status:
        this.#setStatus(value)
        break
      case mmio.queueDescLow:
      case mmio.queueDescHigh:
        this.#addresses[(offset - mmio.queueDescLow) >>> 2] = value
        break
      case mmio.queueDriverLow:
      case mmio.queueDriverHigh:
        this.#addresses[2 + ((offset - mmio.queueDriverLow) >>> 2)] = value
        break
      case mmio.queueDeviceLow:
      case mmio.queueDeviceHigh:
        this.#addresses[4 + ((offset - mmio.queueDeviceLow) >>> 2)] = value
        break
    }
  }

  #setStatus(value: number): void {
    const FEATURES_OK = 8
    if (value === 0) {
      this.#status = 0
      this.#queueReady = false
      this.#queueNum = 0
      this.#lastAvailable = 0
      this.#interruptStatus = 0
      this.#driverFeatures = 0n
      this.#addresses.fill(0)
      this.#setInterrupt(false)
      return
    }
    // The driver reads FEATURES_OK back to see whether its choice is accepted.
    const acceptable =
      (this.#driverFeatures & ~this.#features) === 0n &&
      (this.#driverFeatures >> BigInt(feature.version1)) & 1n
    this.#status = acceptable ? value : value & ~FEATURES_OK
  }

  #serve(disk: Uint8Array): void {
    const ready = this.#queueReady && (this.#status & deviceStatus.driverOk) !== 0
    if (!ready || (this.#status & deviceStatus.needsReset) !== 0) return
    const size = this.#queueNum
    try {
      if (size === 0 || size > QUEUE_SIZE || (size & (size - 1)) !== 0) throw new BrokenQueue()
      const available = this.#view(this.#address(1), 4 + 2 * size)
      const used = this.#view(this.#address(2), 4 + 8 * size)
      let served = false
      while (this.#lastAvailable !== available.getUint16(2, true)) {
        const head = available.getUint16(4 + 2 * (this.#lastAvailable % size), true)
        const written = this.#request(disk, this.#chain(head, size))
        const usedIndex = used.getUint16(2, true)
        used.setUint32(4 + 8 * (usedIndex % size), head, true)
        used.setUint32(8 + 8 * (usedIndex % size), written, true)
        used.setUint16(2, usedIndex + 1, true)
        this.#lastAvailable = (this.#lastAvailable + 1) & 0xffff
        served = true
      }
      const noInterrupt = available.getUint16(0, true) & 1
      if (served && !noInterrupt) this.#raise(1)
    } catch (error) {
      if (!(error instanceof BrokenQueue)) throw error
      this.#status |= deviceStatus.needsReset
      this.#raise(2)
    }
  }

  #raise(bit: number): void {
    this.#interruptStatus |= bit
    this.#setInterrupt(true)
  }

  /** Of the descriptor table (0), the driver's ring (1), the device's ring (2). */
  #address(which: number): number {
    return (this.#addresses[2 * which + 1] as number) * 2 ** 32 + (this.#addresses[2 * which] as number)
  }

  #view(physical: number, sizeBytes: number): DataView {
    const view = this.#memory.view(physical, sizeBytes)
    if (view === undefined) throw new BrokenQueue()
    return view
  }

  #chain(head: number, size: number): Descriptor[] {
    const chain: Descriptor[] = []
    const follow = (table: DataView, first: number, entries: number, mayBeIndirect: boolean) => {
      let index = first
      for (;;) {
        if (index >= entries || chain.length > entries + QUEUE_SIZE) throw new BrokenQueue()
        const at = index * DESCRIPTOR_BYTES
        const address = table.getUint32(at + 4, true) * 2 ** 32 + table.getUint32(at, true)
        const sizeBytes = table.getUint32(at + 8, true)
        const flags = table.getUint16(at + 12, true)
        if (flags & descriptorFlag.indirect) {
          if (!mayBeIndirect || flags & descriptorFlag.next) throw new BrokenQueue()
          follow(this.#view(address, sizeBytes), 0, sizeBytes / DESCRIPTOR_BYTES, false)
          return
        }
        chain.push({ address, sizeBytes, deviceWrites: (flags & descriptorFlag.write) !== 0 })
        if (!(flags & descriptorFlag.next)) return
        index = table.getUint16(at + 14, true)
      }
    }
    follow(this.#view(this.#address(0), size * DESCRIPTOR_BYTES), head, size, true)
    return chain
  }

  /** Does one request; the bytes written into the driver's buffers, the status byte included. */
  #request(disk: Uint8Array, chain: readonly Descriptor[]): number {
    const [header, ...rest] = chain
    const status = rest.pop()
    if (header === undefined || status === undefined) throw new BrokenQueue()
    if (header.deviceWrites || header.sizeBytes < 16 || !status.deviceWrites || status.sizeBytes < 1) {
      throw new BrokenQueue()
    }
    const head = this.#view(header.address, 16)
    const type = head.getUint32(0, true)
    const sector = head.getUint32(12, true) * 2 ** 32 + head.getUint32(8, true)
    const { result, written } = this.#transfer(disk, type, sector * SECTOR_BYTES, rest)
    if (!this.#memory.write(status.address, Uint8Array.of(result))) throw new BrokenQueue()
    return written + 1
  }

  #transfer(
    disk: Uint8Array,
    type: number,
    start: number,
    buffers: readonly Descriptor[],
  ): { result: number; written: number } {
    let at = start
    let written = 0
    switch (type) {
      case requestType.read:
      case requestType.write:
        for (const { address, sizeBytes, deviceWrites } of buffers) {
          if (deviceWrites !== (type === requestType.read)) throw new BrokenQueue()
          if (at + sizeBytes > disk.length) return { result: requestStatus.ioError, written }
          const part = disk.subarray(at, at + sizeBytes)
          const inRam =
            type === requestType.read ? this.#memory.write(address, part) : this.#memory.read(address, part)
          if (!inRam) throw new BrokenQueue()
          at += sizeBytes
          if (type === requestType.read) written += sizeBytes
        }
        return { result: requestStatus.ok, written }
      case requestType.flush:
        return { result: requestStatus.ok, written }
      case requestType.getId: {
        const id = new Uint8Array(20)
        id.set(new TextEncoder().encode(this.name).subarray(0, 20))
        for (const { address, sizeBytes } of buffers) {
          const part = id.subarray(written, written + sizeBytes)
          if (!this.#memory.write(address, part)) throw new BrokenQueue()
          written += part.length
        }
        return { result: requestStatus.ok, written }
      }
      default:
        return { result: requestStatus.unsupported, written }
    }
  }
}
