/** Objects as GCC with GNU as, and as Rust, make them; built here byte by byte. The compilers' own: test/compilers. */
import { describe, expect, test } from 'vitest'
import { BTF_KIND, BTF_LINKAGE, Btf } from '../../btf/index.ts'
import { R_BPF, SHF, STB, STT } from '../../elf/index.ts'
import { type BuiltSection, buildObject, code, comment } from '../../elf/testing/object-builder.ts'
import { assembled } from '../../isa/testing/assembled.ts'
import { BtfBuilder } from '../testing/btf-builder.ts'
import { type CollectionSpec, ObjectError, openObject } from './index.ts'

const GNU_DATA_64 = 12
const WIDE = R_BPF['64_64']
const CALL = R_BPF['64_32']

function opened(bytes: Uint8Array): CollectionSpec {
  const spec = openObject(bytes)
  if (spec instanceof ObjectError) throw new Error(spec.message)
  return spec
}

describe('GNU as up to 2.40 counts the place of a symbol twice', () => {
  /** `second` is at 8 of .data, `helper` at 16 of .text: the instructions hold the place, and what is added to it. */
  const program = code(
    'xdp',
    assembled('r1 = 8 ll', 'r2 = 12 ll', 'r3 = 4 ll', 'call pc+15', 'r0 = 0', 'exit'),
    [
      { offset: 0, type: WIDE, symbol: 'second' },
      { offset: 16, type: WIDE, symbol: 'second' },
      { offset: 32, type: WIDE, symbol: '.data' },
      { offset: 48, type: CALL, symbol: 'helper' },
    ],
  )
  const text = code('.text', assembled('r0 = 1', 'exit', 'r0 = 2', 'exit'))
  const object = (...more: BuiltSection[]) =>
    buildObject(
      [program, text, { name: '.data', data: new Uint8Array(24) }, ...more],
      [
        { name: 'first', section: '.data', size: 8, type: STT.OBJECT },
        { name: 'second', section: '.data', value: 8, size: 16, type: STT.OBJECT },
        { name: 'other', section: '.text', size: 16, type: STT.FUNC },
        { name: 'helper', section: '.text', value: 16, size: 16, type: STT.FUNC },
        { name: 'main', section: 'xdp', size: program.data.length, type: STT.FUNC },
      ],
    )

  const once = [
    { kind: 'mapValue', map: '.data', offset: 8 },
    { kind: 'mapValue', map: '.data', offset: 12 },
    { kind: 'mapValue', map: '.data', offset: 4 },
    { kind: 'call', name: 'helper' },
  ]
  test('and of GCC 12 it is known', () => {
    expect(opened(object(comment('12.2.0'))).programs[0]?.relocations).toMatchObject(once)
  })

  test('of a later GCC where data is relocated with its numbers', () => {
    const table = {
      name: '.rodata',
      data: new Uint8Array(8),
      relocations: [{ offset: 0, type: GNU_DATA_64, symbol: 'first' }],
    }
    expect(opened(object(comment('13.1.0'), table)).programs[0]?.relocations).toMatchObject(once)
  })

  test.each([
    ['later', [comment('14.2.0')]],
    [
      'with the numbers of LLVM',
      [
        comment('12.2.0'),
        { name: '.rodata', data: new Uint8Array(8), relocations: [{ offset: 0, type: 2, symbol: 'first' }] },
      ],
    ],
    ['of another compiler', []],
  ] as const)('and it is not said of one that is %s', (_, more) => {
    const found = openObject(object(...more))
    // So far behind its start there is no function.
    expect(String(found)).toMatch(/expected the start of a function, found offset 144 of section '.text'/)
  })
})

describe('a map that has a name is meant as a whole', () => {
  const program = code('xdp', assembled('r1 = 28 ll', 'r2 = 28 ll', 'r0 = 0', 'exit'), [
    { offset: 0, type: WIDE, symbol: 'TWO' },
    { offset: 16, type: WIDE, symbol: 'maps' },
  ])
  const definitions = new Uint8Array(56)
  const view = new DataView(definitions.buffer)
  for (const at of [0, 28]) for (const [i, n] of [2, 4, 8, 1].entries()) view.setUint32(at + i * 4, n, true)

  test('whatever the instruction holds; behind the start of a section it is counted', () => {
    const bytes = buildObject(
      [program, { name: 'maps', data: definitions }],
      [
        { name: 'ONE', section: 'maps', size: 28, type: STT.OBJECT },
        { name: 'TWO', section: 'maps', value: 28, size: 28, type: STT.OBJECT },
        { name: 'main', section: 'xdp', size: program.data.length, type: STT.FUNC },
      ],
    )
    expect(opened(bytes).programs[0]?.relocations).toMatchObject([
      { kind: 'map', map: 'TWO' },
      { kind: 'map', map: 'TWO' },
    ])
  })
})

describe('types for the kernel', () => {
  const program = code('xdp', assembled('r0 = 0', 'exit'))
  const typesOf = (btf: Uint8Array, more: readonly BuiltSection[] = [], symbols: readonly object[] = []) => {
    const bytes = buildObject(
      [program, { name: '.BTF', data: btf, flags: 0 }, ...more],
      [{ name: 'main', section: 'xdp', size: 16, type: STT.FUNC }, ...(symbols as [])],
    )
    const types = Btf.parse(opened(bytes).kernelBtf as Uint8Array)
    if (!(types instanceof Btf)) throw new Error(types.message)
    return types
  }

  test('static variables of GCC, all at 0, are where their symbols are', () => {
    const builder = new BtfBuilder()
    const int = builder.int('int', 4, 1)
    const [a, b] = ['a', 'b'].map((name) => builder.variable(name, int, BTF_LINKAGE.STATIC)) as [
      number,
      number,
    ]
    const section = builder.dataSection('.data', 0, [
      [b, 0, 4],
      [a, 0, 4],
    ])
    const local = { section: '.data', size: 4, type: STT.OBJECT, binding: STB.LOCAL }
    const types = typesOf(
      builder.build(),
      [{ name: '.data', data: new Uint8Array(8), flags: SHF.ALLOC | SHF.WRITE }],
      [
        { ...local, name: 'a' },
        { ...local, name: 'b', value: 4 },
      ],
    )
    const found = types.typeById(types.id(section) as never)
    expect(found).toMatchObject({
      kind: BTF_KIND.DATASEC,
      size: 8,
      variables: [
        { type: a, offset: 0 },
        { type: b, offset: 4 },
      ],
    })
  })
})

test('a ring buffer of aya says the type of its records, and no size', () => {
  const builder = new BtfBuilder()
  const u64 = builder.int('u64', 8)
  const number = (value: number) => builder.pointer(builder.array(u64, value))
  const struct = builder.struct('RingBuf<u64, 4096, 0>', 32, [
    ['type', number(27), 0],
    ['value', builder.pointer(u64), 8],
    ['max_entries', number(4096), 16],
    ['value_size', number(0), 24],
  ])
  builder.dataSection('.maps', 0, [[builder.variable('RING_BUF', struct), 0, 32]])
  const bytes = buildObject(
    [
      { name: '.BTF', data: builder.build(), flags: 0 },
      { name: '.maps', data: new Uint8Array(32) },
    ],
    [{ name: 'RING_BUF', section: '.maps', size: 32, type: STT.OBJECT }],
  )
  expect(opened(bytes).maps).toMatchObject([{ name: 'RING_BUF', type: 27, maxEntries: 4096 }])
})
