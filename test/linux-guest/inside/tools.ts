/**
 * What runs inside of the guest: every program of the objects under `/objects`, loaded alone into the guest's Linux and
 * into this project's kernel with the same types. A line of JSON where the two differ, and one of counts.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import { Btf } from '../../../src/btf/index.ts'
import { ObjectError } from '../../../src/client/index.ts'
import { createKernel } from '../../../src/kernel/index.ts'
import { LinuxUnavailable, openLinux } from '../../../src/ports/linux/index.ts'
import { LinuxFactsPort } from '../../support/linux-facts-port.ts'
import { loadsOf, openTool } from '../../support/tool-loads.ts'
import type { ToolCounts } from '../outcome.ts'

const linux = openLinux()
if (linux instanceof LinuxUnavailable) throw new Error(linux.message)
const port = new LinuxFactsPort()
const types = Btf.parse(port.types as Uint8Array)
if (!(types instanceof Btf)) throw types
using kernel = createKernel({ port })
using ours = kernel.openClient()

console.log(`LINUX ${release()}`)
const counts: ToolCounts = { objects: 0, programs: 0, takenByBoth: 0, refusedByBoth: 0, notAllowed: 0 }
for (const name of readdirSync('/objects')) {
  const spec = openTool(new Uint8Array(readFileSync(`/objects/${name}`)), name)
  if (spec instanceof ObjectError) throw spec
  counts.objects++
  for (const load of loadsOf(spec, { ours, linux, types })) {
    counts.programs++
    if (load.isForbidden) counts.notAllowed++
    else if (load.ours === undefined && load.linux === undefined) counts.takenByBoth++
    else if (load.ours !== undefined && load.linux !== undefined) counts.refusedByBoth++
    else console.log(`DIFFERENCE ${JSON.stringify({ object: name, ...load })}`)
  }
}
console.log(`COUNTS ${JSON.stringify(counts)}`)
