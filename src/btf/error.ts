/** What can be wrong with BTF. */
export type BtfErrorCode =
  | 'not-btf'
  | 'unsupported-version'
  | 'bad-header'
  | 'bad-strings'
  | 'bad-type'
  | 'bad-reference'
  | 'bad-ext'
  /** Types that C cannot say: a struct that holds itself, nesting without end. */
  | 'not-c'

/** BTF is malformed: where, what was expected and what was found. A value, never thrown. */
export class BtfError {
  readonly code: BtfErrorCode
  /** `.BTF` or `.BTF.ext`. */
  readonly section: string
  /** Byte offset in that section. */
  readonly offset: number
  /** The type that the error is in. */
  readonly typeId: number | undefined
  readonly expected: string
  readonly found: string

  constructor(
    code: BtfErrorCode,
    place: { section: string; offset: number; typeId?: number | undefined },
    expected: string,
    found: string,
  ) {
    this.code = code
    this.section = place.section
    this.offset = place.offset
    this.typeId = place.typeId
    this.expected = expected
    this.found = found
  }

  /** One line for people. */
  get message(): string {
    const type = this.typeId === undefined ? '' : `, type ${this.typeId}`
    return `${this.section} offset 0x${this.offset.toString(16)}${type}: expected ${this.expected}, found ${this.found}`
  }

  toString(): string {
    return `BtfError(${this.code}): ${this.message}`
  }
}
