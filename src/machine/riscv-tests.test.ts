/**
 * Runs the public riscv-tests, where somebody has built them: ANYBPF_RISCV_TESTS names the folder with the
 * executables (rv64ui-p-add, rv64si-p-csr, rv64ui-v-lw, ...), built for rv64imac. docs/machine.md says how.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createMachine } from './machine.ts'

const folder = process.env.ANYBPF_RISCV_TESTS
const files = folder === undefined ? [] : readdirSync(folder).filter((name) => /^rv64[a-z]+-[pv]-/.test(name))

/** Tests of what this machine does not have, and is not obliged to. */
const absent: Readonly<Record<string, string>> = {
  'rv64mi-p-pmpaddr': 'no PMP entry is implemented',
}

/** Where the test says how it went: the symbol `tohost`. */
function addressOf(elf: Uint8Array, name: string): number {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength)
  const double = (at: number) => Number(view.getBigUint64(at, true))
  const sections = double(40)
  for (let section = sections; section < sections + 64 * view.getUint16(60, true); section += 64) {
    const SHT_SYMTAB = 2
    if (view.getUint32(section + 4, true) !== SHT_SYMTAB) continue
    const strings = double(sections + 64 * view.getUint32(section + 40, true) + 24)
    const start = double(section + 24)
    for (let symbol = start; symbol < start + double(section + 32); symbol += 24) {
      const at = strings + view.getUint32(symbol, true)
      const text = new TextDecoder().decode(elf.subarray(at, at + name.length + 1))
      if (text === `${name}\0`) return double(symbol + 8)
    }
  }
  throw new Error(`no symbol ${name}`)
}

describe('riscv-tests', () => {
  test.skipIf(folder !== undefined)('are skipped: ANYBPF_RISCV_TESTS names no folder', ({ skip }) => skip())

  test.each(files.filter((name) => absent[name] === undefined))('%s', (name) => {
    const elf = readFileSync(join(folder as string, name))
    const created = createMachine({
      firmware: 'none',
      ramBytes: 16 << 20,
      codeCacheBytes: 4 << 20,
      kernel: { elf },
    })
    if (!created.ok) throw new Error(JSON.stringify(created.error))
    const tohost = addressOf(elf, 'tohost')
    const bytes = new Uint8Array(8)
    const result = () => {
      created.machine.readPhysical(tohost, bytes)
      return new DataView(bytes.buffer).getBigUint64(0, true)
    }
    for (let i = 0; i < 500 && result() === 0n; i++) created.machine.run({ maxInstructions: 5_000 })
    // 1 is success; else twice the number of the test that failed, plus 1.
    expect(result()).toBe(1n)
  })
})
