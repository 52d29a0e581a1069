/** One subject: proved, and if accepted run a few times with everything held against what was claimed. */
import { type ProofVerdict, prove } from '../../src/verifier/index.ts'
import { Random } from './random.ts'
import type { Subject } from './subject.ts'
import { TooLong, Walk } from './walk.ts'
import type { RunEnd, World } from './world.ts'

/** Steps of a proof that are kept for comparison. */
const MOST_STEPS = 20_000
const RUNS = 3
/** Instructions that a run may execute. */
const BUDGET = 100_000

export interface Checked {
  readonly verdict: ProofVerdict | undefined
  /** Why it was not run although accepted. */
  readonly unsupported?: string
  readonly runs: number
  /** Runs that were stopped. */
  readonly long: number
  readonly failure?: { readonly kind: string; readonly instruction: number; readonly text: string }
}

/** Loops whose end is not proved but counted while they run. */
const endsByCount = (subject: Subject): boolean =>
  subject.instructions.some(
    (insn) => insn.opcode === 0xe5 || (insn.opcode === 0x85 && insn.src === 0 && insn.imm === 181),
  )

export function check(world: World, subject: Subject, seed: number, runs = RUNS): Checked {
  const walk = new Walk(MOST_STEPS)
  let verdict: ProofVerdict
  try {
    verdict = prove(subject, walk)
  } catch (error) {
    if (!(error instanceof TooLong)) {
      const text = error instanceof Error ? (error.stack ?? error.message) : `${error}`
      return { verdict: undefined, runs: 0, long: 0, failure: { kind: 'crash', instruction: -1, text } }
    }
    return { verdict: undefined, unsupported: 'too many steps', runs: 0, long: 0 }
  }
  if (!verdict.accepted) return { verdict, runs: 0, long: 0 }
  const ready = world.prepare(subject, walk)
  if (typeof ready === 'string') return { verdict, unsupported: ready, runs: 0, long: 0 }
  let long = 0
  for (let n = 0; n < runs; n++) {
    const end: RunEnd = ready.run(new Random(seed, n), BUDGET)
    if (end.kind === 'failed') return { verdict, runs: n + 1, long, failure: end.violation }
    if (end.kind === 'long') {
      if (!endsByCount(subject)) {
        const text = `${BUDGET} instructions, though the proof took ${verdict.statistics.processed}`
        return { verdict, runs: n + 1, long, failure: { kind: 'endless', instruction: -1, text } }
      }
      long++
    }
  }
  return { verdict, runs, long }
}
