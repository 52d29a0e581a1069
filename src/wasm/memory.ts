/**
 * The memory instructions as typed functions over code: loads, stores, bulk operations and atomics.
 *
 * `address + offset` is the effective address in 33 bits: it does not wrap. Every access is encoded with its
 * natural alignment as the hint; plain accesses may be misaligned all the same, atomic ones trap.
 *
 * Source: WebAssembly Core Specification 2.0, 5.4.6 (Memory Instructions); threads proposal, Binary Format.
 */
import type { Code, Node, ValueType } from './code.ts'
import { unsignedLeb128 } from './leb128.ts'

type Load<R extends ValueType> = (address: Code<'i32'>, offset?: number) => Code<R>
type Store<A extends ValueType> = (address: Code<'i32'>, value: Code<A>, offset?: number) => Code
type Rmw<A extends ValueType> = (address: Code<'i32'>, value: Code<A>, offset?: number) => Code<A>

/** Opcode bytes and log2 of the access's size. */
type Row = readonly [opcode: readonly number[], sizeLog2: number]

const access =
  <F extends (...operands: never[]) => Node>() =>
  <N extends string>(rows: Readonly<Record<N, Row>>): { readonly [K in N]: F } =>
    Object.fromEntries(
      Object.entries<Row>(rows).map(([name, [opcode, sizeLog2]]) => [
        name,
        (...operands: (Node | number | undefined)[]): Node => {
          const last = operands.at(-1)
          const hasOffset = typeof last !== 'object'
          if (hasOffset) operands.pop()
          const immediates = unsignedLeb128(hasOffset ? (last ?? 0) : 0, [...opcode, sizeLog2])
          return [operands as Node[], immediates]
        },
      ]),
    ) as unknown as { readonly [K in N]: F }

/** Loads that leave an i32, by the bits read and how they are extended. */
export const load32 = access<Load<'i32'>>()({
  u8: [[0x2d], 0],
  s8: [[0x2c], 0],
  u16: [[0x2f], 1],
  s16: [[0x2e], 1],
  full: [[0x28], 2],
})

/** Loads that leave an i64. */
export const load64 = access<Load<'i64'>>()({
  u8: [[0x31], 0],
  s8: [[0x30], 0],
  u16: [[0x33], 1],
  s16: [[0x32], 1],
  u32: [[0x35], 2],
  s32: [[0x34], 2],
  full: [[0x29], 3],
})

/** Stores of the low bits of an i32. */
export const store32 = access<Store<'i32'>>()({
  low8: [[0x3a], 0],
  low16: [[0x3b], 1],
  full: [[0x36], 2],
})

/** Stores of the low bits of an i64. */
export const store64 = access<Store<'i64'>>()({
  low8: [[0x3c], 0],
  low16: [[0x3d], 1],
  low32: [[0x3e], 2],
  full: [[0x37], 3],
})

export const memory = {
  /** The size in pages of 65,536 bytes. */
  size: (): Code<'i32'> => [0x3f, 0x00] as Node as Code<'i32'>,
  /** Grows by pages; leaves the old size, or -1. */
  grow: (pages: Code<'i32'>): Code<'i32'> => [pages, 0x40, 0x00] as Node as Code<'i32'>,
  /** Copies bytes; the ranges may overlap. */
  copy: (to: Code<'i32'>, from: Code<'i32'>, sizeBytes: Code<'i32'>): Code =>
    [to, from, sizeBytes, 0xfc, 0x0a, 0x00, 0x00] as Node as Code,
  fill: (to: Code<'i32'>, byte: Code<'i32'>, sizeBytes: Code<'i32'>): Code =>
    [to, byte, sizeBytes, 0xfc, 0x0b, 0x00] as Node as Code,
}

/** The rows of one read-modify-write operator; the seven widths follow each other in the opcode space. */
const rmw = (first: number) => ({
  i32: access<Rmw<'i32'>>()({
    full: [[0xfe, first], 2],
    low8: [[0xfe, first + 2], 0],
    low16: [[0xfe, first + 3], 1],
  }),
  i64: access<Rmw<'i64'>>()({
    full: [[0xfe, first + 1], 3],
    low8: [[0xfe, first + 4], 0],
    low16: [[0xfe, first + 5], 1],
    low32: [[0xfe, first + 6], 2],
  }),
})

type Exchange<A extends ValueType> = (
  address: Code<'i32'>,
  expected: Code<A>,
  replacement: Code<A>,
  offset?: number,
) => Code<A>

/** Sequentially consistent accesses. A read-modify-write leaves the old value, zero-extended. */
export const atomic = {
  fence: (): Code => [0xfe, 0x03, 0x00] as Node as Code,
  load32: access<Load<'i32'>>()({ full: [[0xfe, 0x10], 2], u8: [[0xfe, 0x12], 0], u16: [[0xfe, 0x13], 1] }),
  load64: access<Load<'i64'>>()({
    full: [[0xfe, 0x11], 3],
    u8: [[0xfe, 0x14], 0],
    u16: [[0xfe, 0x15], 1],
    u32: [[0xfe, 0x16], 2],
  }),
  store32: access<Store<'i32'>>()({
    full: [[0xfe, 0x17], 2],
    low8: [[0xfe, 0x19], 0],
    low16: [[0xfe, 0x1a], 1],
  }),
  store64: access<Store<'i64'>>()({
    full: [[0xfe, 0x18], 3],
    low8: [[0xfe, 0x1b], 0],
    low16: [[0xfe, 0x1c], 1],
    low32: [[0xfe, 0x1d], 2],
  }),
  add: rmw(0x1e),
  sub: rmw(0x25),
  and: rmw(0x2c),
  or: rmw(0x33),
  xor: rmw(0x3a),
  exchange: rmw(0x41),
  compareExchange32: access<Exchange<'i32'>>()({
    full: [[0xfe, 0x48], 2],
    low8: [[0xfe, 0x4a], 0],
    low16: [[0xfe, 0x4b], 1],
  }),
  compareExchange64: access<Exchange<'i64'>>()({
    full: [[0xfe, 0x49], 3],
    low8: [[0xfe, 0x4c], 0],
    low16: [[0xfe, 0x4d], 1],
    low32: [[0xfe, 0x4e], 2],
  }),
}
