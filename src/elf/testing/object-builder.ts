/** Writes small relocatable BPF objects for tests, section by section, as compilers and assemblers that are not there would. */
import { EM, SHF, SHN, SHT, STB, STT } from '../constants.ts'
import { StringTable } from '../string-table.ts'
import { type NewElfSection, writeElf } from '../writer.ts'

export interface BuiltSection {
  readonly name: string
  readonly data: Uint8Array
  /** `SHF` bits. Default: for data. */
  readonly flags?: number
  readonly relocations?: readonly BuiltRelocation[]
}

export interface BuiltRelocation {
  readonly offset: number
  /** `R_BPF`, or the number of another assembler. */
  readonly type: number
  /** Name of the symbol; that of a section for its symbol. */
  readonly symbol: string
}

export interface BuiltObjectSymbol {
  readonly name: string
  /** Absent: undefined. */
  readonly section?: string
  readonly value?: number
  readonly size?: number
  /** `STT`. */
  readonly type: number
  /** `STB`. Default: global. */
  readonly binding?: number
}

/** A section of programs. */
export const code = (
  name: string,
  data: Uint8Array,
  relocations: readonly BuiltRelocation[] = [],
): BuiltSection => ({ name, data, flags: SHF.ALLOC | SHF.EXECINSTR, relocations })

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** What GCC writes of itself. */
export const comment = (version: string): BuiltSection => ({
  name: '.comment',
  data: text(`GCC: (GNU) ${version}\0`),
  flags: SHF.MERGE | SHF.STRINGS,
})

const SYMBOL_BYTES = 24
const RELOCATION_BYTES = 16

/** The object; its license is GPL. */
export function buildObject(
  given: readonly BuiltSection[],
  symbols: readonly BuiltObjectSymbol[],
): Uint8Array {
  const contents = [...given, { name: 'license', data: text('GPL\0') }]
  const names = new StringTable()
  const symbolNames = new StringTable()
  const indexOf = (section: string): number => {
    const found = contents.findIndex(({ name }) => name === section)
    if (found < 0) throw new Error(`no section ${section}`)
    return found + 1
  }
  const sectionSymbols = contents.map(({ name }) => ({
    name,
    section: name,
    type: STT.SECTION,
    binding: STB.LOCAL,
  }))
  // Local symbols come first.
  const all: readonly BuiltObjectSymbol[] = [...sectionSymbols, ...symbols].toSorted(
    (a, b) => Number(a.binding !== STB.LOCAL) - Number(b.binding !== STB.LOCAL),
  )
  const table = new Uint8Array((all.length + 1) * SYMBOL_BYTES)
  const view = new DataView(table.buffer)
  for (const [i, { name, section, value = 0, size = 0, type, binding = STB.GLOBAL }] of all.entries()) {
    const at = (i + 1) * SYMBOL_BYTES
    view.setUint32(at, type === STT.SECTION ? 0 : symbolNames.add(name), true)
    view.setUint8(at + 4, (binding << 4) | type)
    view.setUint16(at + 6, section === undefined ? SHN.UNDEF : indexOf(section), true)
    view.setBigUint64(at + 8, BigInt(value), true)
    view.setBigUint64(at + 16, BigInt(size), true)
  }
  const relocated = contents.filter(({ relocations }: BuiltSection) => (relocations?.length ?? 0) > 0)
  const symbolSection = contents.length + relocated.length + 1
  const sections: NewElfSection[] = contents.map(({ name, data, flags }: BuiltSection) =>
    section(names.add(name), SHT.PROGBITS, data, { flags: flags ?? SHF.ALLOC | SHF.WRITE, alignment: 8 }),
  )
  for (const { name, relocations = [] } of relocated as readonly BuiltSection[]) {
    const bytes = new Uint8Array(relocations.length * RELOCATION_BYTES)
    const entries = new DataView(bytes.buffer)
    for (const [i, { offset, type, symbol }] of relocations.entries()) {
      entries.setBigUint64(i * RELOCATION_BYTES, BigInt(offset), true)
      entries.setUint32(i * RELOCATION_BYTES + 8, type, true)
      entries.setUint32(i * RELOCATION_BYTES + 12, all.findIndex((one) => one.name === symbol) + 1, true)
    }
    const header = { link: symbolSection, info: indexOf(name), entrySize: RELOCATION_BYTES }
    sections.push(section(names.add(`.rel${name}`), SHT.REL, bytes, header))
  }
  const firstGlobal = all.filter(({ binding }) => binding === STB.LOCAL).length + 1
  const symbolHeader = { link: symbolSection + 1, info: firstGlobal, entrySize: SYMBOL_BYTES }
  sections.push(section(names.add('.symtab'), SHT.SYMTAB, table, symbolHeader))
  sections.push(section(names.add('.strtab'), SHT.STRTAB, symbolNames.bytes()))
  const own = names.add('.shstrtab')
  sections.push(section(own, SHT.STRTAB, names.bytes()))
  return writeElf({ byteOrder: 'little', machine: EM.BPF, sections, namesIndex: sections.length })
}

const section = (
  nameOffset: number,
  type: number,
  bytes: Uint8Array,
  more: Partial<NewElfSection> = {},
): NewElfSection => ({
  ...{ nameOffset, type, flags: 0, link: 0, info: 0, alignment: 1, entrySize: 0 },
  ...{ size: bytes.length, parts: [{ offset: 0, bytes }] },
  ...more,
})
