/**
 * What the running Linux says of the programs of object files, in the form that `npm run agreement` reads:
 * `npx tsx scripts/record-verdicts.ts OBJECT... --out DIR [--corpus NAME]`. Needs root.
 *
 * Every program of every object is loaded by itself, and closed again; nothing is attached. Programs that do not reach
 * the verifier (a map that cannot be made, an attach point that is not there) are counted and left out.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { BPF_MAP_TYPE, BPF_PROG_TYPE } from '../src/abi/index.ts'
import { Btf, BtfError } from '../src/btf/index.ts'
import {
  type CollectionSpec,
  LoadError,
  load,
  ObjectError,
  open,
  VerifierError,
} from '../src/client/index.ts'
import { LinuxUnavailable, openLinux } from '../src/ports/linux/index.ts'
import { LoadRecorder } from './load-recorder.ts'
import type { RecordedLoad, RecordedVerdict } from './verifier-corpus.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { out: { type: 'string' }, corpus: { type: 'string' } },
})
const { out, corpus = 'recorded' } = values
if (out === undefined || positionals.length === 0) {
  console.error('usage: npx tsx scripts/record-verdicts.ts OBJECT... --out DIR [--corpus NAME]')
  process.exit(2)
}

/** Figures alone: a log of every instruction would take most of the time, and fill any buffer. */
const LOG_FIGURES = 4
const LOG_INSTRUCTIONS = 1

/** Types of maps whose size the object leaves to the program that loads it. */
const ELEMENTS: readonly number[] = [
  BPF_MAP_TYPE.BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE.BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE.BPF_MAP_TYPE_STACK_TRACE,
  BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY,
  BPF_MAP_TYPE.BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE.BPF_MAP_TYPE_SOCKHASH,
  BPF_MAP_TYPE.BPF_MAP_TYPE_SOCKMAP,
]
const RING_BYTES = 4096

function sizes(spec: CollectionSpec): Record<string, number> {
  const found: Record<string, number> = {}
  for (const map of spec.maps) {
    if (map.maxEntries !== 0) continue
    if (ELEMENTS.includes(map.type)) found[map.name] = 1
    if (map.type === BPF_MAP_TYPE.BPF_MAP_TYPE_RINGBUF) found[map.name] = RING_BYTES
  }
  return found
}

const typeNames = new Map(
  Object.entries(BPF_PROG_TYPE).map(([name, value]) => [value as number, name.slice(14).toLowerCase()]),
)

const kernel = openLinux()
if (kernel instanceof LinuxUnavailable) {
  console.error(kernel.message)
  process.exit(1)
}
const KERNEL_TYPES = '/sys/kernel/btf/vmlinux'
const kernelTypes = readFileSync(KERNEL_TYPES)
const parsed = Btf.parse(kernelTypes)
if (parsed instanceof BtfError) {
  console.error(`${KERNEL_TYPES}: ${parsed.message}`)
  process.exit(1)
}

const verdicts: RecordedVerdict[] = []
const loads: RecordedLoad[] = []
const logs: { id: string; log: string }[] = []
const leftOut = new Map<string, number>()
const recorder = new LoadRecorder(kernel)
const figure = (log: string, pattern: RegExp): number => Number(pattern.exec(log)?.[1] ?? -1)

/** The last line that is a reason, as opposed to a figure. */
const reasonIn = (log: string): string =>
  log
    .trimEnd()
    .split('\n')
    .findLast((line) => !/^(processed \d+ insns|verification time|stack depth)/.test(line)) ?? ''

/** The log of a program that is refused, kept. */
function refusal(result: ReturnType<typeof load>, id: string): string {
  if (!(result instanceof LoadError)) result[Symbol.dispose]()
  const log = result instanceof VerifierError ? result.log : ''
  logs.push({ id, log })
  return log
}

for (const file of positionals) {
  const object = basename(file)
  const spec = open(readFileSync(file), { name: object.replace(/(\.bpf)?\.o$/, '') })
  if (spec instanceof ObjectError) {
    leftOut.set(spec.message, (leftOut.get(spec.message) ?? 0) + 1)
    continue
  }
  for (const [idx, { name }] of spec.programs.entries()) {
    let log = ''
    const tried = (logLevel: number) =>
      load(spec, recorder.syscalls, {
        programs: [name],
        maxEntries: sizes(spec),
        targetBtf: parsed as Btf,
        logLevel,
        onLog: (_, text) => {
          log = text
        },
      })
    recorder.last = undefined
    const result = tried(LOG_FIGURES)
    const seen = recorder.last as LoadRecorder['last']
    if (result instanceof VerifierError) log = result.log
    else if (result instanceof LoadError || seen === undefined) {
      const why = result instanceof LoadError ? result.message : 'not loaded'
      const key = why.replace(/'[^']*'/g, '...')
      leftOut.set(key, (leftOut.get(key) ?? 0) + 1)
      continue
    }
    const isRefused = result instanceof VerifierError
    if (seen === undefined) continue
    const id = `${corpus}/${object}#${idx}`
    verdicts.push({
      id,
      corpus,
      object,
      program: name,
      prog_type: typeNames.get(seen.prog_type_id) ?? `${seen.prog_type_id}`,
      insn_cnt: Buffer.from(seen.insns, 'base64').length / 8,
      verdict: isRefused ? 'reject' : 'accept',
      errno: isRefused ? (result.errno ?? 0) : 0,
      message: isRefused ? reasonIn(refusal(tried(LOG_INSTRUCTIONS), id)) : '',
      processed_insns: figure(log, /^processed (\d+) insns/m),
      verification_time_us: figure(log, /^verification time (\d+) usec/m),
    })
    loads.push({ id, btf_dir: 'host', ...seen })
    if (!isRefused) result[Symbol.dispose]()
  }
}

const jsonLines = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('')
for (const folder of ['loads', 'logs', 'btf']) mkdirSync(join(out, folder), { recursive: true })
writeFileSync(join(out, 'verdicts.jsonl'), jsonLines(verdicts))
writeFileSync(join(out, `loads/${corpus}.jsonl.gz`), gzipSync(jsonLines(loads)))
writeFileSync(join(out, `logs/${corpus}.jsonl.gz`), gzipSync(jsonLines(logs)))
const blobs = [...recorder.blobs].map(([sha, btf]) => ({ sha, btf }))
writeFileSync(join(out, 'btf/blobs.jsonl.gz'), gzipSync(jsonLines(blobs)))
const { stdout } = spawnSync('xz', ['-c', '-1'], { input: kernelTypes, maxBuffer: 1 << 26 })
writeFileSync(join(out, 'btf/vmlinux-host.btf.xz'), stdout)

const accepted = verdicts.filter(({ verdict }) => verdict === 'accept').length
console.log(
  `${verdicts.length} programs recorded: ${accepted} accepted, ${verdicts.length - accepted} refused`,
)
for (const [why, count] of [...leftOut].sort((a, b) => b[1] - a[1]).slice(0, 20)) {
  console.log(`left out ${count}: ${why}`)
}
