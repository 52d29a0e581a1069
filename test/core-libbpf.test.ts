/**
 * CO-RE against libbpf: the same objects, fitted to the same kernels, must have the same instructions. Objects are the
 * project's own (every kind of relocation, and generated ones against generated kernels) and, where Debian's package
 * libbpf-tools is installed, those inside its programs.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { Btf, CORE_KINDS, CoreError } from '../src/btf/index.ts'
import { coreRelocator, relocateCore } from '../src/client/core.ts'
import { LoadError } from '../src/client/errors.ts'
import { type CollectionSpec, type LinkedProgram, linkProgram, openObject } from '../src/client/spec/index.ts'
import { ElfError, parseElf } from '../src/elf/index.ts'
import { coreSources } from './support/core-source.ts'
import { embeddedObjects } from './support/embedded-objects.ts'
import { LibbpfOracle } from './support/libbpf-oracle.ts'

const scratch = mkdtempSync(join(tmpdir(), 'anybpf-core-'))
afterAll(() => rmSync(scratch, { recursive: true }))

const vmlinux = '/sys/kernel/btf/vmlinux'
const has = (tool: string): boolean => spawnSync(tool, ['--version']).status === 0
const oracle = LibbpfOracle.open()
if (oracle instanceof LibbpfOracle) afterAll(() => oracle[Symbol.dispose]())
const reason = typeof oracle === 'string' ? oracle : has('clang-19') ? '' : 'needs clang-19'
const noKernel = reason || (existsSync(vmlinux) ? '' : 'needs the types of a running Linux')

let count = 0
function compile(source: string, flags: readonly string[] = []): string {
  const object = join(scratch, `t${count++}.bpf.o`)
  writeFileSync(`${object}.c`, source)
  const includes = ['-I/usr/include/x86_64-linux-gnu']
  const options = ['-g', '-O2', '-w', '-fno-crash-diagnostics', '-target', 'bpf', ...includes, ...flags]
  execFileSync('clang-19', [...options, '-c', `${object}.c`, '-o', object], { stdio: 'pipe' })
  return object
}

function typesIn(path: string): Btf {
  let bytes = new Uint8Array(readFileSync(path))
  if (bytes[0] === 0x7f) {
    const elf = parseElf(bytes)
    if (elf instanceof ElfError) throw new Error(elf.message)
    bytes = new Uint8Array(elf.section('.BTF')?.data ?? [])
  }
  const btf = Btf.parse(bytes)
  if (!(btf instanceof Btf)) throw new Error(btf.message)
  return btf
}

let kernelTypes: Btf | undefined
const machineTypes = (): Btf => (kernelTypes ??= typesIn(vmlinux))

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Instructions as hexadecimal, 8 bytes each; those that name a map's descriptor have it filled in, others masked. */
function slotsOf(
  instructions: Uint8Array,
  linked: LinkedProgram,
  fdOf: ((map: string) => number) | undefined,
): string[] {
  const bytes = instructions.slice()
  const view = new DataView(bytes.buffer)
  for (const reference of linked.references) {
    const at = reference.instruction * 8
    if (reference.kind === 'extern' || reference.kind === 'externCall') {
      bytes.fill(0, at + 1, at + (reference.kind === 'extern' ? 16 : 8))
    } else if (fdOf !== undefined) {
      view.setUint8(at + 1, (view.getUint8(at + 1) & 15) | ((reference.kind === 'map' ? 1 : 2) << 4))
      view.setInt32(at + 4, fdOf(reference.map), true)
      if (reference.kind === 'mapValue') view.setInt32(at + 12, reference.offset, true)
    }
  }
  return Array.from({ length: bytes.length / 8 }, (_, i) => hexOf(bytes.subarray(i * 8, i * 8 + 8)))
}

interface Comparison {
  programs: number
  instructions: number
  relocations: number
  poisoned: number
  /** Relocations by kind. */
  readonly kinds: Set<number>
}

/** Compares every instruction of every program; `btf` is the file with the kernel's types. */
function compare(object: string, target: Btf, btf?: string): Comparison {
  const answer = (oracle as LibbpfOracle).ask(btf === undefined ? { object } : { object, btf })
  const spec = openObject(new Uint8Array(readFileSync(object)), { name: nameOf(object) })
  if (!('programs' in spec)) throw new Error(spec.message)
  expect(answer.errno, answer.log.slice(-500)).toBe(0)
  const done: Comparison = { programs: 0, instructions: 0, relocations: 0, poisoned: 0, kinds: new Set() }
  for (const [linked, applied] of relocated(spec, target)) {
    if (applied instanceof CoreError) throw new Error(`${linked.name}: ${applied.message}`)
    const theirs = answer.programs.get(linked.name)
    if (theirs === undefined) throw new Error(`libbpf has no program ${linked.name}`)
    const fdOf = (map: string): number => {
      const one = spec.maps.find(({ name }) => name === map) as CollectionSpec['maps'][number]
      return answer.maps.get(one.name) ?? answer.maps.get(one.kernelName) ?? -1
    }
    const [a, b] = [slotsOf(linked.instructions, linked, fdOf), slotsOf(theirs, linked, undefined)]
    expect(a, linked.name).toEqual(b)
    done.programs++
    done.instructions += a.length
    done.relocations += applied.length
    done.poisoned += applied.filter((one) => one.poisoned !== undefined).length
    for (const { kind } of linked.coreRelocations) done.kinds.add(kind)
  }
  return done
}

