/** The rules that no compiler can be made to show: errors, ambiguous targets, hostile types. libbpf is the oracle in test/. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  BTF_KIND,
  Btf,
  BtfError,
  type BtfId,
  BtfWriter,
  type CoreRelocation,
  type NewBtfType,
} from '../index.ts'
import {
  CORE_KIND,
  CoreError,
  CoreRelocator,
  essentialName,
  formatAccess,
  POISON_HELPER,
  parseAccess,
} from './index.ts'

const int = (size = 4, isSigned = true): NewBtfType => ({
  kind: BTF_KIND.INT,
  name: `${isSigned ? 'int' : 'uint'}${size * 8}`,
  size,
  bits: size * 8,
  bitOffset: 0,
  isSigned,
  isChar: false,
  isBool: false,
})
const id = (n: number) => n as BtfId
const member = (name: string, type: number, bitOffset = 0, bitSize = 0) => ({
  name,
  type: id(type),
  bitOffset,
  bitSize,
})
const struct = (name: string, size: number, ...members: ReturnType<typeof member>[]): NewBtfType => ({
  kind: BTF_KIND.STRUCT,
  name,
  size,
  members,
})
const enumeration = (name: string, values: Record<string, bigint>, size = 4): NewBtfType => ({
  kind: size === 8 ? BTF_KIND.ENUM64 : BTF_KIND.ENUM,
  name,
  size,
  isSigned: false,
  values: Object.entries(values).map(([key, value]) => ({ name: key, value })),
})

function btf(...types: NewBtfType[]): Btf {
  const writer = new BtfWriter()
  for (const type of types) writer.add(type)
  const bytes = writer.finish()
  const parsed = bytes instanceof BtfError ? bytes : Btf.parse(bytes)
  if (parsed instanceof BtfError) throw new Error(parsed.message)
  return parsed
}

const record = (kind: number, type: number, access: string, instructionOffset = 0): CoreRelocation => ({
  kind,
  type: id(type),
  access,
  accessOffset: 0,
  instructionOffset,
})

/** One instruction, little endian. */
function slot(opcode: number, offset: number, immediate: number, registers = 0): number[] {
  const bytes = new Uint8Array(8)
  const view = new DataView(bytes.buffer)
  bytes[0] = opcode
  bytes[1] = registers
  view.setInt16(2, offset, true)
  view.setInt32(4, immediate, true)
  return [...bytes]
}
const mov = (value: number) => Uint8Array.from(slot(0xb7, 0, value))
const load = (opcode: number, offset: number) => Uint8Array.from(slot(opcode, offset, 0, 0x21))
const wide = (low: number, high: number) => Uint8Array.from([...slot(0x18, 0, low), ...slot(0, 0, high)])
const LDXW = 0x61
const LDXDW = 0x79
const LDXB = 0x71
const poison = Uint8Array.from(slot(0x85, 0, POISON_HELPER))

function applied(local: Btf, target: Btf, relocation: CoreRelocation, code: Uint8Array): Uint8Array | string {
  const result = new CoreRelocator(local, [target]).apply(code, relocation)
  return result instanceof CoreError ? `${result.code}: ${result.message}` : code
}

describe('names without their flavours', () => {
  test.each([
    ['task', 'task'],
    ['task___old', 'task'],
    ['task___old___older', 'task___old'],
    ['task____old', 'task____old'],
    ['task___', 'task___'],
    ['___old', '___old'],
    ['a___b', 'a'],
    ['', ''],
  ])("'%s' is '%s'", (name, essential) => expect(essentialName(name)).toBe(essential))
})

const OFFSET = CORE_KIND.FIELD_BYTE_OFFSET
const local = btf(int(), struct('s', 8, member('a', 1), member('b', 1, 32)))

