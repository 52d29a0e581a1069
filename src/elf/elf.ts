/**
 * Reader of ELF64 files of either byte order: relocatable BPF objects, kernels and other executables.
 *
 * Rules: section data is a view of the caller's bytes, never a copy. Section and program headers are checked
 * when the file is opened, symbols and relocations when they are asked for. Whatever a file claims is checked
 * against the bytes that are there before anything is allocated for it; a lie is an `ElfError`, never a throw.
 *
 * Source: the System V gABI, chapter 4 (object files) and 5 (program headers).
 */
import { SHN, SHT } from './constants.ts'
import { ElfError } from './error.ts'
import { type ElfRelocation, readRelocations } from './relocations.ts'
import { readCString } from './strings.ts'
import { type ElfSymbol, readSymbols } from './symbols.ts'

const HEADER_BYTES = 64
const SECTION_HEADER_BYTES = 64
const PROGRAM_HEADER_BYTES = 56

/** One section header with a view of its contents. */
export interface ElfSection {
  readonly index: number
  readonly name: string
  /** `SHT`. */
  readonly type: number
  /** `SHF` bits (the low 32). */
  readonly flags: number
  readonly address: bigint
  /** File offset, bytes. */
  readonly offset: number
  /** Bytes; for NOBITS this is memory, not file. */
  readonly size: number
  readonly link: number
  readonly info: number
  readonly alignment: number
  /** Bytes per entry in sections that are tables. */
  readonly entrySize: number
  /** View of the contents; empty for NOBITS. */
  readonly data: Uint8Array
}

/** One program header with a view of its file contents. */
export interface ElfSegment {
  /** `PT`. */
  readonly type: number
  /** `PF` bits. */
  readonly flags: number
  readonly offset: number
  readonly virtualAddress: bigint
  readonly physicalAddress: bigint
  readonly memorySize: bigint
  readonly alignment: bigint
  /** View of the bytes in the file; the rest up to `memorySize` is zero. */
  readonly data: Uint8Array
}

/** An opened ELF64 file. */
export class ElfFile {
  readonly bytes: Uint8Array
  readonly byteOrder: 'little' | 'big'
  /** `ET`. */
  readonly type: number
  /** `EM`. */
  readonly machine: number
  readonly flags: number
  readonly entry: bigint
  /** Index 0 is the null section. */
  readonly sections: readonly ElfSection[]
  readonly segments: readonly ElfSegment[]
  #symbols: readonly ElfSymbol[] | ElfError | undefined
  #byName: Map<string, ElfSection> | undefined
  #byTarget: Map<number, ElfSection[]> | undefined

  constructor(fields: Omit<ElfFile, 'section' | 'symbols' | 'relocations' | 'relocationSections'>) {
    this.bytes = fields.bytes
    this.byteOrder = fields.byteOrder
    this.type = fields.type
    this.machine = fields.machine
    this.flags = fields.flags
    this.entry = fields.entry
    this.sections = fields.sections
    this.segments = fields.segments
  }

