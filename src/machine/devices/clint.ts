/**
 * The core-local interruptor: software interrupts and timers of M-mode, and the clock.
 *
 * Source: SiFive FU540-C000 manual v1p4, chapter 9.
 */
import type { Device } from '../bus.ts'

const MTIMECMP = 0x4000
const MTIME = 0xbff8

/** What the CLINT moves. Times are in ticks of 10 MHz. */
export interface ClintPort {
  readonly harts: number
  mtime(): number
  setMachineSoftware(hart: number, raised: boolean): void
  /** Infinity when the timer is off. */
  setMachineTimer(hart: number, ticks: number): void
}

export class Clint implements Device {
  readonly name = 'clint'
  readonly #port: ClintPort
  readonly #software: Uint32Array
  /** The halves of `mtimecmp`. */
  readonly #compare: Uint32Array

  constructor(port: ClintPort) {
    this.#port = port
    this.#software = new Uint32Array(port.harts)
    this.#compare = new Uint32Array(2 * port.harts).fill(0xffff_ffff)
  }

  read(offset: number): number {
    if (offset < 4 * this.#port.harts) return this.#software[offset >>> 2] as number
    if (offset >= MTIMECMP && offset < MTIMECMP + 8 * this.#port.harts) {
      return this.#compare[(offset - MTIMECMP) >>> 2] as number
    }
    const time = this.#port.mtime()
    if (offset === MTIME) return time % 2 ** 32
    if (offset === MTIME + 4) return Math.floor(time / 2 ** 32)
    return 0
  }

  /** `mtime` cannot be set: virtual time belongs to the machine. */
  write(offset: number, _bytes: number, value: number): void {
    if (offset < 4 * this.#port.harts) {
      this.#software[offset >>> 2] = value & 1
      this.#port.setMachineSoftware(offset >>> 2, (value & 1) !== 0)
    } else if (offset >= MTIMECMP && offset < MTIMECMP + 8 * this.#port.harts) {
      const word = (offset - MTIMECMP) >>> 2
      this.#compare[word] = value
      const hart = word >>> 1
      const ticks = (this.#compare[2 * hart + 1] as number) * 2 ** 32 + (this.#compare[2 * hart] as number)
      this.#port.setMachineTimer(hart, ticks)
    }
  }
}