describe('members', () => {
  test('are found where they have moved, through nameless structs and unions', () => {
    const target = btf(
      int(),
      { kind: BTF_KIND.UNION, name: '', size: 8, members: [member('x', 1), member('', 3)] },
      struct('', 8, member('y', 1), member('b', 1, 32)),
      struct('s', 40, member('a', 1), member('', 2, 256)),
    )
    expect(applied(local, target, record(OFFSET, 2, '0:1'), load(LDXW, 4))).toEqual(load(LDXW, 36))
    expect(applied(local, target, record(OFFSET, 2, '0:1'), mov(4))).toEqual(mov(36))
    expect(applied(local, target, record(OFFSET, 2, '0:1'), wide(4, 0))).toEqual(wide(36, 0))
  })

  test('that are missing poison the instruction, both halves of a wide one', () => {
    const target = btf(int(), struct('s', 4, member('a', 1)))
    expect(applied(local, target, record(OFFSET, 2, '0:1'), load(LDXW, 4))).toEqual(poison)
    expect(applied(local, target, record(OFFSET, 2, '0:1'), wide(4, 0))).toEqual(
      Uint8Array.from([...poison, ...poison]),
    )
    expect(applied(local, target, record(CORE_KIND.FIELD_EXISTS, 2, '0:1'), mov(1))).toEqual(mov(0))
  })

  test('of another width change the load where zeros extend it, else poison it', () => {
    const ours = btf(int(4, false), struct('u', 4, member('a', 1)), int(4), struct('i', 4, member('a', 3)))
    const theirs = btf(
      int(8, false),
      struct('u', 16, member('a', 1, 64)),
      int(8),
      struct('i', 16, member('a', 3, 64)),
    )
    expect(applied(ours, theirs, record(OFFSET, 2, '0:0'), load(LDXW, 0))).toEqual(load(LDXDW, 8))
    expect(applied(ours, theirs, record(OFFSET, 4, '0:0'), load(LDXW, 0))).toEqual(poison)
    expect(applied(ours, theirs, record(OFFSET, 4, '0:0'), mov(0))).toEqual(mov(8))
    const result = new CoreRelocator(ours, [theirs]).apply(load(LDXW, 0), record(OFFSET, 4, '0:0'))
    expect(result).toMatchObject({
      poisoned: 'width',
      relocation: '<byte_off> [4] struct i.a (0:0 @ offset 0)',
    })
  })
})

describe('several types of one name', () => {
  const same = struct('s', 8, member('b', 1, 32))
  const other = struct('s___2', 16, member('b', 1, 64))

  test('that agree are one', () => {
    expect(
      applied(
        local,
        btf(int(), same, struct('s___2', 64, member('b', 1, 32))),
        record(OFFSET, 2, '0:1'),
        mov(4),
      ),
    ).toEqual(mov(4))
  })

  test('that do not are an error that names both', () => {
    expect(applied(local, btf(int(), same, other), record(OFFSET, 2, '0:1', 0), mov(4))).toBe(
      'ambiguous: instruction 0: relocation <byte_off> [2] struct s.b (0:1 @ offset 4): the target answers 4 by ' +
        '<byte_off> [2] struct s.b (0:0 @ offset 4), but 8 by <byte_off> [3] struct s___2.b (0:0 @ offset 8)',
    )
  })

  test('are narrowed by what came before', () => {
    const target = btf(
      int(),
      struct('s', 8, member('b', 1, 32)),
      struct('s___2', 16, member('a', 1), member('b', 1, 64)),
    )
    const relocator = new CoreRelocator(local, [target])
    const code = mov(0)
    expect(relocator.apply(code, record(OFFSET, 2, '0:0'))).toMatchObject({ poisoned: undefined })
    const next = mov(4)
    relocator.apply(next, record(OFFSET, 2, '0:1'))
    expect(next).toEqual(mov(8))
    expect(applied(local, target, record(OFFSET, 2, '0:1'), mov(4))).toMatch(/^ambiguous/)
  })

  test('in modules are looked at where the kernel has none', () => {
    const kernel = btf(int())
    const writer = new BtfWriter({ base: kernel })
    writer.add(struct('s', 8, member('b', 1, 0)))
    const module = Btf.parse(writer.finish() as Uint8Array, kernel) as Btf
    const code = mov(4)
    new CoreRelocator(local, [kernel, module]).apply(code, record(OFFSET, 2, '0:1'))
    expect(code).toEqual(mov(0))
    const own = btf(int(), same)
    const ownCode = mov(4)
    new CoreRelocator(local, [own, module]).apply(ownCode, record(OFFSET, 2, '0:1'))
    expect(ownCode).toEqual(mov(4))
  })
})

