/** The symbol table of an ELF file. */
import { SHN, SHT } from './constants.ts'
import type { ElfFile, ElfSection } from './elf.ts'
import { ElfError } from './error.ts'
import { readCString } from './strings.ts'

const SYMBOL_BYTES = 24

/**
 * One entry of a symbol table.
 *
 * st_info: | binding (4) | type (4) |, st_other: | ... (6) | visibility (2) |
 */
export class ElfSymbol {
  /** Position in its table; relocations refer to it. */
  readonly index: number
  /** Address in an executable, offset in its section in a relocatable object. */
  readonly value: bigint
  /** Bytes; 0 where the assembler was not told. */
  readonly size: bigint
  /** `STT`. */
  readonly type: number
  /** `STB`. */
  readonly binding: number
  /** `STV`. */
  readonly visibility: number
  /** Section index, or a reserved `SHN`. */
  readonly sectionIndex: number
  readonly #strings: Uint8Array
  readonly #nameOffset: number
  #name: string | undefined

  constructor(fields: Omit<ElfSymbol, 'name' | 'isDefined'>, strings: Uint8Array, nameOffset: number) {
    this.index = fields.index
    this.value = fields.value
    this.size = fields.size
    this.type = fields.type
    this.binding = fields.binding
    this.visibility = fields.visibility
    this.sectionIndex = fields.sectionIndex
    this.#strings = strings
    this.#nameOffset = nameOffset
  }

  /** Decoded when first asked for; empty for unnamed symbols. */
  get name(): string {
    this.#name ??= this.#nameOffset === 0 ? '' : (readCString(this.#strings, this.#nameOffset) ?? '')
    return this.#name
  }

  /** False for symbols that another file defines. */
  get isDefined(): boolean {
    return this.sectionIndex !== SHN.UNDEF
  }
}

/** All symbols of `.symtab`, or of `.dynsym` where there is no other. */
export function readSymbols(file: ElfFile): readonly ElfSymbol[] | ElfError {
  const table =
    file.sections.find((section) => section.type === SHT.SYMTAB) ??
    file.sections.find((section) => section.type === SHT.DYNSYM)
  return table === undefined ? [] : readTable(file, table)
}

function readTable(file: ElfFile, table: ElfSection): readonly ElfSymbol[] | ElfError {
  const place = { sectionIndex: table.index, section: table.name, offset: table.offset }
  if (table.entrySize !== SYMBOL_BYTES) {
    return new ElfError('bad-symbol', place, `entries of ${SYMBOL_BYTES} bytes`, `${table.entrySize}`)
  }
  if (table.size % SYMBOL_BYTES !== 0) {
    return new ElfError('bad-symbol', place, `a size that is a multiple of ${SYMBOL_BYTES}`, `${table.size}`)
  }
  const strings = file.sections[table.link]
  if (strings === undefined || strings.type !== SHT.STRTAB) {
    return new ElfError('bad-symbol', place, 'a link to a string table', `section ${table.link}`)
  }
  const little = file.byteOrder === 'little'
  const { data } = table
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const symbols: ElfSymbol[] = []
  for (let offset = 0; offset < data.length; offset += SYMBOL_BYTES) {
    const index = offset / SYMBOL_BYTES
    const nameOffset = view.getUint32(offset, little)
    if (nameOffset >= strings.size && nameOffset !== 0) {
      const where = { ...place, offset: table.offset + offset }
      return new ElfError(
        'bad-string',
        where,
        `symbol ${index} with a name inside the ${strings.size} bytes of '${strings.name}'`,
        `offset ${nameOffset}`,
      )
    }
    const sectionIndex = view.getUint16(offset + 6, little)
    if (sectionIndex >= file.sections.length && sectionIndex < SHN.LORESERVE) {
      const where = { ...place, offset: table.offset + offset + 6 }
      return new ElfError(
        'bad-symbol',
        where,
        `symbol ${index} in one of ${file.sections.length} sections`,
        `section ${sectionIndex}`,
      )
    }
    const info = data[offset + 4] as number
    const fields = {
      index,
      value: view.getBigUint64(offset + 8, little),
      size: view.getBigUint64(offset + 16, little),
      type: info & 15,
      binding: info >> 4,
      visibility: (data[offset + 5] as number) & 3,
      sectionIndex,
    }
    symbols.push(new ElfSymbol(fields, strings.data, nameOffset))
  }
  return symbols
}
