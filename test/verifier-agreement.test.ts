/** A sample of recorded verdicts; `npm run agreement` takes all of them. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Corpus } from '../scripts/verifier-corpus.ts'
import { prove } from '../src/verifier/index.ts'

const folder = join(import.meta.dirname, '../../shared/data/verifier')
const isThere = Corpus.isAt(folder)
/** Every so manieth program, and none that takes Linux long. */
const STEP = 17
const LONGEST = 5000

test.skipIf(!isThere)(
  `agrees with recorded verdicts of Linux${isThere ? '' : ` (skipped: ${folder} is not there)`}`,
  { timeout: 600_000 },
  () => {
    let index = 0
    let accepts = 0
    let agreed = 0
    let rejects = 0
    let sameMessage = 0
    const falseAccepts: string[] = []
    for (const { verdict, input } of new Corpus(folder).programs()) {
      if (index++ % STEP !== 0 || verdict.processed_insns > LONGEST) continue
      const proof = prove(input)
      if (verdict.verdict === 'accept') {
        accepts++
        if (proof.accepted) agreed++
      } else {
        rejects++
        if (proof.accepted) falseAccepts.push(verdict.id)
        else if (proof.message === verdict.message) sameMessage++
      }
    }
    expect(falseAccepts).toEqual([])
    expect(agreed / accepts).toBeGreaterThanOrEqual(0.97)
    expect(sameMessage / rejects).toBeGreaterThanOrEqual(0.9)
  },
)
