/**
 * QEMU's test device ("sifive,test1"): a word written to it ends the machine.
 *
 * Source: QEMU, docs/system/riscv/virt.rst, and the device tree binding "syscon-poweroff".
 */
import type { Device } from '../bus.ts'

const command = { fail: 0x3333, pass: 0x5555, reset: 0x7777 } as const

/** `code` is the exit code that the guest gives with `fail`. */
export type Finish = { readonly kind: 'poweroff' | 'reboot'; readonly code: number }

export class TestFinisher implements Device {
  readonly name = 'test'
  readonly #finish: (how: Finish) => void

  constructor(finish: (how: Finish) => void) {
    this.#finish = finish
  }

  read(): number {
    return 0
  }

  write(_offset: number, _bytes: number, value: number): void {
    const code = value >>> 16
    const low = value & 0xffff
    if (low === command.pass) this.#finish({ kind: 'poweroff', code: 0 })
    else if (low === command.fail) this.#finish({ kind: 'poweroff', code: code === 0 ? 1 : code })
    else if (low === command.reset) this.#finish({ kind: 'reboot', code: 0 })
  }
}
