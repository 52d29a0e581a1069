/** Programs with a recorded verdict, where their folder is (see `scripts/verifier-corpus.ts`). */

import { Corpus } from '../../scripts/verifier-corpus.ts'
import { encode } from '../../src/isa/index.ts'
import type { JudgedProgram } from './targets/verifier.ts'

/** Short ones, and such as the verifier is done with soon: the others only take longer. */
const MOST_SLOTS = 300
const MOST_PROCESSED = 3000

export function judgedPrograms(folder: string): JudgedProgram[] {
  if (!Corpus.isAt(folder)) return []
  const found: JudgedProgram[] = []
  for (const { verdict, input } of new Corpus(folder).programs()) {
    if (verdict.insn_cnt > MOST_SLOTS || verdict.processed_insns > MOST_PROCESSED) continue
    found.push({ name: verdict.id, instructions: encode(input.instructions), input })
  }
  return found
}
