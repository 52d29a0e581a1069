/** What can be wrong with a CO-RE relocation. */
export type CoreErrorCode =
  /** The record makes no sense: its access does not fit its type. */
  | 'bad-record'
  /** Nameless types cannot be looked for in a kernel. */
  | 'anonymous-type'
  /** Several types of the target answer, and not with the same number. */
  | 'ambiguous'
  /** The number cannot be told: a bit field that no load can read, types nested too deep. */
  | 'unsatisfiable'
  /** The instruction is none that can be patched, or does not hold the number that the record says. */
  | 'bad-instruction'
  /** The number does not fit the instruction. */
  | 'out-of-range'

/** Where a record is among several objects. */
export interface CoreRecordPlace {
  /** Index of the object, in the order that the caller gave. */
  readonly object: number
  /** Section of the code that the record is about. */
  readonly section: string
  /** Index of the record among those of the section. */
  readonly record: number
}

/** A CO-RE relocation cannot be done: which, where, what was expected and what was found. A value, never thrown. */
export class CoreError {
  readonly code: CoreErrorCode
  /** The relocation, as `formatAccess` writes it. */
  readonly relocation: string
  /** Slot index of the instruction, from where the caller counts. */
  readonly instruction: number
  readonly reason: string
  /** Where the record is, if it is not being applied to a program. */
  readonly place: CoreRecordPlace | undefined

  constructor(
    code: CoreErrorCode,
    relocation: string,
    instruction: number,
    reason: string,
    place?: CoreRecordPlace,
  ) {
    this.code = code
    this.relocation = relocation
    this.instruction = instruction
    this.reason = reason
    this.place = place
  }

  /** One line for people. */
  get message(): string {
    const { place } = this
    const where = place === undefined ? '' : `section '${place.section}', CO-RE record ${place.record}, `
    return `${where}instruction ${this.instruction}: relocation ${this.relocation}: ${this.reason}`
  }

  toString(): string {
    return `CoreError(${this.code}): ${this.message}`
  }
}
