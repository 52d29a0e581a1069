import type { ProgramInput } from './program.ts'
import { prove } from './prover.ts'
import type { Verifier, VerifierVerdict } from './verdict.ts'

/** Accepts what it has proved: no run of such a program can leave what it was given, or go on for ever. */
export class ProvingVerifier implements Verifier {
  verify(program: ProgramInput): VerifierVerdict {
    const { accepted, errno, message, log, instruction, statistics, facts } = prove(program)
    const { processed } = statistics
    if (!accepted) return { accepted, errno, index: instruction, message, log, processed }
    return { accepted, subprograms: facts.subprograms, proof: facts, log, processed }
  }
}
