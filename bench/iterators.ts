/**
 * `npm run bench:iterators`: what one round of a program's loop costs, by an open-coded iterator and by bpf_loop, here
 * and in Linux's JIT, as a ratio. Needs clang-19, and root for Linux.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Syscalls } from '../src/abi/index.ts'
import { LoadError, load, ObjectError, openObject, SyscallError } from '../src/client/index.ts'
import { createKernel } from '../src/kernel/index.ts'
import { TinyPort } from '../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../src/ports/linux/index.ts'

const ROUNDS = 10_000
const SUM = BigInt((ROUNDS * (ROUNDS - 1)) / 2)
const SAMPLES = 15
const REPEAT = 20

const source = join(import.meta.dirname, '..', '..', 'programs', 'iterators.bpf.c')
const directory = mkdtempSync(join(tmpdir(), 'anybpf-bench-'))
const object = join(directory, 'iterators.bpf.o')
execFileSync('clang-19', ['-target', 'bpf', '-mcpu=v3', '-O2', '-g', '-c', source, '-o', object])
const spec = openObject(new Uint8Array(readFileSync(object)), { name: 'iterators' })
rmSync(directory, { recursive: true })
if (spec instanceof ObjectError) throw new Error(spec.message)
const opened = spec

/** Nanoseconds of processor time for a round of the loop, the least of the samples. */
function measure(kernel: Syscalls, program: string): number {
  using collection = orThrow(load(opened, kernel, { programs: [program] }))
  const one = collection.program(program)
  const run = () => {
    const result = one.testRun({ data: new Uint8Array(64), repeat: REPEAT })
    if (result instanceof SyscallError) throw new Error(result.message)
    return result.durationNs
  }
  run()
  if (collection.globals.get('sum') !== SUM) throw new Error(`${program}: a wrong sum`)
  const times = Array.from({ length: SAMPLES }, () => {
    const start = process.cpuUsage()
    run()
    const { user, system } = process.cpuUsage(start)
    return ((user + system) * 1000) / REPEAT / ROUNDS
  })
  return Math.min(...times)
}

function orThrow<T>(value: T | LoadError): T {
  if (value instanceof LoadError) throw new Error(value.message)
  return value
}

const linux = openLinux()
for (const program of ['by_iterator', 'by_loop']) {
  const line = [program.padEnd(12)]
  const times: number[] = []
  for (const engine of ['jit', 'interpreter'] as const) {
    using kernel = createKernel({ port: new TinyPort(), engine })
    using client = kernel.openClient()
    const ns = measure(client, program)
    times.push(ns)
    line.push(`${engine} ${ns.toFixed(2)} ns a round`)
  }
  if (!(linux instanceof LinuxUnavailable)) {
    const ns = measure(linux, program)
    line.push(`Linux ${ns.toFixed(2)} ns`, `jit : Linux ${((times[0] ?? 0) / ns).toFixed(2)}`)
  }
  process.stdout.write(`${line.join('   ')}\n`)
}
if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