test('enumerators: 64 bits in wide immediates, flavours, absent ones', () => {
  const ours = btf(enumeration('e', { A: 1n, B___x: 2n, C: 3n }))
  const theirs = btf(enumeration('e', { Z: 0n, B: 0xfedc_ba98_7654_3210n, A: 7n }, 8))
  const value = CORE_KIND.ENUMVAL_VALUE
  expect(applied(ours, theirs, record(value, 1, '1'), wide(2, 0))).toEqual(wide(0x7654_3210, 0xfedc_ba98 | 0))
  expect(applied(ours, theirs, record(value, 1, '0'), wide(1, 0))).toEqual(wide(7, 0))
  expect(applied(ours, theirs, record(value, 1, '2'), wide(3, 0))).toEqual(
    Uint8Array.from([...poison, ...poison]),
  )
  expect(applied(ours, theirs, record(CORE_KIND.ENUMVAL_EXISTS, 1, '2'), mov(1))).toEqual(mov(0))
  const access = parseAccess(ours, record(value, 1, '1'))
  expect(typeof access === 'string' ? access : formatAccess(access)).toBe(
    '<enumval_value> [1] enum e::B___x = 2',
  )
})

test('types: id, size, existence, and nothing for those that are not there', () => {
  const target = btf(
    { kind: BTF_KIND.FWD, name: 's', isUnion: false },
    int(),
    struct('s', 24, member('a', 2)),
  )
  expect(applied(local, target, record(CORE_KIND.TYPE_SIZE, 2, '0'), mov(8))).toEqual(mov(24))
  expect(applied(local, target, record(CORE_KIND.TYPE_ID_TARGET, 2, '0'), wide(99, 0))).toEqual(wide(3, 0))
  expect(applied(local, target, record(CORE_KIND.TYPE_ID_LOCAL, 2, '0'), wide(99, 0))).toEqual(wide(2, 0))
  for (const kind of [CORE_KIND.TYPE_SIZE, CORE_KIND.TYPE_EXISTS, CORE_KIND.TYPE_MATCHES]) {
    const old = kind === CORE_KIND.TYPE_SIZE ? 8 : 1
    expect(applied(local, btf(int()), record(kind, 2, '0'), mov(old))).toEqual(mov(0))
  }
})

describe('what cannot be done', () => {
  const bits = btf(int(8, false), struct('b', 16, member('x', 1, 60, 8)))
  const far = btf(int(), struct('s', 70_000, member('a', 1), member('b', 1, 40_000 * 8)))
  const nameless = btf(int(), struct('', 4, member('a', 1)))
  test.each<[string, Btf, Btf, CoreRelocation, Uint8Array, RegExp]>([
    [
      'no such kind',
      local,
      local,
      record(13, 2, '0'),
      mov(0),
      /bad-record: .* a kind of relocation from 0 to 12, found 13/,
    ],
    [
      'no numbers',
      local,
      local,
      record(OFFSET, 2, '0:x'),
      mov(0),
      /bad-record: .*\[2\] struct s \+ 0:x: expected numbers between colons/,
    ],
    ['a negative index', local, local, record(OFFSET, 2, '0:-1'), mov(0), /bad-record/],
    ['too many steps', local, local, record(OFFSET, 2, '0'.padEnd(131, ':0')), mov(0), /at most 64 steps/],
    [
      'no such member',
      local,
      local,
      record(OFFSET, 2, '0:7'),
      mov(0),
      /one of 2 members of struct s, found 7/,
    ],
    [
      'a way into an int',
      local,
      local,
      record(OFFSET, 2, '0:0:0'),
      mov(0),
      /a struct, union or array to go into, found int/,
    ],
    [
      'no enum',
      local,
      local,
      record(CORE_KIND.ENUMVAL_VALUE, 2, '0'),
      mov(0),
      /expected an enum, found struct/,
    ],
    [
      'a type access',
      local,
      local,
      record(CORE_KIND.TYPE_SIZE, 2, '1'),
      mov(0),
      /expected the access '0', found '1'/,
    ],
    [
      'a nameless type',
      nameless,
      local,
      record(OFFSET, 2, '0:0'),
      mov(0),
      /anonymous-type: .* expected a type with a name/,
    ],
    [
      'a bit field over two words',
      bits,
      bits,
      record(CORE_KIND.FIELD_LSHIFT_U64, 2, '0:0'),
      mov(0),
      /unsatisfiable: .* 8 bits at bit 60/,
    ],
    [
      'another number in the instruction',
      local,
      local,
      record(OFFSET, 2, '0:1'),
      mov(5),
      /bad-instruction: .* with the number 4, found 5/,
    ],
    ['a jump', local, local, record(OFFSET, 2, '0:1'), Uint8Array.from(slot(5, 4, 0)), /found opcode 0x5/],
    [
      'an operation on a register',
      local,
      local,
      record(OFFSET, 2, '0:1'),
      Uint8Array.from(slot(0x0f, 0, 4)),
      /found one on a register/,
    ],
    [
      'half of a wide load',
      local,
      local,
      record(OFFSET, 2, '0:1'),
      Uint8Array.from(slot(0x18, 0, 4)),
      /expected a second slot/,
    ],
    [
      'no instruction',
      local,
      local,
      record(OFFSET, 2, '0:1', 9),
      mov(4),
      /expected an instruction, found the end of the 1/,
    ],
    [
      'an offset beyond 15 bits',
      local,
      far,
      record(OFFSET, 2, '0:1'),
      load(LDXW, 4),
      /out-of-range: .* at most 32767, found 40000/,
    ],
    [
      'a load of another width than the field',
      btf(int(4, false), struct('s', 4, member('a', 1))),
      btf(int(8, false), struct('s', 8, member('a', 1))),
      record(OFFSET, 2, '0:0'),
      load(LDXB, 0),
      /bad-instruction: .* a load or store of 4 bytes, found opcode 0x71/,
    ],
  ])('%s', (_name, ours, theirs, relocation, code, message) => {
    const before = code.slice()
    expect(applied(ours, theirs, relocation, code)).toMatch(message)
    expect(code, 'the instruction is as it was').toEqual(before)
  })
})

