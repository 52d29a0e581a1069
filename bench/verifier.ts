/**
 * How long verification takes, beside the times that Linux's verifier was recorded with on the same programs.
 *
 * Run: `npm run bench:verifier [-- DIR]`. Counted are programs that both accept. The bar: in sum at most 3 times
 * Linux's time, and no program of more than 1,000 instructions above 6 times.
 */
import { Corpus, timedProof } from '../scripts/verifier-corpus.ts'

const SUM_LIMIT = 3
const SINGLE_LIMIT = 6
const LARGE = 1000

const folder = process.argv[2] ?? '../shared/data/verifier'
if (!Corpus.isAt(folder)) {
  console.error(`no recorded verdicts in ${folder}; give a folder: npm run bench:verifier -- DIR`)
  process.exit(2)
}

interface Row {
  readonly id: string
  readonly corpus: string
  readonly instructions: number
  readonly ours: number
  readonly linux: number
}

const rows: Row[] = []
for (const { verdict, input } of new Corpus(folder).programs()) {
  if (verdict.verdict !== 'accept' || verdict.verification_time_us === null) continue
  const { proof, microseconds } = timedProof(input)
  if (!proof.accepted) continue
  rows.push({
    id: verdict.id,
    corpus: verdict.corpus,
    instructions: verdict.insn_cnt,
    ours: microseconds,
    linux: verdict.verification_time_us,
  })
}

const seconds = (us: number): string => `${(us / 1e6).toFixed(2)} s`
const sum = (some: readonly Row[], of: (row: Row) => number): number =>
  some.reduce((total, row) => total + of(row), 0)
function line(name: string, some: readonly Row[]): number {
  const ours = sum(some, (row) => row.ours)
  const linux = sum(some, (row) => row.linux)
  const ratio = ours / Math.max(linux, 1)
  console.log(
    `${name.padEnd(22)} ${String(some.length).padStart(5)} programs ${seconds(ours).padStart(9)}  Linux ${seconds(linux).padStart(9)}  ratio ${ratio.toFixed(2)}`,
  )
  return ratio
}

for (const corpus of new Set(rows.map((row) => row.corpus))) {
  line(
    corpus,
    rows.filter((row) => row.corpus === corpus),
  )
}
const total = line('all', rows)

const large = rows
  .filter((row) => row.instructions > LARGE)
  .sort((a, b) => b.ours / b.linux - a.ours / a.linux)
console.log(`\nprograms of more than ${LARGE} instructions, slowest against Linux first:`)
for (const row of large.slice(0, 15)) {
  console.log(
    `  ${row.id.padEnd(64)} ${String(row.instructions).padStart(6)} ${row.ours.toFixed(0).padStart(9)} us  Linux ${String(row.linux).padStart(8)} us  ratio ${(row.ours / row.linux).toFixed(1)}`,
  )
}
const tooSlow = large.filter((row) => row.ours / row.linux > SINGLE_LIMIT)
console.log(`\nabove ${SINGLE_LIMIT}: ${tooSlow.length}; in sum ${total.toFixed(2)}, allowed ${SUM_LIMIT}`)
