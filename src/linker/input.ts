/** An object that is being linked: what it holds, checked, and where each part of it goes. */
import type { TypeTable } from '../btf/index.ts'
import { ElfError, type ElfFile, type ElfSymbol, EM, ET, parseElf, SHT, toByteString } from '../elf/index.ts'
import { checkSections, isIgnored } from './check-sections.ts'
import { checkSymbols } from './check-symbols.ts'
import { LinkError } from './error.ts'
import { firstByName, InputSection } from './input-section.ts'
import { readTypes } from './input-types.ts'
import { type ExtParts, readRecords } from './records.ts'

/** What the linker is given. */
export interface LinkInput {
  /** For messages: the file's path. */
  readonly name: string
  readonly bytes: Uint8Array
}

/** Types of an input, with the places of its variables. */
export interface InputTypes {
  readonly table: TypeTable
  /** Offsets of global variables in their sections, by the index of their entry in the DATASEC. */
  readonly offsets: ReadonlyMap<number, readonly number[]>
  /** Global and extern functions and variables by name (a byte string). */
  readonly globals: ReadonlyMap<string, GlobalType>
}

export interface GlobalType {
  /** The FUNC or VAR. */
  readonly type: number
  /** The DATASEC that it is in, or 0. */
  readonly datasec: number
  /** A second type of the name, with which it is not clear which one is meant. */
  readonly rival: number | undefined
}

/** A checked input. */
export class Input {
  readonly name: string
  readonly elf: ElfFile
  /** By index in the file; behind them those that only the types know. */
  readonly sections: readonly InputSection[]
  readonly symbols: readonly ElfSymbol[]
  readonly types: InputTypes | undefined
  readonly records: ExtParts | undefined
  /** Index in the output of each symbol; 0 for none. */
  readonly symbolIndexes: Uint32Array
  /** Id in the output, before deduplication, of each type; 0 for none. */
  readonly typeIds: Uint32Array
  readonly #byName: ReadonlyMap<string, InputSection>

  private constructor(
    name: string,
    elf: ElfFile,
    sections: readonly InputSection[],
    symbols: readonly ElfSymbol[],
    types: InputTypes | undefined,
    records: ExtParts | undefined,
  ) {
    this.name = name
    this.elf = elf
    this.sections = sections
    this.symbols = symbols
    this.types = types
    this.records = records
    this.symbolIndexes = new Uint32Array(symbols.length)
    this.typeIds = new Uint32Array(types?.table.count ?? 1)
    this.#byName = firstByName(sections)
  }

  static open({ name, bytes }: LinkInput): Input | LinkError {
    const elf = parseElf(bytes)
    if (elf instanceof ElfError) return new LinkError('bad-object', name, elf.message)
    if (elf.type !== ET.REL || elf.machine !== EM.BPF) {
      return new LinkError(
        'unsupported',
        name,
        'expected a relocatable object for BPF, as clang -c writes it',
      )
    }
    const symbolTables = elf.sections.filter(({ type }) => type === SHT.SYMTAB)
    if (symbolTables.length !== 1) {
      const reason = `expected one symbol table, found ${symbolTables.length}`
      return new LinkError('bad-object', name, reason)
    }
    const symbols = elf.symbols()
    if (symbols instanceof ElfError) return new LinkError('bad-object', name, symbols.message)
    const sections = elf.sections.map(
      (section) => new InputSection(toByteString(section.name), section, isIgnored(section)),
    )
    const error = checkSections(name, elf) ?? checkSymbols(name, elf, symbols)
    if (error !== undefined) return error

    const btf = elf.section('.BTF')
    const ext = elf.section('.BTF.ext')
    const types = btf === undefined ? undefined : readTypes(name, btf, sections, symbols)
    if (types instanceof LinkError) return types
    if (ext !== undefined && types === undefined) {
      return new LinkError('bad-object', name, 'found no section .BTF, which it needs', '.BTF.ext')
    }
    const records =
      ext === undefined || btf === undefined || types === undefined
        ? undefined
        : readRecords(name, ext.data, btf.data, types.table)
    if (records instanceof LinkError) return records
    return new Input(name, elf, sections, symbols, types, records)
  }

  /** The first section of this name. */
  section(name: string): InputSection | undefined {
    return this.#byName.get(name)
  }
}
