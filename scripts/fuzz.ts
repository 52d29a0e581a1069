/**
 * Throws bad input at everything that takes bytes from outside.
 *
 * Run: `npm run fuzz -- [--target elf,btf,...] [--runs N] [--seed S] [--objects PATH]... [--out DIR]`, or
 * `npm run fuzz -- --target elf --replay FILE...` for inputs that failed once.
 *
 * Each target runs in a process of its own, which is ended when it hangs and whose memory is limited; the input that
 * it was at is then kept. What fails is made small and written to `--out`. Exits with 1 if anything failed.
 */
import { fork } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Failure, fuzz } from '../test/fuzz/loop.ts'
import { difference, fails, shrunken } from '../test/fuzz/shrink.ts'
import { makeTarget, type TargetName, targetNames } from '../test/fuzz/targets/all.ts'

/** Of the processor's time, as a busy machine makes everything take long. */
const HANGS_AFTER_S = 120
const HEAP_MB = 1024
const MOST_FAILURES = 10
const WAYS_SHOWN = 12

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    target: { type: 'string', default: targetNames.join(',') },
    runs: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    objects: { type: 'string', multiple: true, default: [] },
    out: { type: 'string', default: 'fuzz-failures' },
    verdicts: { type: 'string', default: '../shared/data/verifier' },
    replay: { type: 'boolean', default: false },
    /** For the processes that this one starts: where to note the input before it runs. */
    note: { type: 'string' },
  },
})

const names = values.target.split(',')
const unknown = names.find((name) => !(targetNames as readonly string[]).includes(name))
if (unknown !== undefined) {
  console.error(`no target '${unknown}', only ${targetNames.join(', ')}`)
  process.exit(2)
}
const corpus = { paths: values.objects, useKernelTypes: true, verdicts: values.verdicts }

if (values.replay) process.exitCode = replay(names[0] as TargetName, positionals)
else if (values.note !== undefined) run(names[0] as TargetName, values.note)
else for (const name of names) if (!(await watched(name))) process.exitCode = 1

function replay(name: TargetName, files: readonly string[]): number {
  const target = makeTarget(name, corpus)
  const message = fails(
    target,
    files.map((file) => new Uint8Array(readFileSync(file))),
  )
  console.log(message ?? 'nothing wrong')
  return message === undefined ? 0 : 1
}

/** The runs themselves, in a process that may be ended. */
function run(name: TargetName, note: string): void {
  const target = makeTarget(name, corpus)
  if (target.seeds.length === 0) {
    console.log(`${name}: skipped, there is nothing to begin with (verdicts in ${values.verdicts}?)`)
    return
  }
  const start = performance.now()
  const report = fuzz(target, {
    runs: Number(values.runs),
    seed: Number(values.seed),
    mostFailures: MOST_FAILURES,
    onInput: (_, input) => writeFileSync(note, input),
  })
  const seconds = (performance.now() - start) / 1000
  const { runs, accepted, ways, slowestMs, mostMemoryBytes, failures } = report
  console.log(
    `${name}: ${runs} runs in ${seconds.toFixed(0)} s from ${target.seeds.length} seeds, ${accepted} accepted, ` +
      `${ways.size} ways, slowest ${slowestMs.toFixed(0)} ms, most memory ${(mostMemoryBytes / 2 ** 20).toFixed(0)} MiB, ` +
      `${failures.length} failures (--seed ${values.seed})`,
  )
  for (const [what, count] of target.counts) console.log(`  ${what}: ${count}`)
  const commonest = [...ways].sort((a, b) => b[1] - a[1]).slice(0, WAYS_SHOWN)
  for (const [way, count] of commonest) console.log(`  ${String(count).padStart(8)} ${way}`)
  if (report.slowestInput !== undefined) keep(`${name}-slowest`, report.slowestInput)
  for (const failure of failures) show(shrunken(target, failure))
  process.exitCode = failures.length > 0 ? 1 : 0
}

function show(failure: Failure): void {
  console.log(`\nFAILED in run ${failure.run}, seed input ${failure.seed.name}: ${failure.message}`)
  console.log(failure.stack.split('\n').slice(1, 8).join('\n'))
  const files = failure.inputs.map((input, i) => keep(`${failure.target}-${failure.run}-${i}`, input))
  const last = failure.inputs.at(-1)
  if (last !== undefined) console.log(`changed: ${difference(failure.seed.bytes, last)}`)
  console.log(`again: npm run fuzz -- --target ${failure.target} --replay ${files.join(' ')}`)
}

function keep(name: string, input: Uint8Array): string {
  mkdirSync(values.out, { recursive: true })
  const file = join(values.out, `${name}.bin`)
  writeFileSync(file, input)
  return file
}

/** Runs the target in another process; where that ends or hangs, what it was at is kept. */
async function watched(name: string): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'anybpf-fuzz-'))
  const note = join(folder, 'input')
  const objects = values.objects.flatMap((path) => ['--objects', path])
  const { runs, seed, out, verdicts } = values
  const args = [
    ...['--target', name, '--runs', runs, '--seed', seed, '--out', out],
    ...['--verdicts', verdicts],
  ]
  const child = fork(fileURLToPath(import.meta.url), [...args, ...objects, '--note', note], {
    execArgv: ['--import', 'tsx', `--max-old-space-size=${HEAP_MB}`],
  })
  let isHanging = false
  let seen = { mtimeMs: 0, usedS: 0 }
  const watch = setInterval(() => {
    const { mtimeMs } = statSync(note, { throwIfNoEntry: false }) ?? seen
    const usedS = processorSeconds(child.pid ?? 0)
    if (mtimeMs !== seen.mtimeMs) seen = { mtimeMs, usedS }
    isHanging = usedS - seen.usedS > HANGS_AFTER_S
    if (isHanging) child.kill('SIGKILL')
  }, 1000)
  const status = await new Promise<number | null>((resolve) => child.on('exit', resolve))
  clearInterval(watch)
  if (status !== 0 && status !== 1) {
    const what = isHanging ? `hung for ${HANGS_AFTER_S} s` : 'ended the process (out of memory?)'
    mkdirSync(values.out, { recursive: true })
    const file = join(values.out, `${name}-${isHanging ? 'hang' : 'death'}-${values.seed}.bin`)
    copyFileSync(note, file)
    console.log(`${name}: a run ${what}: ${file}`)
  }
  rmSync(folder, { recursive: true })
  return status === 0
}

/** What a process has used of the processor; the time that has gone by where the system does not tell. */
function processorSeconds(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
    // Fields 14 and 15, in ticks of which Linux has a hundred a second.
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return performance.now() / 1000
  }
}
