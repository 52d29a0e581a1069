import { checkStructure } from './structure.ts'
import { type ProgramToVerify, STATISTICS, type Verifier, type VerifierVerdict } from './verdict.ts'

/** Refuses malformed programs and proves nothing: what it accepts must run in an engine that checks each access. */
export class StructureVerifier implements Verifier {
  verify(program: ProgramToVerify): VerifierVerdict {
    const subprograms = checkStructure(program)
    if ('accepted' in subprograms) return subprograms
    return { accepted: true, subprograms, proved: false, log: STATISTICS }
  }
}
