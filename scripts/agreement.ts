/**
 * How far the verifier agrees with Linux's: `npm run agreement -- DIR [--corpus NAME] [--id ID] [--json FILE] [--list N]`.
 *
 * DIR holds programs with the verdicts of a real kernel. Printed: programs that only this verifier accepts or rejects,
 * rejections with the same last line, time against the recorded time, and the disagreements.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { Corpus, timedProof } from './verifier-corpus.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    corpus: { type: 'string' },
    id: { type: 'string' },
    json: { type: 'string' },
    list: { type: 'string' },
    log: { type: 'string' },
  },
})
const [folder] = positionals
if (folder === undefined || !Corpus.isAt(folder)) {
  console.error(
    'usage: npm run agreement -- DIR [--corpus NAME] [--id ID] [--json FILE] [--list N] [--log LEVEL]',
  )
  process.exit(2)
}

interface Result {
  readonly id: string
  readonly corpus: string
  readonly type: string
  readonly expected: 'accept' | 'reject'
  readonly found: 'accept' | 'reject' | 'crash'
  readonly expectedMessage: string
  readonly message: string
  readonly timeUs: number
  readonly recordedUs: number | null
  readonly processed: number
  readonly recordedProcessed: number
}

const corpus = new Corpus(folder)
const results: Result[] = []
for (const { verdict, input } of corpus.programs(values.corpus)) {
  if (values.id !== undefined && !verdict.id.includes(values.id)) continue
  let timeUs = 0
  let found: Result['found']
  let message: string
  let processed = 0
  try {
    const { proof, microseconds } = timedProof({ ...input, logLevel: Number(values.log ?? 0) })
    timeUs = microseconds
    found = proof.accepted ? 'accept' : 'reject'
    message = proof.message
    processed = proof.statistics.processed
    if (values.log !== undefined) console.log(`${verdict.id}\n${proof.log}`)
  } catch (error) {
    found = 'crash'
    message =
      error instanceof Error
        ? `${error.message}\n${error.stack?.split('\n').slice(1, 4).join('\n')}`
        : `${error}`
  }
  results.push({
    id: verdict.id,
    corpus: verdict.corpus,
    type: verdict.prog_type,
    expected: verdict.verdict,
    found,
    expectedMessage: verdict.message,
    message,
    timeUs,
    recordedUs: verdict.verification_time_us,
    processed,
    recordedProcessed: verdict.processed_insns,
  })
}

const percent = (part: number, whole: number): string =>
  whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)}%`

function table(title: string, keyOf: (r: Result) => string): void {
  const keys = [...new Set(results.map(keyOf))].sort()
  console.log(`\n${title.padEnd(24)} accepts  agreed            rejects  false accepts  same message`)
  for (const key of [...keys, 'all']) {
    const rows = key === 'all' ? results : results.filter((r) => keyOf(r) === key)
    const accepts = rows.filter((r) => r.expected === 'accept')
    const agreed = accepts.filter((r) => r.found === 'accept').length
    const rejects = rows.filter((r) => r.expected === 'reject')
    const wrong = rejects.filter((r) => r.found === 'accept').length
    const same = rejects.filter((r) => r.found === 'reject' && r.message === r.expectedMessage).length
    console.log(
      `${key.padEnd(24)} ${`${accepts.length}`.padStart(7)} ${`${agreed}`.padStart(7)} ${percent(agreed, accepts.length).padStart(7)} ${`${rejects.length}`.padStart(10)} ${`${wrong}`.padStart(14)} ${`${same}`.padStart(7)} ${percent(same, rejects.length).padStart(6)}`,
    )
  }
}

table('corpus', (r) => r.corpus)
table('program type', (r) => r.type)

const timed = results.filter((r) => r.expected === 'accept' && r.found === 'accept' && r.recordedUs !== null)
const sum = (of: (r: Result) => number): number => timed.reduce((total, r) => total + of(r), 0)
const ours = sum((r) => r.timeUs)
const theirs = sum((r) => r.recordedUs ?? 0)
console.log(
  `\ntime of ${timed.length} programs that both accept: ${(ours / 1e6).toFixed(2)} s, recorded ${(theirs / 1e6).toFixed(2)} s, ratio ${(ours / Math.max(theirs, 1)).toFixed(2)}`,
)

const limit = Number(values.list ?? 40)
const show = (title: string, rows: readonly Result[]): void => {
  if (rows.length === 0) return
  console.log(`\n${title}: ${rows.length}`)
  for (const r of rows.slice(0, limit)) {
    console.log(
      `  ${r.id} (${r.type})\n    linux: ${r.expectedMessage || 'accepts'}\n    here:  ${r.message || 'accepts'}`,
    )
  }
}
show(
  'crashes',
  results.filter((r) => r.found === 'crash'),
)
show(
  'false accepts',
  results.filter((r) => r.expected === 'reject' && r.found === 'accept'),
)
show(
  'false rejects',
  results.filter((r) => r.expected === 'accept' && r.found === 'reject'),
)
show(
  'other message',
  results.filter((r) => r.expected === 'reject' && r.found === 'reject' && r.message !== r.expectedMessage),
)
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(results, undefined, 1))
process.exit(results.some((r) => r.found === 'crash') ? 1 : 0)
