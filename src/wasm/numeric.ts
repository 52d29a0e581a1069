/**
 * The integer instructions as typed functions over code, from tables of opcodes.
 *
 * Source: WebAssembly Core Specification 2.0, 5.4.8 (Numeric Instructions).
 */
import type { Code, Node, ValueType } from './code.ts'
import { signedLeb128, signedLeb128Big } from './leb128.ts'

export type UnaryTable<A extends ValueType, R extends ValueType, N extends string> = {
  readonly [K in N]: (a: Code<A>) => Code<R>
}

export type BinaryTable<A extends ValueType, R extends ValueType, N extends string> = {
  readonly [K in N]: (a: Code<A>, b: Code<A>) => Code<R>
}

const unary =
  <A extends ValueType, R extends ValueType>() =>
  <N extends string>(rows: Readonly<Record<N, number>>): UnaryTable<A, R, N> =>
    Object.fromEntries(
      Object.entries<number>(rows).map(([name, opcode]) => [name, (a: Node) => [a, opcode]]),
    ) as unknown as UnaryTable<A, R, N>

const binary =
  <A extends ValueType, R extends ValueType>() =>
  <N extends string>(rows: Readonly<Record<N, number>>): BinaryTable<A, R, N> =>
    Object.fromEntries(
      Object.entries<number>(rows).map(([name, opcode]) => [name, (a: Node, b: Node) => [a, b, opcode]]),
    ) as unknown as BinaryTable<A, R, N>

export const i32 = {
  /** A 32-bit integer, signed or as the unsigned number of its bit pattern. */
  const: (value: number) => signedLeb128(value, [0x41]) as Node as Code<'i32'>,
  ...unary<'i32', 'i32'>()({
    eqz: 0x45,
    clz: 0x67,
    ctz: 0x68,
    popcnt: 0x69,
    extend8_s: 0xc0,
    extend16_s: 0xc1,
  }),
  ...unary<'i64', 'i32'>()({ wrap_i64: 0xa7 }),
  ...binary<'i32', 'i32'>()({
    eq: 0x46,
    ne: 0x47,
    lt_s: 0x48,
    lt_u: 0x49,
    gt_s: 0x4a,
    gt_u: 0x4b,
    le_s: 0x4c,
    le_u: 0x4d,
    ge_s: 0x4e,
    ge_u: 0x4f,
    add: 0x6a,
    sub: 0x6b,
    mul: 0x6c,
    div_s: 0x6d,
    div_u: 0x6e,
    rem_s: 0x6f,
    rem_u: 0x70,
    and: 0x71,
    or: 0x72,
    xor: 0x73,
    shl: 0x74,
    shr_s: 0x75,
    shr_u: 0x76,
    rotl: 0x77,
    rotr: 0x78,
  }),
}

export const i64 = {
  /** A 64-bit integer, signed or as the unsigned number of its bit pattern. */
  const: (value: bigint) => signedLeb128Big(value, [0x42]) as Node as Code<'i64'>,
  ...unary<'i64', 'i64'>()({
    clz: 0x79,
    ctz: 0x7a,
    popcnt: 0x7b,
    extend8_s: 0xc2,
    extend16_s: 0xc3,
    extend32_s: 0xc4,
  }),
  ...unary<'i64', 'i32'>()({ eqz: 0x50 }),
  ...unary<'i32', 'i64'>()({ extend_i32_s: 0xac, extend_i32_u: 0xad }),
  ...binary<'i64', 'i32'>()({
    eq: 0x51,
    ne: 0x52,
    lt_s: 0x53,
    lt_u: 0x54,
    gt_s: 0x55,
    gt_u: 0x56,
    le_s: 0x57,
    le_u: 0x58,
    ge_s: 0x59,
    ge_u: 0x5a,
  }),
  ...binary<'i64', 'i64'>()({
    add: 0x7c,
    sub: 0x7d,
    mul: 0x7e,
    div_s: 0x7f,
    div_u: 0x80,
    rem_s: 0x81,
    rem_u: 0x82,
    and: 0x83,
    or: 0x84,
    xor: 0x85,
    shl: 0x86,
    shr_s: 0x87,
    shr_u: 0x88,
    rotl: 0x89,
    rotr: 0x8a,
  }),
}
