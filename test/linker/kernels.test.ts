/** Linked objects in kernels: they load, and run as if their files had been one. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { Syscalls } from '../../src/abi/index.ts'
import { LoadError, load, ObjectError, openObject, SyscallError } from '../../src/client/index.ts'
import { createKernel } from '../../src/kernel/index.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import type { LinkInput } from '../../src/linker/index.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { linkedByBpftool, noBpftool } from './oracles.ts'
import { linked, PROGRAMS, Workshop } from './sources.ts'

const workshop = new Workshop()
const kernel = createKernel({ port: new TinyPort() })
const ours = kernel.openClient()
const linux = openLinux()
afterAll(() => {
  ours[Symbol.dispose]()
  kernel[Symbol.dispose]()
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
  workshop[Symbol.dispose]()
})
const why = Workshop.missing
const noLinux = why || (linux instanceof LinuxUnavailable ? linux.message : '')
const noMounts =
  noLinux ||
  noBpftool() ||
  (spawnSync('unshare', ['-m', 'true']).status === 0 ? '' : 'mount namespaces are not allowed')

/** Loads an object and returns what its programs return, in the order in which they are asked for. */
function results(object: Uint8Array, programs: readonly string[], syscalls: Syscalls): number[] {
  const spec = openObject(object, { name: 'linked' })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  const collection = load(spec, syscalls, {
    kconfig: { LINUX_KERNEL_VERSION: 0x60c00, CONFIG_BPF: true, CONFIG_HZ: 250 },
  })
  if (collection instanceof LoadError) throw new Error(collection.message)
  using _ = collection
  return programs.map((name) => {
    const run = collection.program(name).testRun({ data: new Uint8Array(64) })
    if (run instanceof SyscallError) throw new Error(run.message)
    return run.returnValue
  })
}

/** Of each program: its files, what to run, and what that gives with the files in their order and backwards. */
const RUNS: Readonly<
  Record<string, readonly [readonly string[], readonly string[], readonly number[], readonly number[]]>
> = {
  // step 5, scale (5 + 100) * 10 + 4, rate 2 * 5, fee 1 + 7; step 101, fee 2 + 7, rate 5. Backwards, fees are 70.
  functions: [PROGRAMS.functions, ['first', 'second'], [1072, 115], [1135, 178]],
  maps: [PROGRAMS.maps, ['fill', 'drain', 'jump'], [15, 16, 16], [15, 16, 16]],
}

describe.each(Object.entries(RUNS))('%s', (_, [files, programs, forwards, backwards]) => {
  const run = (syscalls: Syscalls) => {
    const inputs = workshop.objects(files)
    expect(results(linked(inputs), programs, syscalls)).toEqual(forwards)
    const reversed = linked([...inputs].reverse())
    expect(results(reversed, programs, syscalls)).toEqual(backwards)
    expect(results(linked([workshop.file('again.o', reversed)]), programs, syscalls)).toEqual(backwards)
  }

  test.skipIf(why !== '')(`here${why && ` (${why})`}`, () => run(ours))
  test.skipIf(noLinux !== '')(`on Linux${noLinux && ` (${noLinux})`}`, () => run(linux as Syscalls))
})

