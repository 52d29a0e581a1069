/**
 * `npm run bench:load -- FILE...`: what loading takes, from an object's bytes to maps and programs that are ready:
 * this project's client and kernel, beside libbpf and the running Linux, in one run. Files are objects, programs that
 * hold some (libbpf-tools), or folders; those of this project are always measured. Needs root, gcc and libbpf-dev.
 *
 * Rules: both load the same programs of an object, those that both take, and both fit them to this machine's kernel.
 * *Cold* is the first load of a process, *warm* the median of the seven behind it, *steady* that of the last twenty of
 * forty, when the engine has compiled what it will: each the median of several processes. The time in which other
 * processes run is left out. What both kernels know before is not counted; what a client reads of them is.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Btf, BtfError } from '../src/btf/index.ts'
import { type Collection, LoadError, load, ObjectError } from '../src/client/index.ts'
import { createKernel } from '../src/kernel/index.ts'
import { LinuxUnavailable, openLinux } from '../src/ports/linux/index.ts'
import { objectsUnder } from '../test/support/embedded-objects.ts'
import { LinuxFactsPort, VMLINUX } from '../test/support/linux-facts-port.ts'
import { linuxVersion, loadsOf, openTool } from '../test/support/tool-loads.ts'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    processes: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '40' },
    /** For the processes that this one starts: an object file; the positionals are programs. */
    one: { type: 'string' },
  },
})
const rounds = Number(options.rounds)
const WHEN = ['cold', 'warm', 'steady'] as const
const here = join(import.meta.dirname, '..', '..')
const ms = (ns: number): string => (ns / 1e6).toFixed(2)
const median = (times: readonly number[]): number =>
  [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN

if (options.one !== undefined) loadOne(options.one, positionals)
else compareAll(positionals)

/** Loads the object again and again, and prints what each time took. */
function loadOne(file: string, programs: readonly string[]): void {
  const bytes = new Uint8Array(readFileSync(file))
  using kernel = createKernel({ port: new LinuxFactsPort() })
  using client = kernel.openClient()
  // Linux has made its types when it booted.
  client.close(client.open(VMLINUX, 0))
  const kconfig = { LINUX_KERNEL_VERSION: linuxVersion() }
  for (let round = 0; round < rounds; round++) {
    const start = process.hrtime.bigint()
    const cpu = process.cpuUsage()
    const spec = openTool(bytes, 'object')
    const loaded: Collection | LoadError =
      spec instanceof ObjectError
        ? new LoadError('no-program', '', spec.message)
        : load(spec, client, { programs, kconfig })
    const { user, system } = process.cpuUsage(cpu)
    const took = Math.min(Number(process.hrtime.bigint() - start), (user + system) * 1000)
    if (loaded instanceof LoadError) throw new Error(loaded.message)
    loaded[Symbol.dispose]()
    console.log(`${took}`)
  }
}

interface Times {
  readonly cold: number
  readonly warm: number
  readonly steady: number
}

/** The medians of several processes. */
function measure(command: string, args: readonly string[]): Times {
  const all: Times[] = []
  for (let i = 0; i < Number(options.processes); i++) {
    const times = execFileSync(command, args, { encoding: 'utf8' }).trim().split('\n').map(Number)
    all.push({
      cold: times[0] as number,
      warm: median(times.slice(1, 8)),
      steady: median(times.slice(-Math.ceil(times.length / 2))),
    })
  }
  const of = (when: keyof Times): number => median(all.map((times) => times[when]))
  return { cold: of('cold'), warm: of('warm'), steady: of('steady') }
}

interface Row {
  readonly name: string
  readonly programs: number
  readonly ours: Times
  readonly libbpf: Times
}

function compareAll(paths: readonly string[]): void {
  const linux = openLinux()
  if (linux instanceof LinuxUnavailable) return void console.log(`skipped: ${linux.message}`)
  const folder = mkdtempSync(join(tmpdir(), 'anybpf-load-'))
  const runner = join(folder, 'libbpf-load')
  execFileSync('gcc', ['-O2', '-o', runner, join(here, 'support', 'libbpf-load.c'), '-lbpf'])
  const port = new LinuxFactsPort()
  const types = Btf.parse(port.types as Uint8Array)
  if (types instanceof BtfError) throw new Error(types.message)
  using kernel = createKernel({ port })
  const rows: Row[] = []
  const skipped: string[] = []
  for (const { name, bytes } of objectsUnder([join(here, '..', 'bpf'), ...paths])) {
    const file = join(folder, `${name}.bpf.o`)
    writeFileSync(file, bytes)
    using ours = kernel.openClient()
    const spec = openTool(bytes, name)
    const loads = spec instanceof ObjectError ? [] : [...loadsOf(spec, { ours, linux, types })]
    const programs = loads
      .filter((one) => one.ours === undefined && one.linux === undefined)
      .map((one) => one.program)
    if (programs.length === 0) {
      skipped.push(name)
      continue
    }
    const node = [import.meta.filename, '--rounds', `${rounds}`, '--one', file, ...programs]
    try {
      rows.push({
        name,
        programs: programs.length,
        ours: measure(process.execPath, node),
        libbpf: measure(runner, [file, `${rounds}`, ...programs]),
      })
      print(rows.at(-1) as Row)
    } catch (error) {
      skipped.push(`${name} (${String(error).split('\n')[0]})`)
    }
  }
  linux[Symbol.dispose]()
  rmSync(folder, { recursive: true })
  summarize(rows)
  if (skipped.length > 0) console.log(`\nno program that both take all at once: ${skipped.join(', ')}`)
}

function print({ name, programs, ours, libbpf }: Row): void {
  const columns = WHEN.map(
    (when) => `${ms(ours[when])} | ${ms(libbpf[when])} | ${(ours[when] / libbpf[when]).toFixed(2)}`,
  )
  console.log(`| ${name} | ${programs} | ${columns.join(' | ')} |`)
}

function summarize(rows: readonly Row[]): void {
  const sum = (of: (row: Row) => number): number => rows.reduce((total, row) => total + of(row), 0)
  const total = (who: 'ours' | 'libbpf'): Times => ({
    cold: sum((row) => row[who].cold),
    warm: sum((row) => row[who].warm),
    steady: sum((row) => row[who].steady),
  })
  print({
    name: `all ${rows.length}`,
    programs: sum((row) => row.programs),
    ours: total('ours'),
    libbpf: total('libbpf'),
  })
  const over = WHEN.map((when) => `${rows.filter((row) => row.ours[when] > row.libbpf[when]).length} ${when}`)
  console.log(`\nlonger than libbpf: ${over.join(', ')}, of ${rows.length}`)
}
