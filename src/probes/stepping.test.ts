/**
 * Every instruction form, probed and unprobed, from the same state: registers, memory, pc and outcome must agree.
 * The forms come from the table itself, with all bits that a row leaves open drawn at random.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ProbeManager } from './manager.ts'
import { type ProbeRow, probeRows } from './riscv64/rows.ts'
import { DATA, DATA_BYTES, TEXT, TinyRiscv } from './testing/tiny-riscv.ts'

const AT = TEXT + 0x1000n
const RUNS = 60

/** Registers that point into the data, so that loads and stores mostly succeed, or hold anything. */
const register = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.integer({ min: 0, max: (DATA_BYTES - 4096) / 8 }).map((n) => DATA + 2048n + BigInt(n * 8)),
  },
  { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }) },
  { weight: 1, arbitrary: fc.constantFrom(0n, 1n, (1n << 64n) - 1n, 1n << 63n, 0x7fff_ffffn) },
)

const state = fc.record({
  bits: fc.integer({ min: 0, max: 0xffff_ffff }),
  registers: fc.array(register, { minLength: 31, maxLength: 31 }),
  memory: fc.uint8Array({ minLength: 64, maxLength: 64 }),
})

type State = typeof state extends fc.Arbitrary<infer T> ? T : never

function prepare(row: ProbeRow, { bits, registers, memory }: State): TinyRiscv {
  const machine = new TinyRiscv()
  const encoding = ((bits & ~row.mask) | row.match) >>> 0
  machine.assemble(AT, [row.lengthBytes === 2 ? encoding & 0xffff : encoding])
  for (let i = 0; i < DATA_BYTES; i++) machine.data[i] = memory[i % 64] as number
  registers.forEach((value, i) => {
    machine.hart.set(i + 1, value)
  })
  machine.hart.pc = AT
  return machine
}

const visible = ({ hart }: TinyRiscv) => ({
  pc: hart.pc,
  x: [...hart.x],
  masked: hart.interruptsMasked,
})

describe.each(probeRows.filter((row) => row.action !== 'refuse').map((row) => [row.name, row] as const))(
  '%s',
  (_name, row) => {
    test('does the same with a probe on it', () => {
      fc.assert(
        fc.property(state, (drawn) => {
          const plain = prepare(row, drawn)
          const plainOutcome = plain.stepProgram()

          const probed = prepare(row, drawn)
          const before = probed.text.slice()
          using manager = new ProbeManager(probed)
          let seen: bigint[] | undefined
          const probe = manager.registerKprobe({
            address: AT,
            handler: (cpu) => {
              seen = Array.from({ length: 32 }, (_, i) => cpu.get(i))
              expect(cpu.pc).toBe(AT)
            },
          })
          if (typeof probe === 'number') {
            // an encoding that an earlier, refusing row claims
            return
          }
          const initial = [...probed.hart.x]
          const probedOutcome = probed.stepProgram()
          expect(probedOutcome).toBe(plainOutcome)
          expect(visible(probed)).toEqual(visible(plain))
          expect(Buffer.compare(probed.data, plain.data)).toBe(0)
          expect(seen).toEqual(initial)
          expect(probe.hits).toBe(1)
          probe.unregister()
          expect(Buffer.compare(probed.text.subarray(0, 0x3000), before.subarray(0, 0x3000))).toBe(0)
        }),
        { numRuns: RUNS },
      )
    })
  },
)

test.each(probeRows.filter((row) => row.action === 'refuse').map((row) => [row.name, row] as const))(
  '%s is refused, and the text untouched',
  (_name, row) => {
    const machine = new TinyRiscv()
    machine.assemble(AT, [row.match])
    const before = machine.text.slice()
    using manager = new ProbeManager(machine)
    expect(manager.registerKprobe({ address: AT, handler: () => {} })).toBe(-22)
    expect(Buffer.compare(machine.text, before)).toBe(0)
    expect(manager.slotsInUse).toBe(0)
  },
)