  /** The first section of this name. */
  section(name: string): ElfSection | undefined {
    if (this.#byName === undefined) {
      this.#byName = new Map()
      for (const section of this.sections) {
        if (!this.#byName.has(section.name)) this.#byName.set(section.name, section)
      }
    }
    return this.#byName.get(name)
  }

  /** Entries of `.symtab`, or of `.dynsym` where there is no other; empty in a stripped file. Read once, kept. */
  symbols(): readonly ElfSymbol[] | ElfError {
    this.#symbols ??= readSymbols(this)
    return this.#symbols
  }

  /** The REL and RELA sections that apply to `target`. */
  relocationSections(target: ElfSection): readonly ElfSection[] {
    if (this.#byTarget === undefined) {
      this.#byTarget = new Map()
      for (const section of this.sections) {
        if (section.type !== SHT.REL && section.type !== SHT.RELA) continue
        const others = this.#byTarget.get(section.info)
        if (others === undefined) this.#byTarget.set(section.info, [section])
        else others.push(section)
      }
    }
    return this.#byTarget.get(target.index) ?? []
  }

  /** Relocations that apply to `target`, in file order. */
  relocations(target: ElfSection): readonly ElfRelocation[] | ElfError {
    const sections = this.relocationSections(target)
    const only = sections[0]
    if (only === undefined) return []
    if (sections.length === 1) return readRelocations(this, only, target)
    const all: ElfRelocation[] = []
    for (const section of sections) {
      const some = readRelocations(this, section, target)
      if (some instanceof ElfError) return some
      all.push(...some)
    }
    return all
  }
}

/** Opens an ELF64 file: headers checked, contents shared with `bytes`. */
export function parseElf(bytes: Uint8Array): ElfFile | ElfError {
  const place = { offset: 0 }
  if (bytes.length < 4 || bytes[0] !== 0x7f || bytes[1] !== 0x45 || bytes[2] !== 0x4c || bytes[3] !== 0x46) {
    const start = Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ')
    return new ElfError('not-elf', place, 'the magic 7f 45 4c 46', start || 'an empty file')
  }
  if (bytes.length < HEADER_BYTES) {
    return new ElfError('truncated', place, `a header of ${HEADER_BYTES} bytes`, `${bytes.length} bytes`)
  }
  if (bytes[4] !== 2) {
    const found = bytes[4] === 1 ? 'class 1 (ELF32)' : `class ${bytes[4]}`
    return new ElfError('unsupported-class', { offset: 4 }, 'class 2 (ELF64)', found)
  }
  if (bytes[5] !== 1 && bytes[5] !== 2) {
    return new ElfError('bad-header', { offset: 5 }, 'data encoding 1 (little) or 2 (big)', `${bytes[5]}`)
  }
  if (bytes[6] !== 1) return new ElfError('bad-header', { offset: 6 }, 'version 1', `${bytes[6]}`)

  const little = bytes[5] === 1
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const sections = readSections(bytes, view, little)
  if (sections instanceof ElfError) return sections
  const segments = readSegments(bytes, view, little)
  if (segments instanceof ElfError) return segments
  return new ElfFile({
    bytes,
    byteOrder: little ? 'little' : 'big',
    type: view.getUint16(16, little),
    machine: view.getUint16(18, little),
    flags: view.getUint32(48, little),
    entry: view.getBigUint64(24, little),
    sections,
    segments,
  })
}

/** A 64-bit field that has to be a file offset, size or count: exact up to 2^53, larger values stay larger than any file. */
const size64 = (view: DataView, offset: number, little: boolean): number => {
  const low = view.getUint32(little ? offset : offset + 4, little)
  const high = view.getUint32(little ? offset + 4 : offset, little)
  return high * 0x1_0000_0000 + low
}

const hex = (value: number): string => `0x${value.toString(16)}`

function readSections(bytes: Uint8Array, view: DataView, little: boolean): readonly ElfSection[] | ElfError {
  const table = size64(view, 40, little)
  if (table === 0) return []
  const entrySize = view.getUint16(58, little)
  if (entrySize !== SECTION_HEADER_BYTES) {
    return new ElfError(
      'bad-header',
      { offset: 58 },
      `section headers of ${SECTION_HEADER_BYTES} bytes`,
      `${entrySize}`,
    )
  }
  if (table + SECTION_HEADER_BYTES > bytes.length) {
    return new ElfError(
      'truncated',
      { offset: 40 },
      `a section header table inside the file's ${bytes.length} bytes`,
      `its start at ${hex(table)}`,
    )
  }
  // Counts that do not fit their 16 bits are in the fields of section 0.
  const count = view.getUint16(60, little) || size64(view, table + 32, little)
  const namesField = view.getUint16(62, little)
  const namesIndex = namesField === SHN.XINDEX ? view.getUint32(table + 40, little) : namesField
  if (table + count * SECTION_HEADER_BYTES > bytes.length) {
    return new ElfError(
      'truncated',
      { offset: 60 },
      `room for ${count} section headers at ${hex(table)}`,
      `${bytes.length} bytes in the file`,
    )
  }
  if (namesIndex >= count) {
    return new ElfError(
      'bad-header',
      { offset: 62 },
      `a section index under ${count} for the section names`,
      `${namesIndex}`,
    )
  }
  const sections: NamedLater[] = []
  for (let index = 0; index < count; index++) {
    const section = readSectionHeader(bytes, view, little, index, table + index * SECTION_HEADER_BYTES)
    if (section instanceof ElfError) return section
    sections.push(section)
  }
  const names = namesIndex === 0 ? undefined : sections[namesIndex]?.data
  for (const section of sections) {
    const header = table + section.index * SECTION_HEADER_BYTES
    const nameOffset = view.getUint32(header, little)
    const name = names === undefined || section.index === 0 ? '' : readCString(names, nameOffset)
    if (name === undefined) {
      const place = { sectionIndex: section.index, offset: header }
      return new ElfError(
        'bad-string',
        place,
        `a name inside the ${names?.length ?? 0} bytes of section names`,
        `offset ${nameOffset}`,
      )
    }
    section.name = name
  }
  return sections
}

/** The names are in a section of their own, which has to be read first. */
type NamedLater = { -readonly [K in keyof ElfSection]: ElfSection[K] }

function readSectionHeader(
  bytes: Uint8Array,
  view: DataView,
  little: boolean,
  index: number,
  header: number,
): NamedLater | ElfError {
  const type = view.getUint32(header + 4, little)
  const offset = size64(view, header + 24, little)
  const size = size64(view, header + 32, little)
  // Section 0 is null; its size may hold the number of sections.
  const inFile = type !== SHT.NOBITS && type !== SHT.NULL
  if (inFile && offset + size > bytes.length) {
    const place = { sectionIndex: index, offset: header }
    return new ElfError(
      'truncated',
      place,
      `contents inside the file's ${bytes.length} bytes`,
      `${size} bytes at ${hex(offset)}`,
    )
  }
  if (!Number.isSafeInteger(size)) {
    return new ElfError(
      'bad-section',
      { sectionIndex: index, offset: header + 32 },
      'a size under 2^53',
      hex(size),
    )
  }
  return {
    index,
    name: '',
    type,
    flags: view.getUint32(little ? header + 8 : header + 12, little),
    address: view.getBigUint64(header + 16, little),
    offset,
    size,
    link: view.getUint32(header + 40, little),
    info: view.getUint32(header + 44, little),
    alignment: size64(view, header + 48, little),
    entrySize: size64(view, header + 56, little),
    data: inFile ? bytes.subarray(offset, offset + size) : bytes.subarray(0, 0),
  }
}

function readSegments(bytes: Uint8Array, view: DataView, little: boolean): readonly ElfSegment[] | ElfError {
  const table = size64(view, 32, little)
  const count = view.getUint16(56, little)
  if (table === 0 || count === 0) return []
  const entrySize = view.getUint16(54, little)
  if (entrySize !== PROGRAM_HEADER_BYTES) {
    return new ElfError(
      'bad-header',
      { offset: 54 },
      `program headers of ${PROGRAM_HEADER_BYTES} bytes`,
      `${entrySize}`,
    )
  }
  if (table + count * PROGRAM_HEADER_BYTES > bytes.length) {
    return new ElfError(
      'truncated',
      { offset: 32 },
      `room for ${count} program headers at ${hex(table)}`,
      `${bytes.length} bytes in the file`,
    )
  }
  const segments: ElfSegment[] = []
  for (let index = 0; index < count; index++) {
    const header = table + index * PROGRAM_HEADER_BYTES
    const offset = size64(view, header + 8, little)
    const fileSize = size64(view, header + 32, little)
    const memorySize = view.getBigUint64(header + 40, little)
    if (offset + fileSize > bytes.length) {
      return new ElfError(
        'truncated',
        { offset: header },
        `segment ${index} inside the file's ${bytes.length} bytes`,
        `${fileSize} bytes at ${hex(offset)}`,
      )
    }
    const type = view.getUint32(header, little)
    if (type === 1 && memorySize < BigInt(fileSize)) {
      return new ElfError(
        'bad-segment',
        { offset: header + 40 },
        `segment ${index} at least as large in memory as its ${fileSize} bytes in the file`,
        `${memorySize}`,
      )
    }
    segments.push({
      type,
      flags: view.getUint32(header + 4, little),
      offset,
      virtualAddress: view.getBigUint64(header + 16, little),
      physicalAddress: view.getBigUint64(header + 24, little),
      memorySize,
      alignment: view.getBigUint64(header + 48, little),
      data: bytes.subarray(offset, offset + fileSize),
    })
  }
  return segments
}
