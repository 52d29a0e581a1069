/** What can be wrong with an ELF file. */
export type ElfErrorCode =
  | 'not-elf'
  | 'unsupported-class'
  | 'bad-header'
  | 'truncated'
  | 'bad-section'
  | 'bad-string'
  | 'bad-symbol'
  | 'bad-relocation'
  | 'bad-segment'

/** The place in a file that an error speaks of. */
export interface ElfPlace {
  /** Section index, where the error is about a section. */
  readonly sectionIndex?: number | undefined
  /** Section name, where it could be read. */
  readonly section?: string | undefined
  /** Byte offset in the file. */
  readonly offset: number
}

/** An ELF file is malformed: where, what was expected and what was found. A value, never thrown. */
export class ElfError {
  readonly code: ElfErrorCode
  readonly place: ElfPlace
  readonly expected: string
  readonly found: string

  constructor(code: ElfErrorCode, place: ElfPlace, expected: string, found: string) {
    this.code = code
    this.place = place
    this.expected = expected
    this.found = found
  }

  /** One line for people. */
  get message(): string {
    const { sectionIndex, section, offset } = this.place
    const where =
      sectionIndex === undefined
        ? ''
        : section === undefined
          ? `section ${sectionIndex}, `
          : `section ${sectionIndex} '${section}', `
    return `${where}file offset 0x${offset.toString(16)}: expected ${this.expected}, found ${this.found}`
  }

  toString(): string {
    return `ElfError(${this.code}): ${this.message}`
  }
}
