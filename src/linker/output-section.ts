/** A section of the output, which grows by one input after the other. */
import { type NewElfSection, SHT } from '../elf/index.ts'
import type { GlobalSymbol } from './output.ts'
import type { SectionRecords } from './records.ts'

/** A variable or function in a section, as its DATASEC will say it. */
export interface OutputVariable {
  readonly type: number
  /** Of a global one that is defined, the symbol's value goes before it. */
  readonly offset: number
  size: number
  readonly global: GlobalSymbol | undefined
}

/** What it takes of the first input that has the section. */
export interface SectionKind {
  readonly type: number
  readonly flags: number
  readonly entrySize: number
}

/** The kernel's and libbpf's sizes are of 31 bits. */
export const MAX_SECTION_BYTES = 0x7fff_ffff

export class OutputSection {
  readonly name: string
  /** Index in the file; 0 while only types know the section. */
  index = 0
  nameOffset = 0
  kind: SectionKind | undefined
  alignment = 1
  size = 0
  readonly parts: { readonly offset: number; readonly bytes: Uint8Array }[] = []
  link = 0
  info = 0
  /** Index of the symbol that stands for the section, or 0. */
  symbolIndex = 0
  /** Whether a DATASEC describes it. */
  hasTypes = false
  readonly variables: OutputVariable[] = []
  /** Its part of `.BTF.ext`. */
  readonly records: SectionRecords = { functions: undefined, lines: undefined, relocations: undefined }

  constructor(name: string) {
    this.name = name
  }

  /** Where the next bytes of this alignment would begin. */
  nextOffset(alignment: number): number {
    const step = Math.max(this.alignment, alignment, 1)
    return Math.ceil(this.size / step) * step
  }

  /** Appends a copy of bytes, or only room for them, and returns the copy. */
  append(bytes: Uint8Array, size: number, alignment: number): Uint8Array {
    const offset = this.nextOffset(alignment)
    // Not bytes.slice: a Node Buffer's shares its bytes.
    const copy = Uint8Array.from(bytes)
    if (this.kind?.type !== SHT.NOBITS) this.parts.push({ offset, bytes: copy })
    this.alignment = Math.max(this.alignment, alignment, 1)
    this.size = offset + size
    return copy
  }

  /** As it goes into the file. */
  elf(): NewElfSection {
    const { nameOffset, link, info, alignment, size, parts } = this
    return { nameOffset, type: 0, flags: 0, entrySize: 0, ...this.kind, link, info, alignment, size, parts }
  }
}
