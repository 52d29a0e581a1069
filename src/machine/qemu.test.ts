import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { compressedInstructions } from './cpu/compressed.ts'
import { instructions } from './cpu/instructions.ts'
import { createMachine } from './machine.ts'
import { executable } from './testing/bare.ts'
import { randomProgram } from './testing/random-program.ts'

const QEMU = 'qemu-system-riscv64'
const hasQemu = spawnSync(QEMU, ['--version']).status === 0

/** What a bare program writes to the console of QEMU's board. */
function runInQemu(file: Uint8Array): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'anybpf-qemu-'))
  try {
    const path = join(folder, 'program.elf')
    writeFileSync(path, file)
    // A file takes all output; through a pipe QEMU drops what comes too fast.
    const output = join(folder, 'output')
    const { status } = spawnSync(
      QEMU,
      [
        ...['-machine', 'virt', '-cpu', 'rv64', '-m', '16', '-bios', 'none', '-kernel', path],
        ...['-display', 'none', '-monitor', 'none', '-serial', `file:${output}`],
      ],
      { timeout: 120_000 },
    )
    expect(status).toBe(0)
    return readFileSync(output)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function runHere(file: Uint8Array): Uint8Array {
  const output: number[] = []
  const created = createMachine({
    firmware: 'none',
    ramBytes: 16 << 20,
    codeCacheBytes: 4 << 20,
    kernel: { elf: file },
    onConsole: (bytes) => output.push(...bytes),
  })
  if (!created.ok) throw new Error(JSON.stringify(created.error))
  expect(created.machine.run({ maxInstructions: 10_000_000 })).toEqual({
    kind: 'shutdown',
    type: 'poweroff',
    reason: 0,
  })
  return Uint8Array.from(output)
}

const DUMP_BYTES = 1024 + 256
const SEQUENCES = 60

describe('random instruction sequences', () => {
  // A few seeds each time the tests run; ANYBPF_SEEDS asks for more.
  const seeds = Array.from({ length: Number(process.env.ANYBPF_SEEDS ?? 3) }, (_, i) => i + 1)

  test.skipIf(!hasQemu).each(seeds)(
    `leave what they leave in ${QEMU} (skipped without it), seed %i`,
    (seed) => {
      const { program, used } = randomProgram(seed, SEQUENCES, 60)
      const file = executable(program)
      const ours = runHere(file)
      const theirs = runInQemu(file)
      expect(theirs.length).toBe(SEQUENCES * DUMP_BYTES)
      expect(ours.length).toBe(theirs.length)
      const at = theirs.findIndex((byte, i) => byte !== ours[i])
      const where = at % DUMP_BYTES
      expect(
        at,
        `seed ${seed}, sequence ${Math.floor(at / DUMP_BYTES)}, ${where < 1024 ? `scratch byte ${where}` : `x${(where - 1024) >> 3}`}`,
      ).toBe(-1)

      // Each row has its turn, but for those that change privilege or wait.
      const apart = new Set(['mret', 'sret', 'wfi', 'c.jr', 'c.jalr', 'c.ebreak'])
      const rows = [...instructions, ...compressedInstructions].map(({ name }) => name)
      expect(rows.filter((name) => !used.has(name) && !apart.has(name))).toEqual([])
    },
  )
})
