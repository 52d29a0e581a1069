/**
 * Random programs on the interpreter and on Linux's JIT: the same result.
 *
 * Each program takes its registers from a packet, so that Linux's verifier knows none of their values, computes with
 * them, and returns 32 bits that depend on all of them and on its stack.
 */
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { Interpreter, prepare } from '../../src/interpreter/index.ts'
import {
  assemble,
  disassemble,
  type Instruction,
  instruction,
  type Program,
  type Row,
  rows,
} from '../../src/isa/index.ts'
import { Arena } from '../../src/memory/index.ts'
import { LinuxOracle } from '../support/linux-oracle.ts'

const oracle = LinuxOracle.open()
afterAll(() => {
  if (typeof oracle !== 'string') oracle[Symbol.dispose]()
})

const XDP = 6
/** Registers that hold data; r10 points to the stack. */
const DATA_REGISTERS = 10
const STACK_SLOTS = 4
const PACKET_BYTES = (DATA_REGISTERS + STACK_SLOTS) * 8

const assembled = (lines: readonly string[]): Program => {
  const result = assemble(lines.join('\n'))
  if (!result.ok) throw new Error(result.errors[0].message)
  return result.program
}

/** With r1 pointing to the packet: fills the stack and r0 to r9 from it. */
const fill = [
  ...Array.from({ length: STACK_SLOTS }, (_, i) => [
    `r0 = *(u64 *)(r1 +${(DATA_REGISTERS + i) * 8})`,
    `*(u64 *)(r10 -${(i + 1) * 8}) = r0`,
  ]).flat(),
  ...Array.from({ length: DATA_REGISTERS }, (_, i) =>
    i === 1 ? [] : [`r${i} = *(u64 *)(r1 +${i * 8})`],
  ).flat(),
  'r1 = *(u64 *)(r1 +8)',
]
/** Linux's XDP context holds 32-bit data and data_end, which its verifier turns into pointers. */
const linuxPrologue = assembled([
  'r2 = *(u32 *)(r1 +0)',
  'r3 = *(u32 *)(r1 +4)',
  'r1 = r2',
  `r2 += ${PACKET_BYTES}`,
  'r0 = 0',
  'if r2 <= r3 goto +1',
  'exit',
  ...fill,
])
const ourPrologue = assembled(fill)
const mix = (source: string) => ['r0 *= 31', `r0 += ${source}`]
const epilogue = assembled([
  ...Array.from({ length: DATA_REGISTERS - 1 }, (_, i) => mix(`r${i + 1}`)).flat(),
  ...Array.from({ length: STACK_SLOTS }, (_, i) => [
    `r1 = *(u64 *)(r10 -${(i + 1) * 8})`,
    ...mix('r1'),
  ]).flat(),
  'r1 = r0',
  'r1 >>= 32',
  'r0 ^= r1',
  'exit',
])

const register = fc.integer({ min: 0, max: DATA_REGISTERS - 1 })
const immediate = fc.oneof(
  fc.integer({ min: -0x80000000, max: 0x7fffffff }),
  fc.constantFrom(-0x80000000, 0x7fffffff, -1, 0, 1, 2),
)

/** One instruction of `row` that Linux's verifier accepts anywhere in a body; a jump goes at most 3 slots on. */
function bodyInstruction(row: Row): fc.Arbitrary<Instruction> | undefined {
  if (!['alu', 'swap', 'jump', 'load', 'store', 'atomic'].includes(row.kind)) return undefined
  const bytes = row.bits / 8
  const isLoad = row.kind === 'load'
  const touchesMemory = isLoad || row.kind === 'store' || row.kind === 'atomic'
  const isShift = /^(lsh|rsh|arsh)$/.test(row.op)
  const imm = isShift
    ? fc.integer({ min: 0, max: row.bits - 1 })
    : /div|mod/.test(row.op)
      ? immediate.map((value) => (value === 0 ? 3 : value))
      : immediate
  const place = fc.integer({ min: 1, max: (STACK_SLOTS * 8) / bytes }).map((i) => -i * bytes)
  return fc
    .record({
      dst: touchesMemory && !isLoad ? fc.constant(10) : register,
      src: row.src === 'reg' ? (isLoad ? fc.constant(10) : register) : fc.constant(row.src ?? 0),
      offset: touchesMemory
        ? place
        : row.offset === 'jump'
          ? fc.integer({ min: 0, max: 3 })
          : fc.constant((row.offset ?? 0) as number),
      imm: row.imm === 'imm' ? imm : fc.constant((row.imm ?? 0) as number),
    })
    .map((fields) => instruction({ opcode: row.opcode, ...fields }))
}

const arbitraries = (rows as readonly Row[]).flatMap((row) => {
  const arbitrary = bodyInstruction(row)
  return arbitrary === undefined ? [] : [{ arbitrary, weight: row.kind === 'jump' ? 1 : 3 }]
})
/** Three harmless instructions at the end are where the last jumps may land. */
const body = fc
  .array(fc.oneof(...arbitraries), { minLength: 1, maxLength: 40 })
  .map((instructions) => [...instructions, ...assembled(['r0 ^= 1', 'r0 ^= 2', 'r0 ^= 4'])])
const packet = fc
  .array(
    fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.constantFrom(0n, 1n, 2n ** 64n - 1n, 2n ** 63n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 63n - 1n),
    ),
    { minLength: PACKET_BYTES / 8, maxLength: PACKET_BYTES / 8 },
  )
  .map((words) => new Uint8Array(BigUint64Array.from(words).buffer))

function interpret(program: Program, data: Uint8Array): number | undefined {
  const arena = new Arena()
  const offset = arena.allocate(data.length)!
  arena.bytes.set(data, offset)
  const interpreter = new Interpreter(arena, { helper: () => undefined })
  const result = interpreter.run(prepare(program), arena.address(offset))
  return result.ok ? Number(BigInt.asUintN(32, result.value)) : undefined
}

describe('random programs', () => {
  const skip = typeof oracle === 'string'
  it.skipIf(skip)(`give what Linux's JIT gives${skip ? ` (skipped: ${oracle})` : ''}`, () => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
    const count = Number(process.env.PROGRAMS ?? 400)
    const cases = fc.sample(fc.tuple(body, packet), { seed, numRuns: count })
    const answers = (oracle as LinuxOracle).ask(
      cases.map(([program, data]) => ({
        program: [...linuxPrologue, ...program, ...epilogue],
        programType: XDP,
        data,
      })),
    )
    const refused = answers.filter(({ errno }) => errno !== 0)
    expect(refused.map(({ message }) => message)).toEqual([])
    for (const [i, [program, data]] of cases.entries()) {
      const found = interpret([...ourPrologue, ...program, ...epilogue], data)
      expect(
        found,
        `seed ${seed}, program ${i}:\n${disassemble(program)}\non ${Buffer.from(data).toString('hex')}`,
      ).toBe(answers[i]!.returned)
    }
  })
})
