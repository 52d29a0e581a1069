/**
 * Whole logs beside those of the Linux that runs here: `npx tsx scripts/verifier-logs.ts DIR [--level N] [--every N]
 * [--corpus NAME] [--id ID] [--show N] [--limit BYTES]`.
 *
 * DIR holds recorded programs (see verifier-corpus.ts). Each is loaded into the running kernel and proved here at the
 * same log level. Printed: how many logs are the same, byte for byte, apart from addresses of maps and times; how many
 * of the closing lines; and the first line that differs of the others. Needs root.
 */
import { parseArgs } from 'node:util'
import { prove } from '../src/verifier/index.ts'
import { LinuxLoader } from './linux-loader.ts'
import { Corpus } from './verifier-corpus.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    level: { type: 'string', default: '1' },
    every: { type: 'string', default: '1' },
    corpus: { type: 'string' },
    id: { type: 'string' },
    show: { type: 'string', default: '0' },
    limit: { type: 'string', default: '4000000' },
    dump: { type: 'boolean', default: false },
  },
})
const folder = positionals[0] ?? '../shared/data/verifier'
if (!Corpus.isAt(folder)) {
  console.error(`no recorded verdicts in ${folder}`)
  process.exit(2)
}
const corpus = new Corpus(folder)
const loader = LinuxLoader.open(corpus)
if (typeof loader === 'string') {
  console.error(loader)
  process.exit(2)
}

const level = Number(values.level)

/** Addresses, times and numbers of kernel types are each kernel's own, and columns move with them. */
const normalised = (log: string): string =>
  log
    .replace(/^verification time \d+ usec$/gm, 'verification time')
    .replace(/(\(18\) r\d+ = 0x)[0-9a-f]+/g, '$1')
    .replace(/(\(85\) call [a-zA-Z_]\w*#)\d{5,}/g, '$1')
    .replace(/btf_id \d+/g, 'btf_id')
    .replace(/ +;/g, ' ;')
const closing = (log: string): string =>
  log
    .split('\n')
    .filter((line) => /^(verification time|stack depth|processed )/.test(line))
    .join('\n')

let compared = 0
let same = 0
let sameClosing = 0
const skipped = new Map<string, number>()
const differences = new Map<string, { count: number; id: string; ours: string; linux: string }>()
let index = 0
for (const { verdict, load, input } of corpus.programs(values.corpus)) {
  if (values.id !== undefined && !verdict.id.includes(values.id)) continue
  if (index++ % Number(values.every) !== 0) continue
  const answer = loader.load(load, level)
  const why =
    typeof answer === 'string'
      ? answer
      : (answer.errno === 0) !== (verdict.verdict === 'accept')
        ? 'this kernel judges otherwise than the recorded one'
        : answer.log.length > Number(values.limit)
          ? `log of more than ${values.limit} bytes`
          : undefined
  if (why !== undefined || typeof answer === 'string') {
    const reason = why ?? ''
    skipped.set(reason, (skipped.get(reason) ?? 0) + 1)
    continue
  }
  const proof = prove({ ...input, logLevel: level })
  const ours = normalised(proof.log)
  const linux = normalised(answer.log)
  if (values.dump) console.log(`--- here\n${ours}--- Linux\n${linux}`)
  compared++
  if (closing(ours) === closing(linux)) sameClosing++
  if (ours === linux) {
    same++
    continue
  }
  const a = ours.split('\n')
  const b = linux.split('\n')
  let at = 0
  while (a[at] === b[at]) at++
  const key = `${b[at] ?? ''}`.replace(/-?\b(0x)?[0-9a-f]*\d[0-9a-f]*\b/g, 'N').slice(0, 60)
  const known = differences.get(key)
  if (known !== undefined) known.count++
  else {
    differences.set(key, {
      count: 1,
      id: `${verdict.id}:${at + 1}`,
      ours: a[at] ?? '(end)',
      linux: b[at] ?? '(end)',
    })
  }
}
const share = (part: number): string => `${part} (${((100 * part) / Math.max(compared, 1)).toFixed(1)} %)`
console.log(
  `log level ${level}: ${compared} programs; the same log ${share(same)}, closing lines ${share(sameClosing)}`,
)
for (const [reason, count] of skipped) console.log(`not compared: ${count} (${reason})`)
const sorted = [...differences.values()].sort((x, y) => y.count - x.count)
for (const { count, id, ours, linux } of sorted.slice(0, Number(values.show))) {
  console.log(`${count} like ${id}\n  here:  ${ours.slice(0, 300)}\n  Linux: ${linux.slice(0, 300)}`)
}
