/** Boots the demo guest for tests that need a whole operating system. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from '../../src/kernel/index.ts'
import { createGuest, type Guest, type GuestOptions } from '../../src/ports/embedded/index.ts'

const root = join(import.meta.dirname, '..', '..')

export const repositoryFile = (path: string): Uint8Array => new Uint8Array(readFileSync(join(root, path)))

export class GuestUnderTest implements Disposable {
  readonly guest: Guest
  readonly client: Client
  #console = ''

  /** Boots `guest/build/kernel.elf` to where it can be probed, before its first system call. */
  constructor(options: Partial<GuestOptions> = {}) {
    const decoder = new TextDecoder()
    const made = createGuest({
      kernelElf: repositoryFile('guest/build/kernel.elf'),
      disks: [repositoryFile('guest/build/disk.img')],
      onConsole: (bytes) => {
        this.#console += decoder.decode(bytes, { stream: true })
      },
      kernel: {
        onProgramFault(fault) {
          throw new Error(`program ${fault.programName} failed at ${fault.instruction}: ${fault.message}`)
        },
      },
      ...options,
    })
    if (!made.ok) throw new Error(`the guest does not load: ${JSON.stringify(made.error)}`)
    this.guest = made.guest
    const stopped = this.guest.boot()
    if (stopped !== undefined) throw new Error(`the guest does not boot: ${stopped.kind}\n${this.#console}`)
    this.client = this.guest.kernel.openClient()
  }

  /** Console output so far. */
  get console(): string {
    return this.#console
  }

  /** Runs to the guest's orderly end and returns its console output. */
  runToEnd(): string {
    const stopped = this.guest.run({ maxInstructions: 2_000_000_000 })
    if (stopped.kind !== 'shutdown' || stopped.reason !== 0) {
      const why = this.guest.panic?.message ?? JSON.stringify(stopped)
      throw new Error(`the guest did not power off: ${why}\n${this.#console}`)
    }
    return this.#console
  }

  /** A kernel object as words of 64 bits. */
  readWords(symbol: string): BigUint64Array {
    const found = this.guest.port.symbolByName(symbol)
    if (found === undefined) throw new Error(`the guest has no symbol ${symbol}`)
    const words = new BigUint64Array(found.sizeBytes / 8)
    const status = this.guest.port.readKernel(0, found.address, new Uint8Array(words.buffer))
    if (status !== 0) throw new Error(`${symbol} cannot be read: ${status}`)
    return words
  }

  [Symbol.dispose](): void {
    this.client[Symbol.dispose]()
    this.guest[Symbol.dispose]()
  }
}
