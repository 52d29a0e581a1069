import type { BtfError } from '../../btf/index.ts'
import type { ElfError } from '../../elf/index.ts'

/** Why an object cannot be used. */
export type ObjectErrorCode =
  /** Not an ELF file at all. */
  | 'not-elf'
  /** The file ends before what it promises. */
  | 'truncated'
  /** Headers, symbols or relocation tables contradict themselves; `cause` says where. */
  | 'malformed-elf'
  /** Compiled for a CPU, not for BPF. */
  | 'wrong-machine'
  /** BPF, but linked or of another file type. */
  | 'not-relocatable'
  | 'big-endian'
  | 'malformed-btf'
  /** Neither programs nor maps. */
  | 'no-programs'
  | 'stripped'
  | 'bad-section'
  | 'bad-function'
  | 'bad-relocation'
  | 'bad-map'
  | 'bad-extern'
  /** `linkProgram` was asked for a program that the object has not. */
  | 'unknown-program'
  /** A program with its subprograms exceeds what any kernel takes. */
  | 'too-large'

/** Where in the object an error is. */
export interface ObjectPlace {
  readonly section?: string | undefined
  /** Byte offset in the section (in the file, where there is no section). */
  readonly offset?: number | undefined
  readonly program?: string | undefined
  /** Slot index in the program. */
  readonly instruction?: number | undefined
  readonly map?: string | undefined
}

/** An object file that cannot be used: what is wrong and where. A value, never thrown. */
export class ObjectError {
  readonly code: ObjectErrorCode
  /** What is wrong, without the place. */
  readonly reason: string
  readonly place: ObjectPlace
  /** The finding of the reader underneath. */
  readonly cause: ElfError | BtfError | undefined

  constructor(code: ObjectErrorCode, reason: string, place: ObjectPlace = {}, cause?: ElfError | BtfError) {
    this.code = code
    this.reason = reason
    this.place = place
    this.cause = cause
  }

  /** One line for people. */
  get message(): string {
    const { section, offset, program, instruction, map } = this.place
    const where = [
      program === undefined ? '' : `program '${program}'`,
      map === undefined ? '' : `map '${map}'`,
      instruction === undefined ? '' : `instruction ${instruction}`,
      section === undefined ? '' : `section '${section}'`,
      offset === undefined ? '' : `offset 0x${offset.toString(16)}`,
    ].filter((part) => part !== '')
    const prefix = where.length === 0 ? '' : `${where.join(', ')}: `
    return prefix + this.reason
  }

  toString(): string {
    return `ObjectError(${this.code}): ${this.message}`
  }
}
