/** Objects of other compilers than clang, built here byte by byte. The compilers' own: test/compilers. */
import { expect, test } from 'vitest'
import { BTF_KIND, BTF_LINKAGE, Btf, BtfWriter, dumpRaw } from '../btf/index.ts'
import { ElfError, parseElf, R_BPF, STT } from '../elf/index.ts'
import { type BuiltSection, buildObject, code, comment } from '../elf/testing/object-builder.ts'
import { assembled } from '../isa/testing/assembled.ts'
import { LinkError, linkObjects } from './index.ts'

const symbol = (name: string, section: string, value: number, size: number, type: number = STT.FUNC) => ({
  ...{ name, section, value, size, type },
})

/** Types: a prototype and functions, by name and linkage; `variable`, in `.data` at 8. */
function types(functions: readonly (readonly [string, number])[]): BuiltSection {
  const writer = new BtfWriter()
  const int = writer.add({
    ...{ kind: BTF_KIND.INT, name: 'int', size: 4, bits: 32, bitOffset: 0 },
    ...{ isSigned: true, isChar: false, isBool: false },
  })
  const prototype = {
    kind: BTF_KIND.FUNC_PROTO,
    name: '',
    returns: int,
    parameters: [],
    isVariadic: false,
  } as const
  const type = writer.add(prototype)
  for (const [name, linkage] of functions) writer.add({ kind: BTF_KIND.FUNC, name, type, linkage })
  const variable = (name: string) =>
    writer.add({ kind: BTF_KIND.VAR, name, type: int, linkage: BTF_LINKAGE.GLOBAL })
  const section = (name: string, type: number) => {
    const variables = [{ type: type as typeof int, offset: 0, size: 4 }]
    writer.add({ kind: BTF_KIND.DATASEC, name, size: 0, variables })
  }
  section('.data', variable('variable'))
  section('license', variable('_license'))
  const data = writer.finish()
  if (!(data instanceof Uint8Array)) throw new Error(data.message)
  return { name: '.BTF', data, flags: 0 }
}

const main = code('xdp', assembled('r1 = 8 ll', 'r0 = 0', 'exit'), [
  { offset: 0, type: R_BPF['64_64'], symbol: 'variable' },
])
const variables = { name: '.data', data: new Uint8Array(16) }
const symbols = [
  symbol('main', 'xdp', 0, main.data.length),
  symbol('variable', '.data', 8, 4, STT.OBJECT),
  symbol('_license', 'license', 0, 4, STT.OBJECT),
]
const isGlobal = ['main', BTF_LINKAGE.GLOBAL] as const

test('what GNU as counts twice is not linked: the variable would be elsewhere', () => {
  const of = (version: string) => buildObject([main, variables, types([isGlobal]), comment(version)], symbols)
  const refused = linkObjects([{ name: 'gcc.o', bytes: of('12.2.0') }])
  expect(String(refused)).toMatch(/gcc.o: section '.relxdp': at 0x0: 'variable' at 8 is counted twice/)
  expect(linkObjects([{ name: 'gcc.o', bytes: of('14.2.0') }])).toBeInstanceOf(Uint8Array)
})

test('a global function of GCC 12 has the type of a static one', () => {
  const bytes = buildObject([main, variables, types([['main', BTF_LINKAGE.STATIC]])], symbols)
  const refused = linkObjects([{ name: 'gcc.o', bytes }])
  expect(refused).toBeInstanceOf(LinkError)
  expect(String(refused)).toMatch(
    /no type describes the global symbol 'main'; its type is that of a static one/,
  )
})

test('a function that a linker of bitcode made local keeps its type, as that of a static one', () => {
  const bytes = buildObject([main, variables, types([isGlobal, ['panic', BTF_LINKAGE.GLOBAL]])], symbols)
  const linked = linkObjects([{ name: 'rust.o', bytes }])
  if (linked instanceof LinkError) throw new Error(linked.message)
  const file = parseElf(linked)
  const btf = file instanceof ElfError ? file : Btf.parse(file.section('.BTF')?.data as Uint8Array)
  if (!(btf instanceof Btf)) throw new Error(btf.message)
  expect(dumpRaw(btf).filter((line) => line.includes(' FUNC '))).toEqual([
    "[3] FUNC 'main' type_id=2 linkage=global",
    "[4] FUNC 'panic' type_id=2 linkage=static",
  ])
})
