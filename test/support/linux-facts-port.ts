/** A Port that says of the operating system what this machine's Linux says of itself: its types and its symbols. */
import { readFileSync } from 'node:fs'
import type { KernelSymbol } from '../../src/kernel/port.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'

export const VMLINUX = '/sys/kernel/btf/vmlinux'

export class LinuxFactsPort extends TinyPort {
  #symbols: readonly KernelSymbol[] | undefined
  #byName: ReadonlyMap<string, KernelSymbol> | undefined

  constructor() {
    super({ cpuCount: 2 })
    this.types = new Uint8Array(readFileSync(VMLINUX))
  }

  override symbols(): readonly KernelSymbol[] {
    this.#symbols ??= readFileSync('/proc/kallsyms', 'utf8')
      .split('\n')
      .flatMap((line) => {
        const match = /^([0-9a-f]+) (\S) (\S+)$/.exec(line)
        if (match === null) return []
        const [, address, type, name] = match
        return {
          address: BigInt(`0x${address}`),
          isFunction: /[tT]/.test(type ?? ''),
          name: name ?? '',
          sizeBytes: 0,
        }
      })
    return this.#symbols
  }

  override symbolByName(name: string): KernelSymbol | undefined {
    // Of several, the first.
    this.#byName ??= new Map(
      this.symbols()
        .toReversed()
        .map((symbol) => [symbol.name, symbol]),
    )
    return this.#byName.get(name)
  }
}
