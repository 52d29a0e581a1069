/** A program that is put to the test, as data: what the verifier, the interpreter and Linux are given. */
import type { Program } from '../../src/isa/index.ts'
import type { MapSpec, ProgramInput } from '../../src/verifier/index.ts'

/** A map of the subject: wide instructions name it by its index. */
export type Subject = ProgramInput & { readonly maps: readonly MapSpec[] }

/** The same subject with other instructions. */
export const withProgram = (
  subject: Subject,
  instructions: Program,
  functions: Subject['functions'] = subject.functions,
): Subject => ({ ...subject, instructions, functions })
