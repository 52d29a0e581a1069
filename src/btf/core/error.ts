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

/** A CO-RE relocation cannot be done: which, where, what was expected and what was found. A value, never thrown. */
export class CoreError {
  readonly code: CoreErrorCode
  /** The relocation, as `formatAccess` writes it. */
  readonly relocation: string
  /** Slot index of the instruction, from where the caller counts. */
  readonly instruction: number
  readonly reason: string

  constructor(code: CoreErrorCode, relocation: string, instruction: number, reason: string) {
    this.code = code
    this.relocation = relocation
    this.instruction = instruction
    this.reason = reason
  }

  /** One line for people. */
  get message(): string {
    return `instruction ${this.instruction}: relocation ${this.relocation}: ${this.reason}`
  }

  toString(): string {
    return `CoreError(${this.code}): ${this.message}`
  }
}
