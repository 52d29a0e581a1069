/**
 * `npm run bench:jit`: what a run of each program costs in the interpreter, the compiler, Linux's JIT and natively
 * (clang -O2 of the same C), and what loading it costs. `-- --object FILE [--program NAME] [--data-in FILE]` measures
 * any object; `-- --rounds N` takes more medians.
 *
 * Rules: every figure is the median of rounds, and the contestants take turns, a round each, so that what else the
 * machine does meets all of them; the time in which others run is left out, as in Linux's own figure. The compiler's
 * code is warm: V8 has compiled it with its optimizing compiler. A load goes from the object's bytes to the first result,
 * in a process that has loaded the program before, and in one that has loaded nothing (first load).
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { type Measured as Compared, verdicts } from './support/bars.ts'
import { type BenchObject, readBenchObject } from './support/bench-object.ts'
import { type Contestant, Engines } from './support/engines.ts'

const { values: options } = parseArgs({
  options: {
    object: { type: 'string' },
    program: { type: 'string' },
    'data-in': { type: 'string' },
    rounds: { type: 'string', default: '9' },
    only: { type: 'string' },
    /** What this process is started for once for each program: its first load. */
    cold: { type: 'string' },
  },
})
const rounds = Number(options.rounds)
// Built into bench/dist/bench: what runs hot must not go through a loader that changes it.
const here = join(import.meta.dirname, '..', '..')
const programs = join(here, 'programs', 'jit')
const packet =
  options['data-in'] === undefined ? new Uint8Array(64) : new Uint8Array(readFileSync(options['data-in']))
const ROUND_NS = 2_000_000

