import { assemble } from '../assembler.ts'
import { encode } from '../codec.ts'

/** The bytes of a program that stands in the test. */
export function assembled(...lines: readonly string[]): Uint8Array {
  const result = assemble(lines.join('\n'))
  if (!result.ok) throw new Error(result.errors[0].message)
  return encode(result.program)
}
