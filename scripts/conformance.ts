/**
 * Runs a folder of bpf_conformance `.data` files: `npm run conformance -- DIR [--engine NAME]`.
 * One line per failure, then the totals; the status is 1 where anything failed.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { conformanceEngines, conformanceFailure, parseConformanceTest } from '../src/cli/conformance.ts'

const { values, positionals } = parseArgs({
  options: { engine: { type: 'string', default: 'interpreter' } },
  allowPositionals: true,
})
const engine = conformanceEngines[values.engine]
const [directory] = positionals

function fail(message: string): never {
  console.error(`conformance: ${message}`)
  console.error('usage: npm run conformance -- DIR [--engine NAME]')
  process.exit(2)
}
if (directory === undefined || positionals.length > 1) fail('expected one folder of .data files')
if (engine === undefined) {
  fail(`no engine ${values.engine}; there is ${Object.keys(conformanceEngines).join(', ')}`)
}
if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) fail(`${directory} is no folder`)

const files = readdirSync(directory, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.data'))
  .sort()
const totals = { passed: 0, failed: 0, skipped: 0 }
for (const file of files) {
  const parsed = parseConformanceTest(readFileSync(join(directory, file), 'utf8'))
  if (parsed.kind === 'skip') {
    totals.skipped++
    console.log(`skip ${file}: ${parsed.reason}`)
    continue
  }
  const failure = parsed.kind === 'malformed' ? parsed.reason : conformanceFailure(parsed.test, engine)
  if (failure === undefined) totals.passed++
  else {
    totals.failed++
    console.log(`FAIL ${file}: ${failure}`)
  }
}
console.log(
  `conformance: ${totals.passed} of ${files.length} passed, ${totals.failed} failed, ${totals.skipped} skipped (engine ${values.engine})`,
)
process.exitCode = totals.failed > 0 || files.length === 0 ? 1 : 0