const median = (times: readonly number[]): number =>
  [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN

if (options.cold !== undefined) {
  const object = readBenchObject(options.cold, options.program)
  console.log(new Engines(readFileSync(options.cold), object, packet).load())
  process.exit()
}

/** What the first load of a process takes, ns: the median of a few processes. */
function coldLoad(file: string): number {
  const again = process.argv
    .slice(2)
    .filter((_, n, all) => all[n] !== '--object' && all[n - 1] !== '--object')
  const started = [process.argv[1] as string, ...again, '--cold', file]
  return median(
    Array.from({ length: 3 }, () => Number(execFileSync(process.execPath, started, { encoding: 'utf8' }))),
  )
}

const repeatsFor = (ns: number): number =>
  Math.max(10, Math.min(1_000_000, Math.floor(ROUND_NS / Math.max(1, ns))))

/** The child that runs programs on this machine's kernel; undefined where it may not. */
class Linux implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'anybpf-bench-'))
  readonly #binary = join(this.#directory, 'linux-run')
  readonly #children: ChildProcess[] = []
  #libraries = 0

  constructor() {
    execFileSync('gcc', ['-O2', '-o', this.#binary, join(here, 'support', 'linux-run.c')])
    execFileSync('gcc', ['-O2', '-o', this.native, join(here, 'support', 'native-run.c'), '-ldl'])
  }

  get native(): string {
    return join(this.#directory, 'native-run')
  }

  get directory(): string {
    return this.#directory
  }

  async prepare(object: BenchObject): Promise<Contestant | string> {
    const child = spawn(this.#binary, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#children.push(child)
    const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const ask = async (line: string): Promise<string> => {
      child.stdin.write(`${line}\n`)
      const { value } = await answers.next()
      if (value?.startsWith('ok') !== true) throw new Error(value ?? 'the kernel runner has ended')
      return value.slice(3)
    }
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
    try {
      for (const [n, map] of object.maps.entries()) {
        await ask(
          `map ${n} ${map.type} ${map.keySize} ${map.valueSize} ${map.maxEntries} ${map.flags & ~0x400}`,
        )
        if (map.initialValue !== undefined) await ask(`value ${n} ${hex(map.initialValue)}`)
      }
      const loadNs = Number(await ask(`load ${object.programType} ${hex(object.encoded)}`))
      const run = async (repeat: number) =>
        (await ask(`run ${repeat} 1 ${hex(packet)}`)).split(' ').map(Number) as [number, number]
      const [result, first] = await run(1)
      const repeat = repeatsFor((await run(1000))[1])
      return { result: result >>> 0, loadNs: loadNs + first, round: async () => (await run(repeat))[1] }
    } catch (error) {
      return String(error instanceof Error ? error.message : error)
    }
  }

  prepareNative(source: string): Contestant | string {
    try {
      const library = join(this.#directory, `${this.#libraries++}.so`)
      execFileSync('clang-19', ['-O2', '-w', '-DNATIVE', '-shared', '-fPIC', '-o', library, source])
      const ask = (repeat: number) =>
        execFileSync(this.native, [library, `${repeat}`, '1'], { encoding: 'utf8' })
          .trim()
          .split(' ')
          .map(Number) as [number, number]
      const [result, each] = ask(1000)
      const repeat = repeatsFor(each)
      return { result: result >>> 0, loadNs: 0, round: async () => ask(repeat)[1] }
    } catch (error) {
      return String(error)
    }
  }

  /** Ends the runners of one program. */
  release(): void {
    for (const child of this.#children.splice(0)) child.stdin?.end()
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

interface Measured {
  readonly ns: number
  readonly loadNs: number
}

const files =
  options.object === undefined
    ? readdirSync(programs)
        .filter(
          (file) => file.endsWith('.bpf.o') && (options.only === undefined || file.includes(options.only)),
        )
        .map((file) => join(programs, file))
    : [options.object]

using linux = new Linux()
const table: Record<string, string>[] = []
const compared: Compared[] = []
for (const file of files) {
  const object = readBenchObject(file, options.program)
  const name = file.replace(/.*\//, '').replace(/\.bpf\.o$|\.o$/, '')
  const source = file.replace(/\.o$/, '.c')
  const contestants: Record<string, Contestant | string> = {
    ...(await new Engines(readFileSync(file), object, packet).prepare(ROUND_NS)),
    theirs: await linux.prepare(object),
    native: options.object === undefined ? linux.prepareNative(source) : 'no source',
  }
  const times = new Map(Object.keys(contestants).map((who) => [who, [] as number[]]))
  for (let round = 0; round < rounds; round++) {
    for (const [who, contestant] of Object.entries(contestants)) {
      if (typeof contestant !== 'string') times.get(who)?.push(await contestant.round())
    }
  }
  linux.release()
  const measured = (who: string): Measured | string => {
    const contestant = contestants[who] as Contestant | string
    return typeof contestant === 'string'
      ? contestant
      : { ns: median(times.get(who) ?? []), loadNs: contestant.loadNs }
  }
  const wanted = contestants.theirs as Contestant | string
  for (const [who, contestant] of Object.entries(contestants)) {
    if (typeof contestant === 'string') {
      if (contestant !== 'no source') console.error(`${name}: ${who}: ${contestant}`)
    } else if (typeof wanted !== 'string' && contestant.result !== wanted.result) {
      console.error(`${name}: ${who} returned ${contestant.result}, Linux ${wanted.result}`)
    }
  }
  const theirs = measured('theirs')
  const native = measured('native')
  const [interpreter, checked, jit] = ['interpreter', 'checked', 'jit'].map(
    (who) => measured(who) as Measured,
  ) as [Measured, Measured, Measured]
  const hasMaps = object.maps.some(({ origin }) => origin === 'btf' || origin === 'legacy')
  const show = (each: Measured | string) =>
    typeof each === 'string' ? '-' : each.ns < 100 ? each.ns.toFixed(1) : each.ns.toFixed(0)
  const ratio = typeof theirs === 'string' ? Number.NaN : jit.ns / theirs.ns
  const slots = object.instructions.length
  const hasCalls = object.instructions.some(({ opcode, src }) => opcode === 0x85 && src === 1)
  compared.push({
    name,
    slots,
    kind: hasMaps ? 'maps' : hasCalls ? 'calls' : 'plain',
    ratio,
    loadNs: jit.loadNs,
  })
  table.push({
    program: name,
    slots: `${object.instructions.length}`,
    interpreter: show(interpreter),
    'checked JIT': show(checked),
    JIT: show(jit),
    Linux: show(theirs),
    native: show(native),
    'JIT/Linux': ratio.toFixed(2),
    'JIT/native': typeof native === 'string' ? '-' : (jit.ns / native.ns).toFixed(2),
    'load, us': (jit.loadNs / 1000).toFixed(0),
    'first load, us': (coldLoad(file) / 1000).toFixed(0),
    'Linux load, us': typeof theirs === 'string' ? '-' : (theirs.loadNs / 1000).toFixed(0),
  })
  console.error(`${name} ...`)
}

const columns = Object.keys(table[0] ?? {})
console.log(`| ${columns.join(' | ')} |`)
console.log(`|${columns.map((_, n) => (n === 0 ? '---' : '---:')).join('|')}|`)
for (const row of table) console.log(`| ${columns.map((column) => row[column]).join(' | ')} |`)
console.log(`\n${verdicts(compared).join('\n')}`)
