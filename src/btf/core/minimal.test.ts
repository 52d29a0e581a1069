/** What of a kernel's types is kept, that of split BTF only its own types are written, and what each bad record answers. */
import { describe, expect, test } from 'vitest'
import {
  BTF_KIND,
  Btf,
  type BtfId,
  BtfWriter,
  type CoreRelocation,
  dumpRaw,
  type NewBtfType,
} from '../index.ts'
import { CORE_KIND, CoreError, type CoreObject, minimalTypes } from './index.ts'

const id = (n: number) => n as BtfId
const int: NewBtfType = {
  kind: BTF_KIND.INT,
  name: 'int',
  size: 4,
  bits: 32,
  bitOffset: 0,
  isSigned: true,
  isChar: false,
  isBool: false,
}
const struct = (name: string, members: Record<string, number>): NewBtfType => ({
  kind: BTF_KIND.STRUCT,
  name,
  size: Object.keys(members).length * 4,
  members: Object.entries(members).map(([member, type], i) => ({
    name: member,
    type: id(type),
    bitOffset: i * 32,
    bitSize: 0,
  })),
})

function btf(base: Btf | undefined, ...types: NewBtfType[]): Btf {
  const writer = new BtfWriter(base === undefined ? {} : { base })
  for (const type of types) writer.add(type)
  return parse(writer.finish(), base)
}

function parse(bytes: unknown, base?: Btf): Btf {
  if (!(bytes instanceof Uint8Array)) throw new Error(String(bytes))
  const parsed = Btf.parse(bytes, base)
  if (!(parsed instanceof Btf)) throw new Error(parsed.message)
  return parsed
}

const record = (kind: number, type: number, access: string, instructionOffset = 0): CoreRelocation => ({
  kind,
  type: id(type),
  access,
  accessOffset: 0,
  instructionOffset,
})

const object = (types: Btf, ...records: CoreRelocation[]): CoreObject => ({
  btf: types,
  relocations: [{ section: 'kprobe/x', records }],
})

const OFFSET = CORE_KIND.FIELD_BYTE_OFFSET
const local = btf(undefined, int, struct('s', { a: 1, b: 1 }), struct('', { a: 1 }), struct('t', { c: 1 }))

test('members that are accessed are kept, others are not', () => {
  const target = btf(undefined, struct('t', { c: 2 }), int, struct('s', { b: 2, x: 2, a: 2 }))
  const few = parse(minimalTypes(target, [object(local, record(OFFSET, 2, '0:0'))]))
  expect(dumpRaw(few).map((line) => line.trim())).toEqual([
    "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED",
    "[2] STRUCT 's' size=12 vlen=1",
    "'a' type_id=1 bits_offset=64",
  ])
})

describe('split types', () => {
  const kernel = btf(undefined, struct('unused', {}), int, struct('t', { c: 2 }))
  const module = btf(kernel, struct('gone', { z: 2 }), struct('s', { b: 2, a: 5 }), {
    kind: BTF_KIND.TYPEDEF,
    name: 'number',
    type: id(2),
  } as NewBtfType)

  test("continue the same base, whose types keep their ids and the module's get new ones", () => {
    const shape = btf(kernel, struct('gone', { z: 2 }), struct('s', { b: 2, a: 6 }), {
      kind: BTF_KIND.TYPEDEF,
      name: 'number',
      type: id(2),
    } as NewBtfType)
    const few = parse(minimalTypes(shape, [object(local, record(OFFSET, 2, '0:0'))]), kernel)
    expect(few.firstId).toBe(kernel.typeCount)
    expect(few.typeCount - few.firstId).toBe(2)
    const s = few.typeById(few.find('s') as BtfId)
    const number = few.typeById(few.find('number') as BtfId)
    expect(s).toMatchObject({ id: 4, size: 8, members: [{ name: 'a', type: 5, bitOffset: 32 }] })
    expect(number).toMatchObject({ id: 5, type: 2 })
    expect(few.find('gone')).toBeUndefined()
  })

  test('hold nothing of what is found in the base', () => {
    const few = parse(minimalTypes(module, [object(local, record(OFFSET, 4, '0:0'))]), kernel)
    expect(few.typeCount).toBe(kernel.typeCount)
  })
})

describe('a bad record is an error that says where it is', () => {
  const target = btf(undefined, int, struct('s', { a: 1, b: 1 }))
  const good = record(OFFSET, 2, '0:0')
  test.each([
    ['an access outside the type', record(OFFSET, 2, '0:2', 7), 'bad-record', '[2] struct s + 0:2'],
    ['an access that is none', record(OFFSET, 2, '0:', 7), 'bad-record', '[2] struct s + 0:'],
    ['no access', record(OFFSET, 2, '', 7), 'bad-record', '[2] struct s + '],
    ['a kind that is none', record(13, 2, '0', 7), 'bad-record', 'found 13'],
    ['a type id in the object with steps', record(CORE_KIND.TYPE_ID_LOCAL, 2, '0:0', 7), 'bad-record', "'0'"],
    ['a constant of a struct', record(CORE_KIND.ENUMVAL_VALUE, 2, '0', 7), 'bad-record', 'an enum'],
    ['a nameless type', record(OFFSET, 3, '0:0', 7), 'anonymous-type', 'a type with a name'],
    ['void', record(CORE_KIND.TYPE_EXISTS, 0, '0', 7), 'anonymous-type', 'a type with a name'],
  ])('%s', (_, bad, code, text) => {
    const error = minimalTypes(target, [object(local, good), object(local, good, bad)])
    if (!(error instanceof CoreError)) throw new Error('it was not refused')
    expect(error.code).toBe(code)
    expect(error.place).toEqual({ object: 1, section: 'kprobe/x', record: 1 })
    expect(error.message).toContain("section 'kprobe/x', CO-RE record 1, instruction 7: relocation ")
    expect(error.message).toContain(text)
  })
})
