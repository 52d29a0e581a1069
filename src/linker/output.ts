/** The object that is being made. */
import { TypeTable } from '../btf/index.ts'
import { SHN, SHT, StringTable } from '../elf/index.ts'
import type { InputSection } from './input-section.ts'
import { OutputSection, type SectionKind } from './output-section.ts'

export interface OutputSymbol {
  readonly nameOffset: number
  binding: number
  type: number
  /** The byte `st_other`: the visibility. */
  visibility: number
  /** Index of a section of the output, or a reserved `SHN`. */
  sectionIndex: number
  value: bigint
  size: bigint
}

/** A name that all inputs share. */
export interface GlobalSymbol {
  readonly name: string
  /** In the symbols of the output. */
  readonly index: number
  /** Where it is defined, or where its extern declarations say that it comes from. */
  section: OutputSection | undefined
  /** Its FUNC or VAR in the output before deduplication; 0 until the types of its input are there. */
  type: number
  /** What the FUNC or VAR is made of, in the output; 0 for not known. */
  underlying: number
  /** Whether the next input that describes it says what it is made of. */
  isUnderlyingWanted: boolean
  /** Its entry in the DATASEC. */
  variable: OutputSection['variables'][number] | undefined
  isExtern: boolean
  isWeak: boolean
  /** The input that defines it, or the first that declares it. */
  file: string
}

const SYMBOL_BYTES = 24
const SHF_STRINGS = 0x20

/** Section indexes from here on are reserved; types and their records need two more. */
const MAX_SECTIONS = SHN.LORESERVE - 3

export class Output {
  readonly byteOrder: 'little' | 'big'
  readonly strings = new StringTable()
  readonly types: TypeTable
  /** In the order in which inputs brought them. */
  readonly sections: OutputSection[] = []
  readonly symbols: OutputSymbol[] = []
  readonly globals = new Map<string, GlobalSymbol>()
  /** Those that are in the file, in its order. */
  readonly #inFile: OutputSection[] = []
  readonly #byName = new Map<string, OutputSection>()
  readonly #stringSection: OutputSection
  readonly #symbolSection: OutputSection

  constructor(byteOrder: 'little' | 'big') {
    this.byteOrder = byteOrder
    this.types = TypeTable.empty(byteOrder)
    this.#stringSection = new OutputSection('.strtab')
    this.place(this.#stringSection, { type: SHT.STRTAB, flags: SHF_STRINGS, entrySize: 0 })
    this.#symbolSection = new OutputSection('.symtab')
    this.place(this.#symbolSection, { type: SHT.SYMTAB, flags: 0, entrySize: SYMBOL_BYTES })
    this.#symbolSection.link = this.#stringSection.index
    const nothing = { binding: 0, type: 0, visibility: 0, sectionIndex: 0, value: 0n, size: 0n }
    this.symbols.push({ nameOffset: 0, ...nothing })
  }

  get symbolSectionIndex(): number {
    return this.#symbolSection.index
  }

  get hasRoom(): boolean {
    return this.#inFile.length < MAX_SECTIONS
  }

  find(name: string): OutputSection | undefined {
    return this.#byName.get(name)
  }

  /** The section for one of an input, made where it is not there yet. */
  sectionFor(input: InputSection): OutputSection {
    let section = this.find(input.name)
    if (section === undefined) {
      section = new OutputSection(input.name)
      this.sections.push(section)
      this.#byName.set(section.name, section)
    }
    const { elf } = input
    if (elf !== undefined && section.kind === undefined) {
      this.place(section, { type: elf.type, flags: elf.flags, entrySize: elf.entrySize })
    }
    return section
  }

  /** Gives a section its place in the file. */
  place(section: OutputSection, kind: SectionKind): void {
    section.kind = kind
    section.index = this.#inFile.push(section)
    section.nameOffset = this.strings.add(section.name)
  }

  /** Adds a section that no input has: types and their records. */
  addMade(name: string, bytes: Uint8Array): void {
    const section = new OutputSection(name)
    this.place(section, { type: SHT.PROGBITS, flags: 0, entrySize: 0 })
    section.append(bytes, bytes.length, 8)
  }

  /** The sections as they go into the file. */
  finish(): readonly OutputSection[] {
    const symbols = this.#symbolBytes()
    this.#symbolSection.append(symbols, symbols.length, 8)
    const strings = this.strings.bytes()
    this.#stringSection.append(strings, strings.length, 1)
    return this.#inFile
  }

  #symbolBytes(): Uint8Array {
    const bytes = new Uint8Array(this.symbols.length * SYMBOL_BYTES)
    const view = new DataView(bytes.buffer)
    const little = this.byteOrder === 'little'
    for (const [i, symbol] of this.symbols.entries()) {
      const at = i * SYMBOL_BYTES
      view.setUint32(at, symbol.nameOffset, little)
      view.setUint8(at + 4, (symbol.binding << 4) | symbol.type)
      view.setUint8(at + 5, symbol.visibility)
      view.setUint16(at + 6, symbol.sectionIndex, little)
      view.setBigUint64(at + 8, symbol.value, little)
      view.setBigUint64(at + 16, symbol.size, little)
    }
    return bytes
  }
}
