/** What can keep objects from being linked. */
export type LinkErrorCode =
  /** Malformed: its ELF, its types, or how they belong together. */
  | 'bad-object'
  /** Well-formed, and not for this linker: another machine, another byte order, a kind of section. */
  | 'unsupported'
  /** Two strong definitions of one name. */
  | 'conflict'
  /** Definitions, declarations or sections of one name that do not agree. */
  | 'mismatch'
  /** A global symbol that no type describes. */
  | 'missing-types'
  /** More than the format, or this linker, holds. */
  | 'too-large'

/** Objects cannot be linked: in which file and section, and why. A value, never thrown. */
export class LinkError {
  readonly code: LinkErrorCode
  /** The name of the input that could not be added; empty where it is about all of them. */
  readonly file: string
  readonly section: string | undefined
  readonly reason: string

  constructor(code: LinkErrorCode, file: string, reason: string, section?: string) {
    this.code = code
    this.file = file
    this.section = section
    this.reason = reason
  }

  /** One line for people. */
  get message(): string {
    const file = this.file === '' ? '' : `${this.file}: `
    const section = this.section === undefined ? '' : `section '${this.section}': `
    return `${file}${section}${this.reason}`
  }

  toString(): string {
    return `LinkError(${this.code}): ${this.message}`
  }
}
