/**
 * How long verification takes, beside Linux's own verifier on the same programs in the same run.
 *
 * Run as root: `npm run bench:verifier [-- DIR] [--corpus NAME] [--list N]`. Where the running kernel cannot be asked,
 * the recorded times stand in, and the output says so. Counted are programs that both accept. Both sides are repeated
 * and the best time counts; a time is that of the clock or of the processor, whichever is less, as others may want the
 * machine. The bar: in sum at most 3 times Linux's time, and no program of more than 1,000 instructions above 6 times.
 */
import { parseArgs } from 'node:util'
import { LinuxLoader } from '../scripts/linux-loader.ts'
import { Corpus, type RecordedLoad, timedProof } from '../scripts/verifier-corpus.ts'

const SUM_LIMIT = 3
const SINGLE_LIMIT = 6
const LARGE = 1000
const LINUX_REPEATS = 6
const LINUX_ENOUGH_US = 300_000

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { corpus: { type: 'string' }, list: { type: 'string' } },
})
const folder = positionals[0] ?? '../shared/data/verifier'
if (!Corpus.isAt(folder)) {
  console.error(`no recorded programs in ${folder}; give a folder: npm run bench:verifier -- DIR`)
  process.exit(2)
}
const corpus = new Corpus(folder)
const loader = LinuxLoader.open(corpus)
if (typeof loader === 'string')
  console.log(`the running kernel cannot be asked (${loader}): recorded times\n`)

/** Microseconds that Linux's verifier takes; undefined where it does not accept the program here. */
function timeOfLinux(load: RecordedLoad): number | undefined {
  if (typeof loader === 'string') return undefined
  let best: number | undefined
  let total = 0
  for (let i = 0; i < LINUX_REPEATS && total < LINUX_ENOUGH_US; i++) {
    const before = process.cpuUsage()
    const answer = loader.load(load, 4)
    const { user, system } = process.cpuUsage(before)
    if (typeof answer === 'string' || answer.errno !== 0 || answer.microseconds === undefined)
      return undefined
    const took = Math.min(answer.microseconds, user + system)
    best = Math.min(best ?? took, took)
    total += answer.microseconds
  }
  return best
}

interface Row {
  readonly id: string
  readonly corpus: string
  readonly instructions: number
  readonly ours: number
  readonly linux: number
}

const rows: Row[] = []
let notAsked = 0
for (const { verdict, load, input } of corpus.programs(values.corpus)) {
  if (verdict.verdict !== 'accept') continue
  const linux = typeof loader === 'string' ? verdict.verification_time_us : timeOfLinux(load)
  if (linux === null || linux === undefined) {
    notAsked++
    continue
  }
  const { proof, microseconds } = timedProof(input)
  if (!proof.accepted) continue
  rows.push({
    id: verdict.id,
    corpus: verdict.corpus,
    instructions: verdict.insn_cnt,
    ours: microseconds,
    linux: Math.max(linux, 1),
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

for (const name of new Set(rows.map((row) => row.corpus))) {
  line(
    name,
    rows.filter((row) => row.corpus === name),
  )
}
const total = line('all', rows)
if (notAsked > 0)
  console.log(`${notAsked} programs that Linux accepted when they were recorded have no time here`)

const large = rows
  .filter((row) => row.instructions > LARGE)
  .sort((a, b) => b.ours / b.linux - a.ours / a.linux)
console.log(`\nprograms of more than ${LARGE} instructions, slowest against Linux first:`)
for (const row of large.slice(0, Number(values.list ?? large.length))) {
  console.log(
    `  ${row.id.padEnd(64)} ${String(row.instructions).padStart(6)} ${row.ours.toFixed(0).padStart(9)} us  Linux ${String(row.linux).padStart(8)} us  ratio ${(row.ours / row.linux).toFixed(1)}`,
  )
}
const tooSlow = large.filter((row) => row.ours / row.linux > SINGLE_LIMIT)
const holds = (isHeld: boolean): string => (isHeld ? 'holds' : 'MISSED')
console.log(`\nin sum ${total.toFixed(2)}, allowed ${SUM_LIMIT}: ${holds(total <= SUM_LIMIT)}`)
console.log(
  `${tooSlow.length} of ${large.length} large programs above ${SINGLE_LIMIT}: ${holds(tooSlow.length === 0)}`,
)