describe.skipIf(why !== '')(`variables${why && ` (${why})`}`, () => {
  const both = (inputs: readonly LinkInput[], programs: readonly string[]): number[] => {
    const object = linked(inputs)
    const found = results(object, programs, ours)
    if (!(linux instanceof LinuxUnavailable)) expect(results(object, programs, linux)).toEqual(found)
    return found
  }

  test('of every section, and static ones of one name', () => {
    const inputs = workshop.objects(PROGRAMS.variables)
    // counter 5, many 2, limit 9, 'a' 97, mood 2, local 18, placed 4, later 40, fixed 50, centre 60, preset 2,
    // choice 3, and three that hold; many 3, local 1001, 'm' 109, wide 6, kept 1, and two that hold; local 2,
    // aligned_one 12, 'z' 122.
    const programs = ['read_first', 'read_second', 'read_third', 'other_type']
    expect(both(inputs, programs)).toEqual([295, 1143, 181, 151])
  })

  const use = (name: string) => `SEC("tc") int use_${name}(struct __sk_buff *skb) { return v; }`
  const input = (name: string, text: string) => workshop.text(name, `#include "shared.h"\n${text}`)

  test('of which a weak definition is in another section than the strong one', () => {
    const weak = input('weak', `__weak int v; int w = 3; ${use('weak')}`)
    const strong = input('strong', `int v = 8; ${use('strong')}`)
    for (const inputs of [
      [weak, strong],
      [strong, weak],
    ]) {
      expect(both(inputs, ['use_weak', 'use_strong'])).toEqual([8, 8])
      const spec = openObject(linked(inputs), { name: 'weak' })
      if (spec instanceof ObjectError) throw new Error(spec.message)
      expect(spec.maps.map(({ name }) => name).sort()).toEqual(
        ['.bss', '.data'].map((name) => expect.stringContaining(name)),
      )
    }
  })

  test('of the kernel, without a type, in two files', () => {
    const inputs = ['one', 'two'].map((name) => workshop.object('ksyms', [`-DNAME=${name}`]))
    expect(both(inputs, ['one', 'two'])).toEqual([1, 1])
  })

  test('through the license, which is there once', () => {
    const text = (name: string) =>
      `char L[] SEC("license") = "GPL"; SEC("tc") int ${name}(void *c) { return sizeof(L); }`
    expect(
      both(
        ['a', 'b'].map((name) => input(`license-${name}`, text(name))),
        ['a', 'b'],
      ),
    ).toEqual([4, 4])
  })
})

test.skipIf(noMounts !== '')(
  `Linux translates it as what bpftool links${noMounts && ` (${noMounts})`}`,
  () => {
    const mount = join(workshop.directory, 'fs')
    mkdirSync(mount)
    const translated = (object: string): string => {
      const script = [
        `mount -t bpf bpf ${mount}`,
        `bpftool prog loadall ${object} ${mount}/p > /dev/null 2>&1`,
        `for program in ${mount}/p/*; do echo $program; bpftool prog dump xlated pinned $program; done`,
      ].join(' && ')
      const text = execFileSync('unshare', ['-m', 'sh', '-c', script], { encoding: 'utf8' })
      return text.replaceAll(/map\[id:\d+\]/g, 'map').replaceAll(/bpf_prog_[0-9a-f]+/g, 'program')
    }
    for (const files of Object.values(PROGRAMS)) {
      const inputs = workshop.objects(files)
      const theirs = linkedByBpftool(workshop.directory, inputs)
      if (typeof theirs === 'string') throw new Error(theirs)
      // Maps that are defined after they were declared can only be loaded once they are linked again.
      const again = linkedByBpftool(workshop.directory, [workshop.file('theirs.o', theirs)])
      if (typeof again === 'string') throw new Error(again)
      const expected = translated(workshop.file('again.o', again).name)
      expect(expected.split('\n').length).toBeGreaterThan(20)
      expect(translated(workshop.file('ours.o', linked(inputs)).name)).toBe(expected)
    }
  },
)

test('objects of this project link, and are what they were', () => {
  const bytes = new Uint8Array(readFileSync(new URL('../../bpf/syscount.bpf.o', import.meta.url)))
  const before = openObject(bytes, { name: 'syscount' })
  const after = openObject(linked([{ name: 'syscount', bytes }]), { name: 'syscount' })
  if (before instanceof ObjectError || after instanceof ObjectError) throw new Error('it does not open')
  expect(after.programs.map(({ name }) => name)).toEqual(before.programs.map(({ name }) => name))
  expect(after.maps.map(({ name, maxEntries }) => [name, maxEntries])).toEqual(
    before.maps.map(({ name, maxEntries }) => [name, maxEntries]),
  )
})
