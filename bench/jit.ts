/**
 * `npm run bench:jit`: what a run of each program costs in the interpreter, the compiler, Linux's JIT and natively
 * (clang -O2 of the same C), and what loading it costs. `-- --object FILE [--program NAME] [--data-in FILE]` measures
 * any object; `-- --rounds N` takes more medians.
 *
 * Rules: every figure is the median of rounds, each long enough to be timed; the rounds of the four follow each other
 * program by program, so that a change of the machine's clock meets all of them. The compiler's code is warm: V8 has
 * compiled it with its optimizing compiler, which a first round waits for.
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { type BenchObject, readBenchObject } from './support/bench-object.ts'
import { Engines } from './support/engines.ts'

const { values: options } = parseArgs({
  options: {
    object: { type: 'string' },
    program: { type: 'string' },
    'data-in': { type: 'string' },
    rounds: { type: 'string', default: '9' },
    only: { type: 'string' },
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

/** The child that runs programs on this machine's kernel; undefined where it may not. */
class Linux implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'anybpf-bench-'))
  readonly #binary = join(this.#directory, 'linux-run')

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

  async measure(object: BenchObject): Promise<Measured | string> {
    const child = spawn(this.#binary, { stdio: ['pipe', 'pipe', 'inherit'] })
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
      const [result, first] = (await ask(`run 1 1 ${hex(packet)}`)).split(' ').map(Number) as [number, number]
      const [, each] = (await ask(`run 1000 1 ${hex(packet)}`)).split(' ').map(Number) as [number, number]
      const repeat = Math.max(10, Math.min(1_000_000, Math.floor(ROUND_NS / Math.max(1, each))))
      const times = (await ask(`run ${repeat} ${rounds} ${hex(packet)}`)).split(' ').map(Number)
      return { result: result >>> 0, ns: median(times.slice(1)), loadNs: loadNs + first }
    } catch (error) {
      return String(error instanceof Error ? error.message : error)
    } finally {
      child.stdin.end()
    }
  }

  measureNative(source: string): Measured | string {
    try {
      const library = join(this.#directory, 'program.so')
      execFileSync('clang-19', ['-O2', '-w', '-DNATIVE', '-shared', '-fPIC', '-o', library, source])
      const ask = (repeat: number, count: number) =>
        execFileSync(this.native, [library, `${repeat}`, `${count}`], { encoding: 'utf8' })
          .trim()
          .split(' ')
          .map(Number)
      const each = ask(1000, 1)[1] as number
      const repeat = Math.max(10, Math.min(1_000_000, Math.floor(ROUND_NS / Math.max(1, each))))
      const [result, ...times] = ask(repeat, rounds)
      return { result: (result as number) >>> 0, ns: median(times), loadNs: 0 }
    } catch (error) {
      return String(error)
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

export interface Measured {
  readonly result: number
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
const ratios: { hasMaps: boolean; ratio: number }[] = []
for (const file of files) {
  const object = readBenchObject(file, options.program)
  const name = file.replace(/.*\//, '').replace(/\.bpf\.o$|\.o$/, '')
  const ours = await new Engines(readFileSync(file), object, packet).measure(rounds, ROUND_NS)
  const theirs = await linux.measure(object)
  const source = file.replace(/\.o$/, '.c')
  const native = options.object === undefined ? linux.measureNative(source) : 'no source'
  const hasMaps = object.maps.some(({ origin }) => origin === 'btf' || origin === 'legacy')
  const show = (measured: Measured | string) =>
    typeof measured === 'string' ? '-' : measured.ns < 100 ? measured.ns.toFixed(1) : measured.ns.toFixed(0)
  for (const [who, measured] of Object.entries({ theirs, native, ...ours })) {
    if (typeof measured === 'string') {
      if (measured !== 'no source') console.error(`${name}: ${who}: ${measured}`)
    } else if (typeof theirs !== 'string' && measured.result !== theirs.result) {
      console.error(`${name}: ${who} returned ${measured.result}, Linux ${theirs.result}`)
    }
  }
  const { jit, checked, interpreter } = ours
  const ratio = typeof theirs === 'string' ? Number.NaN : jit.ns / theirs.ns
  if (!Number.isNaN(ratio)) ratios.push({ hasMaps, ratio })
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
    'Linux load, us': typeof theirs === 'string' ? '-' : (theirs.loadNs / 1000).toFixed(0),
  })
  console.error(`${name} ...`)
}

const columns = Object.keys(table[0] ?? {})
console.log(`| ${columns.join(' | ')} |`)
console.log(`|${columns.map((_, n) => (n === 0 ? '---' : '---:')).join('|')}|`)
for (const row of table) console.log(`| ${columns.map((column) => row[column]).join(' | ')} |`)
const mean = (hasMaps: boolean) => {
  const logs = ratios.filter((each) => each.hasMaps === hasMaps).map(({ ratio }) => Math.log(ratio))
  return logs.length === 0 ? '-' : Math.exp(logs.reduce((a, b) => a + b, 0) / logs.length).toFixed(2)
}
console.log(`\nJIT/Linux, geometric mean: ${mean(false)} without maps, ${mean(true)} with maps`)
