/**
 * Malformed and borderline system calls, made of this kernel and of the Linux that the tests run on: every answer
 * must be the same, errno by errno.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createKernel } from './kernel.ts'
import { batchCases } from './testing/oracle-batch-cases.ts'
import { btfCases } from './testing/oracle-btf-cases.ts'
import { helperCases } from './testing/oracle-helper-cases.ts'
import { lockCases } from './testing/oracle-lock-cases.ts'
import { mapCases } from './testing/oracle-map-cases.ts'
import { objectCases } from './testing/oracle-object-cases.ts'
import { packetCases } from './testing/oracle-packet-cases.ts'
import { perfCases } from './testing/oracle-perf-cases.ts'
import { programCases } from './testing/oracle-program-cases.ts'
import { shapeCases } from './testing/oracle-shape-cases.ts'
import { skbCases } from './testing/oracle-skb-cases.ts'
import { unrunCases } from './testing/oracle-unrun-cases.ts'
import { TinyPort } from './testing/tiny-port.ts'

const cases = [
  ...mapCases(),
  ...batchCases(),
  ...btfCases(),
  ...helperCases(),
  ...lockCases(),
  ...programCases(),
  ...perfCases(),
  ...packetCases(),
  ...skbCases(),
  ...shapeCases(),
  ...objectCases(),
  ...unrunCases(),
]

const missing = [
  ...(process.platform === 'linux' && process.getuid?.() === 0 ? [] : ['needs root on Linux']),
  ...(existsSync('/usr/bin/gcc') ? [] : ['gcc is not installed']),
  ...(existsSync('/sys/kernel/btf/vmlinux') ? [] : ['the running kernel has no BPF with BTF']),
].join(', ')

describe.skipIf(missing !== '')(`as Linux answers${missing && ` (skipped: ${missing})`}`, () => {
  const directory = mkdtempSync(join(tmpdir(), 'anybpf-oracle-'))
  const answers = new Map<string, string[]>()

  beforeAll(() => {
    const driver = join(directory, 'driver')
    const source = join(import.meta.dirname, 'testing', 'linux-driver.c')
    execFileSync('gcc', ['-O1', '-w', '-o', driver, source])
    const input = cases.map(({ script }) => script.toText()).join('')
    const run = spawnSync(driver, { input, encoding: 'utf8', maxBuffer: 1 << 26 })
    if (run.status !== 0) throw new Error(`the driver ended with ${run.status}: ${run.stderr}`)
    const lines = run.stdout.split('\n')
    for (const { name, script } of cases) answers.set(name, lines.splice(0, script.answers))
  })

  afterAll(() => rmSync(directory, { recursive: true }))

  const runAll = (engine: 'interpreter' | 'jit', name: string, script: (typeof cases)[number]['script']) => {
    using kernel = createKernel({ port: new TinyPort({ cpuCount: 2 }), engine })
    using client = kernel.openClient({ firstFd: 0 })
    // As the driver's standard descriptors: open, and of no kind that any call wants.
    for (const _ of [0, 1, 2]) client.open('/sys/devices/system/cpu/possible', 0)
    expect(script.run(client)).toEqual(answers.get(name))
  }

  test.each(cases.map(({ name, script }) => [name, script] as const))('%s', (name, script) => {
    runAll('interpreter', name, script)
  })

  test.each(
    [...packetCases(), ...skbCases(), ...shapeCases()].map(({ name, script }) => [name, script] as const),
  )('compiled: %s', (name, script) => {
    runAll('jit', name, script)
  })
})
