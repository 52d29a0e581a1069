/**
 * The console: a 16550 UART. It sends at once; what is received waits in a queue of any length.
 *
 * Source: National Semiconductor PC16550D data sheet, 8 (Registers).
 */
import type { Device } from '../bus.ts'

const register = { data: 0, interruptEnable: 1, interruptId: 2, lineControl: 3, modemControl: 4 } as const
const lineStatus = { offset: 5, dataReady: 0x01, transmitterEmpty: 0x60 } as const
const modemStatus = { offset: 6, value: 0xb0 } as const
const SCRATCH = 7
const DLAB = 0x80
const interruptEnable = { received: 1, transmitterEmpty: 2 } as const

export class Uart implements Device {
  readonly name = 'uart'
  readonly #send: (byte: number) => void
  readonly #setInterrupt: (raised: boolean) => void
  readonly #received: number[] = []
  #interruptEnable = 0
  #lineControl = 0
  #modemControl = 0
  #fifoEnabled = false
  #scratch = 0
  #divisor = 0
  /** The transmitter became empty and nobody has looked yet. */
  #transmitterInterrupt = false

  constructor(send: (byte: number) => void, setInterrupt: (raised: boolean) => void) {
    this.#send = send
    this.#setInterrupt = setInterrupt
  }

  /** Bytes from the outside world. */
  receive(bytes: Uint8Array): void {
    for (const byte of bytes) this.#received.push(byte)
    this.#update()
  }

  /** The next received byte for one who does not go through the registers (SBI's console), or -1. */
  take(): number {
    const byte = this.#received.shift() ?? -1
    this.#update()
    return byte
  }

  read(offset: number): number {
    switch (offset) {
      case register.data: {
        if (this.#lineControl & DLAB) return this.#divisor & 0xff
        return Math.max(this.take(), 0)
      }
      case register.interruptEnable:
        return this.#lineControl & DLAB ? this.#divisor >>> 8 : this.#interruptEnable
      case register.interruptId: {
        const fifo = this.#fifoEnabled ? 0xc0 : 0
        if (this.#receiveInterrupt()) return fifo | 4
        if (this.#transmitterInterrupt) {
          this.#transmitterInterrupt = false
          this.#update()
          return fifo | 2
        }
        return fifo | 1
      }
      case register.lineControl:
        return this.#lineControl
      case register.modemControl:
        return this.#modemControl
      case lineStatus.offset:
        return lineStatus.transmitterEmpty | (this.#received.length > 0 ? lineStatus.dataReady : 0)
      case modemStatus.offset:
        return modemStatus.value
      case SCRATCH:
        return this.#scratch
      default:
        return 0
    }
  }

  write(offset: number, _bytes: number, value: number): void {
    const byte = value & 0xff
    switch (offset) {
      case register.data:
        if (this.#lineControl & DLAB) this.#divisor = (this.#divisor & 0xff00) | byte
        else {
          this.#send(byte)
          this.#transmitterInterrupt = (this.#interruptEnable & interruptEnable.transmitterEmpty) !== 0
        }
        break
      case register.interruptEnable:
        if (this.#lineControl & DLAB) this.#divisor = (this.#divisor & 0xff) | (byte << 8)
        else {
          const wasEnabled = this.#interruptEnable & interruptEnable.transmitterEmpty
          this.#interruptEnable = byte & 0x0f
          const isEnabled = byte & interruptEnable.transmitterEmpty
          // Enabling it raises it, since the transmitter is always empty.
          this.#transmitterInterrupt = isEnabled !== 0 && (wasEnabled === 0 || this.#transmitterInterrupt)
        }
        break
      case register.interruptId:
        this.#fifoEnabled = (byte & 1) !== 0
        if (byte & 2) this.#received.length = 0
        break
      case register.lineControl:
        this.#lineControl = byte
        break
      case register.modemControl:
        this.#modemControl = byte & 0x1f
        break
      case SCRATCH:
        this.#scratch = byte
        break
    }
    this.#update()
  }

  #receiveInterrupt(): boolean {
    return (this.#interruptEnable & interruptEnable.received) !== 0 && this.#received.length > 0
  }

  #update(): void {
    this.#setInterrupt(this.#receiveInterrupt() || this.#transmitterInterrupt)
  }
}
