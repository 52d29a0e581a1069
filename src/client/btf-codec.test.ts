import { describe, expect, test } from 'vitest'
import { Btf } from '../btf/index.ts'
import { type BtfCodecOptions, type BtfValue, btfCodec } from './btf-codec.ts'
import { decodeWith, encodeWith } from './codec.ts'
import { BtfBuilder } from './testing/btf-builder.ts'

const builder = new BtfBuilder()
const t = {
  u8: builder.int('unsigned char', 1),
  char: builder.int('char', 1, 1),
  s16: builder.int('short', 2, 1),
  u32: builder.int('unsigned int', 4),
  s32: builder.int('int', 4, 1),
  u64: builder.int('unsigned long long', 8),
  s64: builder.int('long long', 8, 1),
  u128: builder.int('unsigned __int128', 16),
  bool: builder.int('_Bool', 1, 4),
  f64: builder.float('double', 8),
}
const color = builder.enumeration('color', { RED: 0, GREEN: 1, BLUE: -1 }, true)
const wide = builder.enumeration64('wide', { LOW: 1n, HIGH: 1n << 40n })
const pid = builder.typedef('pid_t', builder.typedef('kernel_pid_t', t.s32))
const name16 = builder.array(t.char, 16)
const mac = builder.array(t.u8, 6)
const grid = builder.array(builder.array(t.s16, 2), 3)
const inner = builder.struct('', 8, [
  ['x', t.u32, 0],
  ['y', t.u32, 4],
])
const either = builder.union('either', 8, [
  ['whole', t.u64, 0],
  ['halves', builder.array(t.u32, 2), 0],
])
const event = builder.struct('event', 40, [
  ['pid', pid, 0],
  ['comm', name16, 4],
  ['', inner, 24],
  ['u', either, 32],
])
const bits = builder.struct('bits', 8, [
  ['a', t.u32, 0, 3],
  ['b', t.s32, 3, 7],
  ['flag', t.bool, 10, 1],
  ['c', t.u64, 11, 40],
])
const opaque = builder.forward('opaque')
const pointer = builder.pointer(opaque)
const btf = Btf.parse(builder.build()) as Btf

function codec(type: number, options?: BtfCodecOptions) {
  const id = btf.id(type)
  const found = id === undefined ? undefined : btfCodec(btf, id, options)
  if (found === undefined) throw new Error(`type ${type} has no codec`)
  return found
}

describe('a value survives the way to bytes and back', () => {
  test.each<[string, number, BtfValue, string]>([
    ['u8', t.u8, 200, 'c8'],
    ['s16', t.s16, -2, 'feff'],
    ['u32', t.u32, 0xffff_fffe, 'feffffff'],
    ['s32 through typedefs', pid, -2, 'feffffff'],
    ['u64', t.u64, 0xffff_ffff_ffff_ffffn, 'ffffffffffffffff'],
    ['s64', t.s64, -2n, 'feffffffffffffff'],
    ['u128', t.u128, (1n << 64n) + 5n, '05000000000000000100000000000000'],
    ['bool', t.bool, true, '01'],
    ['double', t.f64, 1.5, '000000000000f83f'],
    ['enum', color, -1, 'ffffffff'],
    ['enum64', wide, 1n << 40n, '0000000000010000'],
    ['pointer', pointer, 0xffff_ffc0_0000_1234n, '34120000c0ffffff'],
    ['char[16]', name16, 'sh', '73680000000000000000000000000000'],
    ['unsigned char[6]', mac, Uint8Array.of(1, 2, 3, 4, 5, 6), '010203040506'],
    [
      'short[3][2]',
      grid,
      [
        [1, 2],
        [3, 4],
        [-1, 0],
      ],
      '0100020003000400ffff0000',
    ],
    [
      'bit fields',
      bits,
      { a: 5, b: -3, flag: true, c: 0x80_0000_0001n },
      // a = 101, b = 1111101, flag = 1, then 40 bits.
      'ed0f000000000400',
    ],
  ])('%s', (_name, type, value, bytes) => {
    const encoded = encodeWith(codec(type), value)
    expect(Buffer.from(encoded).toString('hex')).toBe(bytes)
    expect(decodeWith(codec(type), encoded)).toEqual(value)
  })
})

test('a struct reads with the members of its anonymous members, a union with every view', () => {
  const bytes = encodeWith(codec(event), { pid: 7, comm: 'cat', x: 1, y: 2, u: { whole: 0x2_0000_0001n } })
  expect(decodeWith(codec(event), bytes)).toEqual({
    pid: 7,
    comm: 'cat',
    x: 1,
    y: 2,
    u: { whole: 0x2_0000_0001n, halves: [1, 2] },
  })
})

test('enums read as names and char arrays as bytes where asked', () => {
  expect(decodeWith(codec(color, { enums: 'name' }), Uint8Array.of(1, 0, 0, 0))).toBe('GREEN')
  expect(decodeWith(codec(color, { enums: 'name' }), Uint8Array.of(9, 0, 0, 0))).toBe(9)
  expect(encodeWith(codec(color), 'BLUE')).toEqual(Uint8Array.of(255, 255, 255, 255))
  expect(decodeWith(codec(name16, { charArrays: 'bytes' }), new Uint8Array(16))).toEqual(new Uint8Array(16))
})

test('what is written over keeps the members that are not given', () => {
  const target = encodeWith(codec(event), { pid: 7, x: 1 })
  codec(event).set(new DataView(target.buffer), 0, { y: 5 })
  expect(decodeWith(codec(event), target)).toMatchObject({ pid: 7, x: 1, y: 5 })
})

describe('a value that does not fit says where and why', () => {
  test.each<[string, number, BtfValue, string]>([
    ['too large', t.u8, 256, '256 does not fit 8 bits'],
    ['too small', t.s32, -(2 ** 31) - 1, '-2147483649 does not fit 32 bits'],
    ['no integer', t.u32, 1.5, 'expected an integer, found number 1.5'],
    ['no boolean', t.bool, 2, 'expected true or false, found number 2'],
    ['unknown enumerator', color, 'PINK', "'PINK' is no value of enum color: RED, GREEN, BLUE"],
    ['short array', grid, [[1, 2]], 'expected an array of 3 elements, found an array of 1 elements'],
    [
      'deep inside',
      grid,
      [
        [1, 2],
        [3, 'x'],
        [0, 0],
      ],
      '[1][1]: expected an integer, found string x',
    ],
    ['unknown member', event, { pidd: 1 }, "there is no member 'pidd', only pid, comm, x, y, u"],
    ['member', event, { u: { whole: -1.5 } }, '.u.whole: expected an integer, found number -1.5'],
    [
      'wrong size of bytes',
      mac,
      Uint8Array.of(1),
      'expected a Uint8Array of 6 bytes, found a Uint8Array of 1 bytes',
    ],
  ])('%s', (_name, type, value, message) => {
    expect(() => encodeWith(codec(type), value)).toThrow(new TypeError(message))
  })
})

test('a type without a size has no codec', () => {
  expect(btfCodec(btf, btf.id(opaque)!)).toBeUndefined()
  expect(btfCodec(btf, btf.id(0)!)).toBeUndefined()
})
