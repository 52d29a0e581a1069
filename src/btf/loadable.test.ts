import { expect, test } from 'vitest'
import { Btf } from './btf.ts'
import { fixupDatasec } from './datasec.ts'
import { dumpRaw } from './dump-raw.ts'
import { BTF_KIND, BTF_LINKAGE } from './kinds.ts'
import type { BtfId } from './types.ts'
import { BtfWriter, type NewBtfType } from './writer.ts'

const nothing = {
  sectionSize: () => undefined,
  variable: () => undefined,
  hiddenFunctions: new Set<string>(),
}

function written(...types: readonly NewBtfType[]): Btf {
  const writer = new BtfWriter()
  for (const type of types) writer.add(type)
  const bytes = writer.finish()
  const btf = bytes instanceof Uint8Array ? Btf.parse(bytes) : bytes
  if (!(btf instanceof Btf)) throw new Error(btf.message)
  return btf
}

/** The listing of what the kernel is given. */
function loadable(btf: Btf, facts = {}): string[] {
  const made = Btf.parse(fixupDatasec(btf, { ...nothing, ...facts }))
  if (!(made instanceof Btf)) throw new Error(made.message)
  return dumpRaw(made)
}

const id = (number: number) => number as BtfId
const int: NewBtfType = {
  kind: BTF_KIND.INT,
  name: 'u32',
  size: 4,
  bits: 32,
  bitOffset: 0,
  isSigned: false,
  isChar: false,
  isBool: false,
}
const member = (name: string, bitOffset: number) => ({ name, type: id(1), bitOffset, bitSize: 0 })

test('names of Rust become identifiers, and what has none in C has none', () => {
  const long = 'a'.repeat(600)
  const btf = written(
    int,
    {
      kind: BTF_KIND.STRUCT,
      name: 'Option<&mut u32>',
      size: 8,
      members: [member('__0', 0), member('0 1', 32)],
    },
    { kind: BTF_KIND.PTR, name: '*const u32', type: id(1) },
    {
      kind: BTF_KIND.ENUM,
      name: '8bit::Kind',
      size: 4,
      isSigned: false,
      values: [{ name: 'A<B>', value: 1n }],
    },
    { kind: BTF_KIND.TYPEDEF, name: long, type: id(1) },
    {
      kind: BTF_KIND.FUNC_PROTO,
      name: '',
      returns: id(0),
      parameters: [{ name: '', type: id(3) }],
      isVariadic: false,
    },
    { kind: BTF_KIND.FUNC, name: '{impl#0}::run', type: id(6), linkage: BTF_LINKAGE.STATIC },
  )
  expect(loadable(btf)).toEqual([
    "[1] INT 'u32' size=4 bits_offset=0 nr_bits=32 encoding=(none)",
    "[2] STRUCT 'Option_mut_u32_' size=8 vlen=2",
    "\t'__0' type_id=1 bits_offset=0",
    "\t'_0_1' type_id=1 bits_offset=32",
    "[3] PTR '(anon)' type_id=1",
    "[4] ENUM '_8bit_Kind' encoding=UNSIGNED size=4 vlen=1",
    "\t'A_B_' val=1",
    `[5] TYPEDEF '${long.slice(0, 511)}' type_id=1`,
    "[6] FUNC_PROTO '(anon)' ret_type_id=0 vlen=1",
    "\t'_' type_id=3",
    "[7] FUNC '_impl_0_run' type_id=6 linkage=static",
  ])
})

test('characters of GCC are signed, its forward declarations have no size, its types of functions a name', () => {
  const btf = written(
    { ...int, name: 'char', size: 1, bits: 8, isSigned: true, isChar: true },
    { kind: BTF_KIND.FWD, name: 'task', isUnion: false },
    { kind: BTF_KIND.FUNC_PROTO, name: '', returns: id(1), parameters: [], isVariadic: true },
    { kind: BTF_KIND.FUNC, name: '', type: id(3), linkage: BTF_LINKAGE.STATIC },
  )
  expect(dumpRaw(btf)[0]).toBe("[1] INT 'char' size=1 bits_offset=0 nr_bits=8 encoding=UNKN")
  const bytes = btf.bytes.slice()
  const forward = btf.offsetInSection(id(2)) as number
  new DataView(bytes.buffer).setUint32(forward + 8, 24, true)
  expect(loadable(Btf.parse(bytes) as Btf)).toEqual([
    "[1] INT 'char' size=1 bits_offset=0 nr_bits=8 encoding=SIGNED",
    "[2] FWD 'task' fwd_kind=struct",
    "[3] FUNC_PROTO '(anon)' ret_type_id=1 vlen=1",
    "\t'(anon)' type_id=0",
    "[4] FUNC '_' type_id=3 linkage=static",
  ])
  expect(new DataView(fixupDatasec(btf, nothing).buffer).getUint32(forward + 8, true)).toBe(0)
})

test('functions that a linker made local are static', () => {
  const btf = written(
    { kind: BTF_KIND.FUNC_PROTO, name: '', returns: id(0), parameters: [], isVariadic: false },
    { kind: BTF_KIND.FUNC, name: 'f', type: id(1), linkage: BTF_LINKAGE.GLOBAL },
    { kind: BTF_KIND.FUNC, name: 'f', type: id(1), linkage: BTF_LINKAGE.GLOBAL },
  )
  expect(loadable(btf, { localFunctions: new Set([id(3)]) }).slice(1)).toEqual([
    "[2] FUNC 'f' type_id=1 linkage=global",
    "[3] FUNC 'f' type_id=1 linkage=static",
  ])
})

test('types of C stay as they are, byte for byte', () => {
  const btf = written(
    int,
    { kind: BTF_KIND.STRUCT, name: 'pair', size: 8, members: [member('a', 0), member('', 32)] },
    { kind: BTF_KIND.PTR, name: '', type: id(2) },
    {
      kind: BTF_KIND.FUNC_PROTO,
      name: '',
      returns: id(0),
      parameters: [{ name: 'p', type: id(3) }],
      isVariadic: false,
    },
    { kind: BTF_KIND.FUNC, name: 'f', type: id(4), linkage: BTF_LINKAGE.GLOBAL },
  )
  expect(fixupDatasec(btf, nothing)).toEqual(btf.bytes)
})
