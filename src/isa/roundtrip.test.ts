import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assemble } from './assembler.ts'
import { decode, encode } from './codec.ts'
import { disassemble } from './disassembler.ts'
import { type Instruction, wideInstruction } from './instruction.ts'
import { rowOf } from './lookup.ts'
import type { Row } from './row.ts'
import { rows } from './rows.ts'

const register = fc.integer({ min: 0, max: 10 })
const int16 = fc.integer({ min: -0x8000, max: 0x7fff })
const int32 = fc.integer({ min: -0x80000000, max: 0x7fffffff })

/** An instruction of `row` with arbitrary operands. */
function instructionOf(row: Row): fc.Arbitrary<Instruction[]> {
  const field = (spec: string | number | undefined, values: fc.Arbitrary<number>) =>
    typeof spec === 'string' ? values : fc.constant(spec ?? 0)
  const slot = fc.record({
    opcode: fc.constant(row.opcode),
    dst: field(row.dst, register),
    src: field(row.src, register),
    offset: field(row.offset, row.offset === 'btf' ? fc.integer({ min: 0, max: 0x7fff }) : int16),
    imm: field(row.imm, int32),
  })
  if (row.kind !== 'wide') return slot.map((insn) => [insn])
  const high = row.high === 'imm' ? int32 : fc.constant(0)
  return fc
    .tuple(slot, high)
    .map(([{ dst, src, imm }, upper]) =>
      wideInstruction(dst, src, (BigInt(upper) << 32n) | BigInt.asUintN(32, BigInt(imm))),
    )
}

const program = fc
  .array(fc.oneof(...rows.map(instructionOf)), { minLength: 1, maxLength: 40 })
  .map((parts) => parts.flat())

/** Any eight bytes, most of them no instruction. */
const slots = fc.array(
  fc.record({
    opcode: fc.integer({ min: 0, max: 255 }),
    dst: fc.integer({ min: 0, max: 15 }),
    src: fc.integer({ min: 0, max: 15 }),
    offset: int16,
    imm: int32,
  }),
  { minLength: 1, maxLength: 40 },
)

const assembled = (text: string) => {
  const result = assemble(text)
  return result.ok ? result.program : result.errors
}

describe('round trips', () => {
  it.each([false, true])('decode(encode(p)) is p, big-endian %s', (bigEndian) => {
    fc.assert(
      fc.property(fc.oneof(program, slots), (p) => {
        expect(decode(encode(p, { bigEndian }), { bigEndian })).toEqual({ ok: true, program: p })
      }),
    )
  })

  it('assemble(disassemble(p)) is p for programs drawn from the table', () => {
    fc.assert(
      fc.property(program, fc.boolean(), (p, numbered) => {
        expect(assembled(disassemble(p, { numbered }))).toEqual(p)
      }),
      { numRuns: 300 },
    )
  })

  it('assemble(disassemble(p)) is p for arbitrary bytes', () => {
    fc.assert(
      fc.property(slots, (p) => {
        expect(assembled(disassemble(p))).toEqual(p)
      }),
      { numRuns: 300 },
    )
  })

  it('the same in clang syntax, but for the forms that it keeps in relocations', () => {
    const lossy = new Set(
      rows.filter((row: Row) => row.llvm?.match(/\{I\}|call|skb/)).map(({ name }) => name),
    )
    const direct = fc
      .array(fc.oneof(...rows.filter((row) => !lossy.has(row.name)).map(instructionOf)), {
        minLength: 1,
        maxLength: 40,
      })
      .map((parts) => parts.flat())
    fc.assert(
      fc.property(direct, (p) => {
        expect(assembled(disassemble(p, { flavour: 'llvm' }))).toEqual(p)
      }),
      { numRuns: 300 },
    )
  })

  it('finds the row of everything it draws', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...rows).chain((row) => fc.tuple(fc.constant(row), instructionOf(row))),
        ([row, [insn]]) => {
          expect(rowOf(insn!)?.name).toBe(row.name)
        },
      ),
    )
  })
})

describe('decode', () => {
  it('says how many bytes are left over', () => {
    const result = decode(new Uint8Array(19))
    expect(result).toMatchObject({ ok: false, error: { kind: 'truncated-program', length: 19, trailing: 3 } })
  })

  it('reads a program from the middle of a buffer', () => {
    const bytes = new Uint8Array(24)
    bytes.set(encode([{ opcode: 0xb7, dst: 1, src: 0, offset: -1, imm: -2 }]), 8)
    expect(decode(bytes.subarray(8, 16))).toEqual({
      ok: true,
      program: [{ opcode: 0xb7, dst: 1, src: 0, offset: -1, imm: -2 }],
    })
  })
})