function* relocated(spec: CollectionSpec, target: Btf) {
  const names = spec.programs.map(({ name }) => name)
  const relocator = coreRelocator(spec, new Set(names), { types: () => target, allTypes: () => [target] })
  if (relocator instanceof LoadError) throw new Error(relocator.message)
  for (const name of names) {
    const linked = linkProgram(spec, name)
    if (!('instructions' in linked)) throw new Error(linked.message)
    yield [linked, relocator === undefined ? [] : relocateCore(linked, relocator)] as const
  }
}

const nameOf = (path: string): string => (path.split('/').at(-1) as string).split('.')[0] as string

describe.skipIf(noKernel !== '')(`this machine's kernel${noKernel && ` (${noKernel})`}`, () => {
  const source = readFileSync(fileURLToPath(new URL('./data/core/all-kinds.bpf.c', import.meta.url)), 'utf8')
  test.each(['v1', 'v2', 'v3', 'v4'])('every kind of relocation, -mcpu=%s', (cpu) => {
    const done = compare(compile(source, [`-mcpu=${cpu}`]), machineTypes())
    expect([...done.kinds].sort((a, b) => a - b)).toEqual(CORE_KINDS.map(({ kind }) => kind))
    expect(done.programs).toBe(9)
    expect(done.poisoned).toBeGreaterThan(0)
  })

  const tools = embeddedObjects(['/usr/sbin', '/usr/bin'], 'libbpf-tools')
  test.skipIf(tools.length === 0)(
    `the ${tools.length} objects of libbpf-tools${tools.length === 0 ? ' (needs the package libbpf-tools)' : ''}`,
    () => {
      const sum = { objects: 0, programs: 0, instructions: 0, relocations: 0, poisoned: 0 }
      for (const { name, bytes } of tools) {
        const path = join(scratch, `${name}.bpf.o`)
        writeFileSync(path, bytes)
        const done = compare(path, machineTypes())
        sum.objects++
        sum.programs += done.programs
        sum.instructions += done.instructions
        sum.relocations += done.relocations
        sum.poisoned += done.poisoned
      }
      console.log('libbpf-tools, equal to libbpf:', JSON.stringify(sum))
      expect(sum.relocations).toBeGreaterThan(sum.poisoned)
    },
  )
})

describe.skipIf(reason !== '')(`generated kernels${reason && ` (${reason})`}`, () => {
  test.each([1, 2, 4, 5])('structs of seed %i', (seed) => {
    const { program, kernel } = coreSources(seed, 30)
    const btf = compile(kernel)
    const done = compare(compile(program, ['-mcpu=v3']), typesIn(btf), btf)
    console.log(`seed ${seed}: ${done.relocations} relocations, ${done.poisoned} poisoned`)
    expect(done.programs).toBe(30)
  })
})

describe.skipIf(reason !== '')(`what libbpf refuses${reason && ` (${reason})`}`, () => {
  const program = (declarations: string, use: string) => `
    #include <linux/bpf.h>
    #include <bpf/bpf_core_read.h>
    #include <bpf/bpf_helpers.h>
    #pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
    ${declarations}
    #pragma clang attribute pop
    char LICENSE[] SEC("license") = "GPL";
    unsigned long sink;
    SEC("raw_tp/x") int program(void **c) { struct s *p = c[0]; sink += ${use}; return 0; }`
  const kernel = (declarations: string, ...names: string[]) =>
    `${declarations}\n${names.map((name, i) => `${name} *use${i}(void) { return 0; }`).join('\n')}`

  test.each([
    [
      'two layouts that both answer',
      program('struct s { int a; };', 'p->a'),
      kernel('struct s { int a; }; struct s___two { long x; int a; };', 'struct s', 'struct s___two'),
      'ambiguous',
    ],
    [
      'one that answers for members in two ways',
      program('struct s { int a; };', 'bpf_core_type_size(struct s)'),
      kernel('struct s { int a; }; struct s___two { long x; };', 'struct s', 'struct s___two'),
      'ambiguous',
    ],
    [
      'an offset that no load holds',
      program('struct s { int a; };', 'p->a'),
      kernel('struct s { char gap[40000]; int a; };', 'struct s'),
      'out-of-range',
    ],
    [
      'a bit field that no load holds',
      program('struct s { int a : 5; };', '__builtin_preserve_field_info(p->a, BPF_FIELD_BYTE_SIZE)'),
      kernel(
        'struct s { unsigned long gap : 62; unsigned long a : 5; } __attribute__((packed));',
        'struct s',
      ),
      'unsatisfiable',
    ],
    [
      'a nameless type',
      program('struct s { int a; }; struct { int b; } *nameless;', 'nameless->b'),
      kernel('struct s { int a; };', 'struct s'),
      'anonymous-type',
    ],
  ])('%s', (_name, source, target, code) => {
    const [object, btf] = [compile(source), compile(target)]
    expect((oracle as LibbpfOracle).ask({ object, btf }).errno).toBeGreaterThan(0)
    const spec = openObject(new Uint8Array(readFileSync(object)), { name: 'refused' })
    if (!('programs' in spec)) throw new Error(spec.message)
    const [[, result]] = [...relocated(spec, typesIn(btf))] as [readonly [LinkedProgram, unknown]]
    expect(result).toBeInstanceOf(CoreError)
    expect((result as CoreError).code).toBe(code)
  })
})
