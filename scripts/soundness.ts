/**
 * Programs made at random, and changed from real ones: each that the verifier accepts is run, with every value held
 * against what the proof claimed; each is shown to this machine's Linux, if it may be asked.
 *
 * `npm run soundness -- [--programs N] [--from N] [--seed S] [--linux] [--data DIR] [--seconds N]
 * [--most-findings N]`
 */
import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { accesses } from '../test/soundness/accesses.ts'
import { Campaign, describeFinding } from '../test/soundness/campaign.ts'
import { TYPES as HELPER_TYPES } from '../test/soundness/helper-calls.ts'
import { LinuxKernel } from '../test/soundness/linux.ts'
import { readRecorded } from '../test/soundness/recorded.ts'
import { Corpus } from './verifier-corpus.ts'

const LAST_HELPER = 211
const HELPER_ROUNDS = 3

const { values } = parseArgs({
  options: {
    programs: { type: 'string', default: '10000' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    linux: { type: 'boolean', default: false },
    data: { type: 'string', default: '../shared/data/verifier' },
    seconds: { type: 'string', default: '1000000' },
    'most-findings': { type: 'string', default: '20' },
  },
})
const seed = Number(values.seed)
const from = Number(values.from)
const programs = Number(values.programs)
const seconds = Number(values.seconds)
const mostFindings = Number(values['most-findings'])

const kernel = values.linux ? LinuxKernel.open() : undefined
if (typeof kernel === 'string') {
  console.error(`Linux cannot be asked: ${kernel}`)
  process.exit(2)
}
const recorded = existsSync(values.data) && Corpus.isAt(values.data) ? readRecorded(values.data) : []
console.log(`seed ${seed}, ${recorded.length} recorded programs to change`)

const campaign = new Campaign({ seed, recorded, ...(kernel === undefined ? {} : { kernel }) })
const started = performance.now()
if (kernel !== undefined) {
  for (let id = 1; id <= LAST_HELPER; id++) {
    for (const type of HELPER_TYPES) {
      for (let round = 0; round < HELPER_ROUNDS; round++) campaign.tryHelper(id, type, round)
    }
  }
}
if (kernel !== undefined && from === 0) {
  let number = 0
  for (const subject of accesses()) campaign.tryAccess(subject, number++)
}
let reported = started
let printed = 0
for (let index = from; index < from + programs; index++) {
  campaign.try(index)
  for (; printed < campaign.findings.length; printed++) {
    console.log(`\n${describeFinding(seed, campaign.findings[printed]!)}\n`)
  }
  if (printed >= mostFindings || performance.now() - started > seconds * 1000) break
  if (performance.now() - reported > 30_000) {
    reported = performance.now()
    console.log(`${index + 1 - from} programs, ${((reported - started) / 1000).toFixed(0)} s`)
  }
}
const { counts } = campaign
console.log(`
programs       ${counts.programs}, of which ${counts.tooLong} took too many steps
accepted       ${counts.accepted} (${((100 * counts.accepted) / counts.programs).toFixed(1)} %), refused ${counts.refused}
run            ${counts.run} programs, ${counts.runs} times, ${counts.stopped} stopped by the budget; ${counts.notRun} need what is not there
held           ${campaign.values} values and bounds at ${campaign.steps} instructions`)
if (kernel !== undefined) {
  console.log(
    `shown to Linux ${counts.shown}, of which ${counts.helperCalls} calls of one helper, ${counts.accesses} accesses: ${counts.sameVerdict} same verdict, ${counts.sameLine} of ${counts.refusedByBoth} refusals with the same line, ${counts.sameProcessed} of ${counts.comparedProcessed} with as many instructions processed`,
  )
  for (const [kind, count] of campaign.known) console.log(`  known: ${kind}: ${count}`)
}
console.log(`findings       ${campaign.findings.length}`)
process.exit(campaign.findings.length > 0 ? 1 : 0)
