/**
 * Others' BPF objects beside libbpf and this machine's Linux: every instruction as libbpf relocates it, and every
 * program that Linux takes taken.
 *
 * Run: `npm run tools-objects -- FILE...` as root; files are objects, programs with objects inside (libbpf's
 * skeletons), or folders of both. Exits with 1 where anything differs.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Btf, BtfError } from '../src/btf/index.ts'
import { ObjectError } from '../src/client/index.ts'
import { createKernel } from '../src/kernel/index.ts'
import { LinuxUnavailable, openLinux } from '../src/ports/linux/index.ts'
import { compareWithLibbpf, LibbpfRefuses } from '../test/support/core-comparison.ts'
import { objectsUnder } from '../test/support/embedded-objects.ts'
import { LibbpfOracle } from '../test/support/libbpf-oracle.ts'
import { LinuxFactsPort } from '../test/support/linux-facts-port.ts'
import { loadsOf, openTool } from '../test/support/tool-loads.ts'

const paths = process.argv.slice(2)
if (paths.length === 0) fail('usage: npm run tools-objects -- FILE...')
const oracle = LibbpfOracle.open()
if (typeof oracle === 'string') fail(oracle)
const linux = openLinux()
if (linux instanceof LinuxUnavailable) fail(linux.message)
const port = new LinuxFactsPort()
const types = Btf.parse(port.types as Uint8Array)
if (types instanceof BtfError) fail(types.message)
const ours = createKernel({ port }).openClient()
const scratch = mkdtempSync(join(tmpdir(), 'anybpf-tools-'))

const sum = { objects: 0, programs: 0, instructions: 0, relocations: 0, poisoned: 0 }
const judged = { both: 0, neither: 0, forbidden: 0, oursOnly: 0, linuxOnly: 0 }
const problems: string[] = []
for (const { name, bytes } of objectsUnder(paths)) {
  const file = join(scratch, `${name}.bpf.o`)
  writeFileSync(file, bytes)
  sum.objects++
  try {
    const done = compareWithLibbpf(oracle, file, types)
    for (const what of ['programs', 'instructions', 'relocations', 'poisoned'] as const)
      sum[what] += done[what]
    problems.push(...done.differences.map((one) => `${name}: not as libbpf: ${one}`))
  } catch (error) {
    const reason = String(error).split('\n')[0]
    if (error instanceof LibbpfRefuses || reason?.includes('libbpf cannot open'))
      console.log(`${name}: not compared, as this machine's libbpf says: ${reason}`)
    else problems.push(`${name}: ${reason}`)
  }
  const spec = openTool(bytes, name)
  if (spec instanceof ObjectError) {
    problems.push(`${name}: ${spec.message}`)
    continue
  }
  for (const one of loadsOf(spec, { ours, linux, types })) {
    if (one.linux === undefined) judged[one.ours === undefined ? 'both' : 'linuxOnly']++
    else if (one.isForbidden) judged.forbidden++
    else judged[one.ours === undefined ? 'oursOnly' : 'neither']++
    if (one.linux === undefined && one.ours !== undefined)
      problems.push(`${name}: Linux takes it: ${one.ours}`)
    if (one.ours === undefined && one.linux !== undefined && !one.isForbidden) {
      problems.push(`${name}: taken, not by Linux: ${one.linux}`)
    }
  }
}
rmSync(scratch, { recursive: true })
oracle[Symbol.dispose]()
linux[Symbol.dispose]()
for (const problem of problems) console.log(problem)
console.log(
  `${sum.objects} objects: ${sum.programs} programs, ${sum.instructions} instructions compared with libbpf's, ` +
    `${sum.relocations} relocations (${sum.poisoned} of which found nothing)`,
)
console.log(
  `programs loaded one by one: taken by both ${judged.both}, by neither ${judged.neither}, by Linux alone ` +
    `${judged.linuxOnly}, by this kernel alone ${judged.oursOnly}; not judged, as they may not be loaded on this ` +
    `machine's Linux (EPERM), ${judged.forbidden}`,
)
process.exitCode = problems.length > 0 ? 1 : 0

function fail(message: string): never {
  console.error(message)
  process.exit(2)
}
