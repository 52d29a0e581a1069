/**
 * One 8-byte slot of a program.
 *
 * ```text
 *   byte 0     byte 1          bytes 2..3      bytes 4..7
 * +----------+-------+-------+----------------+--------------------------------+
 * | opcode 8 | dst 4 | src 4 | offset 16      | imm 32                         |
 * +----------+-------+-------+----------------+--------------------------------+
 *              low     high    signed           signed
 * ```
 *
 * A program is an array with one element per slot, so an index in the array is Linux's instruction index and
 * jump distances are plain index arithmetic. The 64-bit immediate load (opcode 0x18) takes two slots: the
 * first holds the low half in `imm`, the second is an instruction with opcode 0 whose `imm` is the high half.
 * Keeping both lets a malformed program (half a wide instruction, a jump into the second half) be written down,
 * encoded, and refused with Linux's message. {@link wideImmediate} reads the two halves as one number.
 *
 * Source: RFC 9669, sections 3 and 5.4.
 */
export interface Instruction {
  /** 0 to 255. */
  readonly opcode: number
  /** 0 to 15; a valid register is at most 10. */
  readonly dst: number
  /** 0 to 15; a register, or a sub-code (calls, 64-bit immediates). */
  readonly src: number
  /** Signed 16 bits: a displacement in bytes, a jump distance in slots, or a sub-code. */
  readonly offset: number
  /** Signed 32 bits. */
  readonly imm: number
}

export type Program = readonly Instruction[]

/** An instruction from its named fields; those left out are 0, and `imm` may be given signed or unsigned. */
export function instruction(fields: Partial<Instruction> & { opcode: number }): Instruction {
  return {
    opcode: fields.opcode,
    dst: fields.dst ?? 0,
    src: fields.src ?? 0,
    offset: fields.offset ?? 0,
    imm: (fields.imm ?? 0) | 0,
  }
}

/** The two slots of a 64-bit immediate load; `src` says what the value stands for (`WIDE_SOURCE`). */
export function wideInstruction(dst: number, src: number, value: bigint): [Instruction, Instruction] {
  return [
    { opcode: 0x18, dst, src, offset: 0, imm: Number(BigInt.asIntN(32, value)) },
    { opcode: 0, dst: 0, src: 0, offset: 0, imm: Number(BigInt.asIntN(32, value >> 32n)) },
  ]
}

/** Does the slot at `index` begin a 64-bit immediate load, whose other half is the next slot? */
export const isWide = (insn: Instruction | undefined): boolean => insn?.opcode === 0x18

/** The unsigned 64-bit value of the wide instruction at `index`; a missing second slot counts as 0. */
export function wideImmediate(program: Program, index: number): bigint {
  const low = BigInt((program[index]?.imm ?? 0) >>> 0)
  const high = BigInt((program[index + 1]?.imm ?? 0) >>> 0)
  return (high << 32n) | low
}
