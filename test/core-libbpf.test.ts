/**
 * CO-RE against libbpf: the same objects, fitted to the same kernels, must have the same instructions. Objects are the
 * project's own: every kind of relocation, and generated ones against generated kernels. Others' objects are in
 * tools-objects.test.ts.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import {
  Btf,
  BtfError,
  CORE_KIND,
  CORE_KINDS,
  CoreError,
  type CoreObject,
  dumpRaw,
  minimalTypes,
  parseBtfExt,
} from '../src/btf/index.ts'
import { type LinkedProgram, openObject } from '../src/client/spec/index.ts'
import { ElfError, parseElf } from '../src/elf/index.ts'
import { type Comparison, compareWithLibbpf, relocated } from './support/core-comparison.ts'
import { coreSources } from './support/core-source.ts'
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

function coreObject(path: string): CoreObject {
  const elf = parseElf(new Uint8Array(readFileSync(path)))
  if (elf instanceof ElfError) throw new Error(elf.message)
  const btf = typesIn(path)
  const ext = parseBtfExt(elf.section('.BTF.ext')?.data ?? new Uint8Array(), btf)
  if (ext instanceof BtfError) throw new Error(ext.message)
  return { btf, relocations: ext.coreRelocations }
}

let kernelTypes: Btf | undefined
const machineTypes = (): Btf => (kernelTypes ??= typesIn(vmlinux))

/** Compares every instruction of every program; `btf` is the file with the kernel's types. */
function compare(object: string, target: Btf, btf?: string): Comparison {
  const done = compareWithLibbpf(oracle as LibbpfOracle, object, target, btf)
  expect(done.differences).toEqual([])
  return done
}

describe.skipIf(noKernel !== '')(`this machine's kernel${noKernel && ` (${noKernel})`}`, () => {
  const source = readFileSync(fileURLToPath(new URL('./data/core/all-kinds.bpf.c', import.meta.url)), 'utf8')
  test.each(['v1', 'v2', 'v3', 'v4'])('every kind of relocation, -mcpu=%s', (cpu) => {
    const done = compare(compile(source, [`-mcpu=${cpu}`]), machineTypes())
    expect([...done.kinds].sort((a, b) => a - b)).toEqual(CORE_KINDS.map(({ kind }) => kind))
    expect(done.programs).toBe(9)
    expect(done.poisoned).toBeGreaterThan(0)
  })
})

describe.skipIf(noKernel !== '')(`minimal types${noKernel && ` (${noKernel})`}`, () => {
  test('fit programs as the whole kernel does, but for ids, and bpftool reads them', () => {
    const source = readFileSync(
      fileURLToPath(new URL('./data/core/all-kinds.bpf.c', import.meta.url)),
      'utf8',
    )
    const object = compile(source)
    const spec = openObject(new Uint8Array(readFileSync(object)), { name: 'minimal' })
    if (!('programs' in spec)) throw new Error(spec.message)
    const whole = [...relocated(spec, machineTypes())]
    const relocations = whole.flatMap(([linked]) => linked.coreRelocations)
    const bytes = minimalTypes(machineTypes(), [
      { btf: spec.btf as Btf, relocations: [{ section: 'all', records: relocations }] },
    ])
    if (!(bytes instanceof Uint8Array)) throw new Error(bytes.message)
    const path = join(scratch, 'minimal.btf')
    writeFileSync(path, bytes)
    const few = [...relocated(spec, typesIn(path))]
    for (const [i, [linked, applied]] of whole.entries()) {
      const [other, otherApplied] = few[i] as (typeof few)[number]
      expect(otherApplied).toEqual(applied)
      for (const { kind, instructionOffset } of linked.coreRelocations) {
        if (kind !== CORE_KIND.TYPE_ID_TARGET) continue
        for (const one of [linked, other])
          one.instructions.fill(0, instructionOffset * 8, instructionOffset * 8 + 8)
      }
      expect(other.instructions).toEqual(linked.instructions)
    }
    expect(bytes.length).toBeLessThan(100_000)
    if (!has('bpftool')) return console.log('no bpftool to compare with')
    execFileSync('bpftool', ['btf', 'dump', 'file', path], { stdio: 'pipe' })
    const theirs = join(scratch, 'theirs.btf')
    execFileSync('bpftool', ['gen', 'min_core_btf', vmlinux, theirs, object], { stdio: 'pipe' })
    expect(bytes.length).toBe(readFileSync(theirs).length)
  })
})

describe.skipIf(reason !== '')(`generated kernels${reason && ` (${reason})`}`, () => {
  test.each([1, 2, 4, 5])('structs of seed %i', (seed) => {
    const { program, kernel } = coreSources(seed, 30)
    const btf = compile(kernel)
    const done = compare(compile(program, ['-mcpu=v3']), typesIn(btf), btf)
    console.log(`seed ${seed}: ${done.relocations} relocations, ${done.poisoned} poisoned`)
    expect(done.programs).toBe(30)
  })

  test.skipIf(!has('bpftool')).each([1, 2, 4, 5])("minimal types of seed %i are bpftool's", (seed) => {
    const sources = coreSources(seed, 30)
    const [kernel, object] = [compile(sources.kernel), compile(sources.program, ['-mcpu=v3'])]
    const theirs = join(scratch, 'theirs.btf')
    execFileSync('bpftool', ['gen', 'min_core_btf', kernel, theirs, object], { stdio: 'pipe' })
    const ours = minimalTypes(typesIn(kernel), [coreObject(object)])
    if (!(ours instanceof Uint8Array)) throw new Error(ours.message)
    const few = Btf.parse(ours) as Btf
    expect(dumpRaw(few)).toEqual(dumpRaw(typesIn(theirs)))
    expect(few.typeCount).toBeGreaterThan(30)
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
