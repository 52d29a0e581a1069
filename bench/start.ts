/**
 * `npm run bench:start`: what short commands take, from the start of their process to its end, in ms: as one script
 * whose compiled code is kept, the same script without kept code, as modules, and beside them a bare Node and bpftool,
 * in one run. Then what a program takes that imports client and kernel, as few files and as modules. Medians of rounds
 * in which they take turns, and the ratio to the modules' time.
 *
 * The commands: `--help`; proving an object of this project; listing the maps of the running Linux (as root).
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '15' } } })
const root = join(import.meta.dirname, '..')
const cache = mkdtempSync(join(tmpdir(), 'anybpf-start-'))
const main = join(root, 'dist/cli/main.js')
const modules = join(root, 'dist/cli/start.js')

interface Contestant {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

const node = process.execPath
const contestants = (argv: readonly string[], bpftool?: readonly string[]): Contestant[] => [
  { name: 'kept', command: node, args: [main, ...argv], env: { XDG_CACHE_HOME: cache } },
  { name: 'script', command: node, args: [main, ...argv], env: { NODE_DISABLE_COMPILE_CACHE: '1' } },
  { name: 'modules', command: node, args: [modules, ...argv] },
  { name: 'node', command: node, args: ['-e', '0'] },
  ...(bpftool === undefined ? [] : [{ name: 'bpftool', command: 'bpftool', args: bpftool }]),
]

const importing = (folder: string): Contestant['args'] => [
  '--input-type=module',
  '-e',
  ['client', 'kernel'].map((name) => `await import('${join(root, folder, name, 'index.js')}')`).join(';'),
]
const imports: readonly Contestant[] = [
  { name: 'script', command: node, args: importing('dist/node') },
  { name: 'modules', command: node, args: importing('dist') },
  { name: 'node', command: node, args: ['-e', '0'] },
]

/** Milliseconds from start to end; undefined: it cannot be run here. */
function timeOf({ command, args, env }: Contestant): number | undefined {
  const start = process.hrtime.bigint()
  const { status } = spawnSync(command, args, { cwd: root, env: { ...process.env, ...env }, stdio: 'ignore' })
  return status === 0 ? Number(process.hrtime.bigint() - start) / 1e6 : undefined
}

const median = (times: readonly number[]): number =>
  [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN

const ROWS: readonly (readonly [string, readonly Contestant[]])[] = [
  ['--help', contestants(['--help'], ['version'])],
  ['verify', contestants(['verify', 'bpf/opensnoop.bpf.o'])],
  ['map list --on linux', contestants(['map', 'list', '--on', 'linux'], ['map', 'list'])],
  ['import', imports],
]

console.log('| command | kept | script | modules | node | bpftool | to modules |')
console.log('|---|---:|---:|---:|---:|---:|---:|')
for (const [name, taking] of ROWS) {
  const times = new Map<string, number[]>()
  // The first round is not counted: it makes the code that is kept.
  for (let round = 0; round <= Number(values.rounds); round++) {
    for (const contestant of taking) {
      const ms = timeOf(contestant)
      if (round > 0 && ms !== undefined)
        times.set(contestant.name, [...(times.get(contestant.name) ?? []), ms])
    }
  }
  const of = (who: string): number => median(times.get(who) ?? [])
  const columns = ['kept', 'script', 'modules', 'node', 'bpftool'].map((who) =>
    times.has(who) ? of(who).toFixed(0) : '',
  )
  const best = of(times.has('kept') ? 'kept' : 'script')
  console.log(`| ${name} | ${columns.join(' | ')} | ${(best / of('modules')).toFixed(2)} |`)
}
rmSync(cache, { recursive: true })
