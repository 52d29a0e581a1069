/**
 * The objects inside of libbpf-tools: instructions as libbpf relocates them, and whatever Linux takes taken.
 *
 * They are those of the installed Debian package, or those in the folder that ANYBPF_TOOLS names; `npm run
 * tools-objects -- FILE...` does the same for any. Linux is asked where it may be.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { Btf } from '../src/btf/index.ts'
import { ObjectError } from '../src/client/index.ts'
import { createKernel } from '../src/kernel/index.ts'
import { LinuxUnavailable, openLinux } from '../src/ports/linux/index.ts'
import { compareWithLibbpf } from './support/core-comparison.ts'
import { filesOfPackage, objectsUnder } from './support/embedded-objects.ts'
import { LibbpfOracle } from './support/libbpf-oracle.ts'
import { LinuxFactsPort, VMLINUX } from './support/linux-facts-port.ts'
import { loadsOf, openTool } from './support/tool-loads.ts'

const folder = process.env.ANYBPF_TOOLS
const files = folder === undefined ? filesOfPackage('libbpf-tools', ['/usr/sbin', '/usr/bin']) : [folder]
const oracle = LibbpfOracle.open()
const reason =
  files.length === 0
    ? 'needs the package libbpf-tools, or a folder of its programs in ANYBPF_TOOLS'
    : typeof oracle === 'string'
      ? oracle
      : existsSync(VMLINUX)
        ? ''
        : 'needs the types of a running Linux'
const scratch = mkdtempSync(join(tmpdir(), 'anybpf-tools-'))
afterAll(() => {
  rmSync(scratch, { recursive: true })
  if (oracle instanceof LibbpfOracle) oracle[Symbol.dispose]()
})

describe.skipIf(reason !== '')(`libbpf-tools${reason && ` (${reason})`}`, () => {
  const port = reason === '' ? new LinuxFactsPort() : undefined
  const types = port?.types === undefined ? undefined : (Btf.parse(port.types) as Btf)
  const tools = reason === '' ? objectsUnder(files) : []

  test('every instruction is as libbpf relocates it', () => {
    const sum = { objects: 0, programs: 0, instructions: 0, relocations: 0, poisoned: 0 }
    for (const { name, bytes } of tools) {
      const path = join(scratch, `${name}.bpf.o`)
      writeFileSync(path, bytes)
      const done = compareWithLibbpf(oracle as LibbpfOracle, path, types as Btf)
      expect(done.differences, name).toEqual([])
      sum.objects++
      for (const what of ['programs', 'instructions', 'relocations', 'poisoned'] as const)
        sum[what] += done[what]
    }
    console.log('libbpf-tools, equal to libbpf:', JSON.stringify(sum))
    expect(sum.relocations).toBeGreaterThan(sum.poisoned)
  })

  const linux = openLinux()
  const noLinux = linux instanceof LinuxUnavailable ? linux.message : ''
  if (!(linux instanceof LinuxUnavailable)) afterAll(() => linux[Symbol.dispose]())

  test.skipIf(noLinux !== '')(`this kernel takes what Linux takes${noLinux && ` (${noLinux})`}`, () => {
    if (port === undefined || linux instanceof LinuxUnavailable) return
    using kernel = createKernel({ port })
    using ours = kernel.openClient()
    let taken = 0
    const refused: string[] = []
    for (const { name, bytes } of tools) {
      const spec = openTool(bytes, name)
      if (spec instanceof ObjectError) throw new Error(spec.message)
      for (const one of loadsOf(spec, { ours, linux, types: types as Btf })) {
        if (one.linux !== undefined) continue
        taken++
        if (one.ours !== undefined) refused.push(`${name}: ${one.ours}`)
      }
    }
    console.log(`libbpf-tools, taken by Linux: ${taken}, by this kernel: ${taken - refused.length}`)
    // What sockets are, no port of this project can tell.
    expect(refused.filter((one) => !one.includes('bpf_get_socket_cookie'))).toEqual([])
    expect(taken).toBeGreaterThan(0)
  })
})
