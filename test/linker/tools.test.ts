/**
 * Objects that others wrote, those of libbpf-tools, linked beside the system's libbpf: each alone, and many pairs.
 *
 * They are those of the installed Debian package, or those in the folder that ANYBPF_TOOLS names.
 */
import { afterAll, expect, test } from 'vitest'
import { LinkError, type LinkInput, linkObjects } from '../../src/linker/index.ts'
import { filesOfPackage, objectsUnder } from '../support/embedded-objects.ts'
import { corrected, libbpfLinker } from './oracles.ts'
import { Workshop } from './sources.ts'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())
const folder = process.env.ANYBPF_TOOLS
const files = folder === undefined ? filesOfPackage('libbpf-tools', ['/usr/sbin', '/usr/bin']) : [folder]
const libbpf = libbpfLinker(workshop.directory)
const why =
  files.length === 0
    ? 'needs the package libbpf-tools, or a folder of its programs in ANYBPF_TOOLS'
    : typeof libbpf === 'string'
      ? libbpf
      : ''

/** How many objects behind each one it is linked with. */
const NEIGHBOURS = 4

test.skipIf(why !== '')(`as libbpf links them${why && ` (${why})`}`, () => {
  if (typeof libbpf === 'string') return
  const inputs = objectsUnder(files).map(({ name, bytes }, i) => workshop.file(`${i}-${name}.bpf.o`, bytes))
  const sum = { linked: 0, refused: 0 }
  const compare = (some: readonly LinkInput[]) => {
    const what = some.map(({ name }) => name).join(' ')
    const theirs = libbpf(some)
    const ours = linkObjects(some)
    expect(ours instanceof LinkError, what).toBe(theirs === undefined)
    if (ours instanceof LinkError || theirs === undefined) return sum.refused++
    expect(Buffer.compare(ours, corrected(theirs)), what).toBe(0)
    return sum.linked++
  }
  for (const [i, input] of inputs.entries()) {
    compare([input])
    for (let n = 1; n <= NEIGHBOURS; n++) compare([input, inputs[(i + n) % inputs.length] as LinkInput])
  }
  console.log('libbpf-tools, linked as by libbpf:', JSON.stringify(sum))
  expect(sum.linked).toBeGreaterThan(inputs.length)
})