describe('hostile targets end', () => {
  test('nameless structs that hold the next one twice', () => {
    const types: NewBtfType[] = [int()]
    for (let n = 2; n < 70; n++)
      types.push(
        struct(n === 2 ? 's' : '', 8, member('', Math.min(n + 1, 69)), member('', Math.min(n + 1, 69))),
      )
    expect(applied(local, btf(...types), record(OFFSET, 2, '0:1'), mov(4))).toMatch(
      /unsatisfiable: .* nested too deep/,
    )
  })

  test('a struct that holds itself without a name for it', () => {
    const target = btf(int(), struct('s', 8, member('', 3)), struct('', 8, member('', 3)))
    expect(applied(local, target, record(OFFSET, 2, '0:1'), mov(4))).toMatch(
      /unsatisfiable: .* nested too deep/,
    )
  })

  test('pointers without end that are asked to match', () => {
    const pointer = (to: number): NewBtfType => ({ kind: BTF_KIND.PTR, name: '', type: id(to) })
    const types = btf({ kind: BTF_KIND.TYPEDEF, name: 't', type: id(2) }, pointer(2))
    expect(applied(types, types, record(CORE_KIND.TYPE_MATCHES, 1, '0'), mov(1))).toMatch(/nested too deep/)
    expect(applied(types, types, record(CORE_KIND.TYPE_EXISTS, 1, '0'), mov(1))).toMatch(/nested too deep/)
  })

  test('no bytes as records make it throw', () => {
    const kernel = btf(
      int(),
      struct('s', 8, member('a', 1), member('b', 1, 32, 7)),
      enumeration('e', { A: 1n }),
    )
    const access = fc.oneof(
      fc.array(fc.nat({ max: 9 }), { maxLength: 5 }).map((steps) => steps.join(':')),
      fc.string({ maxLength: 8 }),
    )
    fc.assert(
      fc.property(
        fc.nat({ max: 14 }),
        fc.nat({ max: 3 }),
        access,
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        (kind, type, text, code) => {
          const result = new CoreRelocator(kernel, [kernel, local]).apply(code, record(kind, type, text))
          expect(result instanceof CoreError || typeof result.relocation === 'string').toBe(true)
        },
      ),
      { numRuns: 3000 },
    )
  })
})
