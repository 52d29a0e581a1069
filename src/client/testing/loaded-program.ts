/** A program in a fake kernel, for tests of what is done with one. */
import type { Syscalls } from '../../abi/index.ts'
import { loadProgram } from '../calls.ts'
import { Descriptor } from '../owner.ts'

export function loadedProgram(kernel: Syscalls, { type = 2, expectedAttachType = 0 } = {}): Descriptor {
  const program = {
    name: 'p',
    type,
    expectedAttachType,
    flags: 0,
    license: 'GPL',
    kernelVersion: 0,
    instructions: new Uint8Array(16),
    btf: undefined,
  }
  const { result } = loadProgram(kernel, program, undefined)
  if (!(result instanceof Descriptor)) throw new Error(`program load: ${result}`)
  return result
}
