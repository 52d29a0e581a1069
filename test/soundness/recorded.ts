/** Real programs to make changes to: those of a folder of recorded verdicts that can be run here. */
import { Corpus } from '../../scripts/verifier-corpus.ts'
import { helperBodies } from '../../src/helpers/index.ts'
import type { MapSpec } from '../../src/verifier/index.ts'
import { RUNNABLE } from './program-types.ts'
import type { Subject } from './subject.ts'

const MOST_INSTRUCTIONS = 300

export interface RecordedSubject {
  readonly id: string
  readonly subject: Subject
  /** Bytes of its types. */
  readonly types: Uint8Array | undefined
}

/** Can the program be run, as far as its instructions show? */
function isRunnable(subject: Subject): boolean {
  const { instructions, programType } = subject
  if (!RUNNABLE.includes(programType) || instructions.length > MOST_INSTRUCTIONS) return false
  return instructions.every(
    ({ opcode, src, imm }) => opcode !== 0x85 || src === 1 || (src === 0 && helperBodies.has(imm)),
  )
}

export function readRecorded(folder: string): RecordedSubject[] {
  const corpus = new Corpus(folder)
  const found: RecordedSubject[] = []
  for (const { verdict, input } of corpus.programs()) {
    const maps = input.maps as { readonly [imm: number]: MapSpec }
    const subject: Subject = { ...input, maps: Object.values(maps) }
    if (!isRunnable(subject)) continue
    found.push({
      id: verdict.id,
      subject,
      types: input.btf === undefined ? undefined : corpus.bytesOf(input.btf),
    })
  }
  return found
}
