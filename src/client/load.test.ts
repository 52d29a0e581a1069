import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { BPF_MAP_TYPE, BPF_PROG_TYPE, E2BIG, EACCES, EINVAL, EMFILE, ENOSPC, EPERM } from '../abi/index.ts'
import type { Collection } from './collection.ts'
import { AttachError, LoadError, VerifierError } from './errors.ts'
import { load } from './load.ts'
import type { LoadOptions } from './load-options.ts'
import { type CollectionSpec, ObjectError, openObject, type ProgramSpec } from './spec/index.ts'
import { FakeKernel, type FakeKernelOptions } from './testing/fake-kernel.ts'
import { mapSpec } from './testing/specs.ts'

function openArtefact(name: string): CollectionSpec {
  const spec = openObject(readFileSync(new URL(`../../bpf/${name}.bpf.o`, import.meta.url)), { name })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  return spec
}

const syscount = openArtefact('syscount')
const opensnoop = openArtefact('opensnoop')
const guestSymbols = { symbols: ['syscall_enter', 'syscall_dispatch', 'sys_openat', 'sys_execve'] }

function loaded(spec: CollectionSpec, kernel: FakeKernel, options?: LoadOptions): Collection {
  const collection = load(spec, kernel, options)
  if (collection instanceof LoadError) throw new Error(collection.message)
  return collection
}

function expectNothingLeft(kernel: FakeKernel): void {
  expect([...kernel.fds.values()]).toEqual([])
  expect(kernel.memory).toMatchObject({ allocations: 0, mappings: 0 })
}

describe('an object of clang', () => {
  test('becomes types, maps and programs in the kernel, and leaves with the collection', () => {
    const kernel = new FakeKernel()
    {
      using collection = loaded(syscount, kernel)
      expect(kernel.objects('btf')[0]?.bytes).toEqual(syscount.kernelBtf)
      const maps = kernel.objects('map').map(({ attr }) => attr)
      expect(maps.map(({ map_name, map_type, max_entries }) => [map_name, map_type, max_entries])).toEqual([
        ['calls', BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_ARRAY, 1024],
        ['processes', BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_HASH, 4096],
        ['entries', BPF_MAP_TYPE.BPF_MAP_TYPE_LRU_HASH, 4096],
        ['syscount.rodata', BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY, 1],
        ['syscount.bss', BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY, 1],
      ])
      // Key and value types travel with the descriptor that holds them.
      for (const attr of maps) expect(kernel.fds.get(attr.btf_fd)?.kind).toBe('btf')
      expect(maps[1]).toMatchObject({ key_size: 4, value_size: 40 })
      expect(kernel.objects('map').map(({ isFrozen }) => isFrozen)).toEqual([
        false,
        false,
        false,
        true,
        false,
      ])

      const programs = kernel.objects('program')
      expect(programs.map(({ attr }) => [attr.prog_name, attr.prog_type])).toEqual([
        ['syscall_entry', BPF_PROG_TYPE.BPF_PROG_TYPE_KPROBE],
        ['syscall_return', BPF_PROG_TYPE.BPF_PROG_TYPE_KPROBE],
      ])
      for (const { license, funcInfo, lineInfo, attr } of programs) {
        expect(license).toBe('Dual MIT/GPL')
        expect(kernel.fds.get(attr.prog_btf_fd)?.kind).toBe('btf')
        expect(funcInfo.length).toBe(8)
        expect(lineInfo.length).toBeGreaterThan(160)
      }
      expect([...collection.programs.keys()]).toEqual(['syscall_entry', 'syscall_return'])
      expect(collection.cpuCount).toBe(2)
    }
    expectNothingLeft(kernel)
  })

  test('has its map references turned into descriptors', () => {
    const kernel = new FakeKernel()
    using collection = loaded(syscount, kernel)
    const found = new Set<string>()
    for (const { instructions } of kernel.objects('program')) {
      const view = new DataView(instructions.buffer)
      for (let at = 0; at < instructions.length; at += 8) {
        if (view.getUint8(at) !== 0x18) continue
        const source = view.getUint8(at + 1) >> 4
        const map = kernel.fds.get(view.getInt32(at + 4, true))
        expect(map?.kind).toBe('map')
        if (map?.kind === 'map') found.add(`${source} ${map.attr.map_name} +${view.getInt32(at + 12, true)}`)
        at += 8
      }
    }
    expect([...found].sort()).toEqual([
      '1 calls +0',
      '1 entries +0',
      '1 processes +0',
      '2 syscount.bss +0',
      '2 syscount.rodata +0',
      '2 syscount.rodata +4',
      '2 syscount.rodata +5',
    ])
    expect(collection.map('calls').fd).toBeGreaterThan(0)
  })

  test('loads into a kernel that takes no types', () => {
    const kernel = new FakeKernel({ fail: (_index, call) => (call === 'BPF_BTF_LOAD' ? -EINVAL : undefined) })
    using _ = loaded(syscount, kernel)
    expect(kernel.objects('map').map(({ attr }) => attr.btf_fd)).toEqual([0, 0, 0, 0, 0])
    expect(kernel.objects('program').map(({ attr }) => attr.func_info_cnt)).toEqual([0, 0])
  })

  test('asks again without types where the kernel does not like those of a map', () => {
    const kernel = new FakeKernel()
    const bpf = kernel.bpf.bind(kernel)
    kernel.bpf = (cmd, attr, size) =>
      cmd === 0 && new DataView(kernel.memory.view(attr, size).slice().buffer).getUint32(48, true) !== 0
        ? -EINVAL
        : bpf(cmd, attr, size)
    using _ = loaded(syscount, kernel)
    expect(kernel.objects('map').map(({ attr }) => attr.btf_fd)).toEqual([0, 0, 0, 0, 0])
  })

  test('can be loaded twice from one Spec', () => {
    const kernel = new FakeKernel()
    using first = loaded(syscount, kernel, { globals: { target_pid: 7 } })
    using second = loaded(syscount, kernel)
    expect(first.globals.get('target_pid')).toBe(7)
    expect(second.globals.get('target_pid')).toBe(0)
  })
})

describe('global variables', () => {
  test('have the values that the caller gives before loading', () => {
    const kernel = new FakeKernel()
    using collection = loaded(syscount, kernel, {
      globals: { target_pid: 42, by_process: true, lost: 5n },
    })
    expect(collection.globals.names).toEqual(['target_pid', 'failed_only', 'by_process', 'lost'])
    expect(collection.globals.get('target_pid')).toBe(42)
    expect(collection.globals.get('failed_only')).toBe(false)
    expect(collection.globals.get('by_process')).toBe(true)
    expect(collection.globals.get('lost')).toBe(5n)
  })

  test('can be written while the programs run, if they are no constants', () => {
    const kernel = new FakeKernel()
    using collection = loaded(syscount, kernel)
    expect(collection.globals.set('lost', 9n)).toBeUndefined()
    expect(collection.globals.get('lost')).toBe(9n)
    expect(collection.globals.set('target_pid', 1)).toMatchObject({ errno: EPERM })
    expect(() => collection.globals.get('nothing')).toThrow(
      "no global variable 'nothing', only target_pid, failed_only, by_process, lost",
    )
  })

  test.each<[string, LoadOptions, object]>([
    [
      'a name that is not there',
      { globals: { targetpid: 1 } },
      { code: 'unknown-name', message: /no global variable 'targetpid'; did you mean target_pid\?/ },
    ],
    [
      'a value that does not fit',
      { globals: { target_pid: -(2 ** 40) } },
      { code: 'bad-value', message: /'target_pid': -1099511627776 does not fit 32 bits/ },
    ],
    [
      'a program that is not there',
      { programs: ['syscall'] },
      { code: 'unknown-name', message: /no program 'syscall'/ },
    ],
    [
      'a map that is not there',
      { maxEntries: { call: 1 } },
      { code: 'unknown-name', message: /did you mean calls\?/ },
    ],
  ])('%s is refused before the kernel is asked', (_name, options, expected) => {
    const kernel = new FakeKernel()
    const error = load(syscount, kernel, options) as LoadError
    expect(error.code).toBe((expected as LoadError).code)
    expect(error.message).toMatch((expected as { message: RegExp }).message)
    expect(kernel.calls).toEqual([])
  })
})

describe('a refused program', () => {
  const log = [
    '0: R1=ctx() R10=fp0',
    '; return *(int *)0; @ x.bpf.c:3',
    '0: (61) r0 = *(u32 *)(r1 +0)',
    "R1 invalid mem access 'scalar'",
    'processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0',
    '',
  ].join('\n')

  test('comes with the log, which costs nothing while all goes well', () => {
    const kernel = new FakeKernel({
      verify: (name) => (name === 'syscall_return' ? { errno: EACCES, log } : undefined),
    })
    const error = load(syscount, kernel)
    expect(error).toBeInstanceOf(VerifierError)
    expect(error).toMatchObject({
      code: 'verifier',
      subject: 'syscall_return',
      section: 'kretprobe/syscall_dispatch',
      errno: EACCES,
      log,
      isTruncated: false,
      message:
        "program 'syscall_return' (kretprobe/syscall_dispatch) was refused: EACCES: R1 invalid mem access 'scalar'",
    })
    expectNothingLeft(kernel)
    // One load for the good program; for the refused one, one without a log and one with.
    expect(kernel.calls.filter((call) => call === 'BPF_PROG_LOAD')).toHaveLength(3)
  })

  test.each([
    [300 * 1024, false, 5],
    [20 * 1024 * 1024, true, 10],
  ])('with a log of %i bytes gets larger buffers, up to 16 MB', (bytes, isTruncated, loads) => {
    const long = `${'x'.repeat(bytes)}\nR1 is bad\n`
    const kernel = new FakeKernel({ verify: () => ({ errno: EACCES, log: long }) })
    const error = load(syscount, kernel) as VerifierError
    expect(error).toBeInstanceOf(VerifierError)
    expect(error.isTruncated).toBe(isTruncated)
    expect(error.errno).toBe(isTruncated ? ENOSPC : EACCES)
    expect(error.log.length).toBe(isTruncated ? 16 * 1024 * 1024 : long.length)
    expect(kernel.calls.filter((call) => call === 'BPF_PROG_LOAD')).toHaveLength(loads)
    expectNothingLeft(kernel)
  })

  test.each([
    [300 * 1024, false, 3],
    [20 * 1024 * 1024, true, 3],
  ])(
    'with a log of %i bytes gets a buffer of that size where the kernel tells it',
    (bytes, isTruncated, loads) => {
      const long = `${'x'.repeat(bytes)}\nR1 is bad\n`
      const kernel = new FakeKernel({ tellsLogSize: true, verify: () => ({ errno: EACCES, log: long }) })
      const error = load(syscount, kernel) as VerifierError
      expect(error.isTruncated).toBe(isTruncated)
      expect(error.log.length).toBe(isTruncated ? 16 * 1024 * 1024 : long.length)
      expect(kernel.calls.filter((call) => call === 'BPF_PROG_LOAD')).toHaveLength(loads)
    },
  )

  test('without a log says what the kernel answered', () => {
    const kernel = new FakeKernel({ fail: (_index, call) => (call === 'BPF_PROG_LOAD' ? -EPERM : undefined) })
    const error = load(syscount, kernel)
    expect(error).toBeInstanceOf(LoadError)
    expect(error).not.toBeInstanceOf(VerifierError)
    expect(error).toMatchObject({
      code: 'program',
      errno: EPERM,
      message: /EPERM \(loading programs needs CAP_BPF/,
    })
  })
})

test('a log of success is handed out where it is asked for', () => {
  const kernel = new FakeKernel()
  const logs: string[] = []
  using _ = loaded(syscount, kernel, { logLevel: 4, onLog: (program) => logs.push(program) })
  expect(logs).toEqual(['syscall_entry', 'syscall_return'])
  expect(kernel.objects('program').map(({ attr }) => attr.log_level)).toEqual([4, 4])
})

test('only the programs asked for are loaded', () => {
  const kernel = new FakeKernel()
  using collection = loaded(syscount, kernel, { programs: ['syscall_entry'], maxEntries: { processes: 9 } })
  expect([...collection.programs.keys()]).toEqual(['syscall_entry'])
  expect(collection.map('processes').maxEntries).toBe(9)
  expect(() => collection.program('syscall_return')).toThrow(
    "no program 'syscall_return', only syscall_entry",
  )
})

describe('what an object cannot have', () => {
  const first = syscount.programs[0] as ProgramSpec
  const withMaps = (...maps: CollectionSpec['maps']): CollectionSpec => ({
    ...syscount,
    maps: [...syscount.maps, ...maps],
  })
  const withProgram = (change: Partial<ProgramSpec>): CollectionSpec => ({
    ...syscount,
    programs: [{ ...first, ...change }],
  })
  const definition = { ...first.definition, programType: 0, pattern: '' }
  test.each<[string, CollectionSpec, FakeKernelOptions, string, RegExp]>([
    ['no programs', { ...syscount, programs: [] }, {}, 'no-program', /'syscount' has no programs/],
    ['big endian', { ...syscount, byteOrder: 'big' }, {}, 'unsupported', /big endian/],
    [
      'no program type',
      withProgram({ section: 'foo', definition }),
      {},
      'unknown-section',
      /'foo' says no program type/,
    ],
    [
      'types of the kernel',
      withProgram({
        definition: {
          ...definition,
          pattern: 'fentry+',
          programType: 26,
          attach: { kind: 'btf', name: 'x', module: undefined },
        },
      }),
      {},
      'environment',
      /the kernel's types cannot be read from \/sys\/kernel\/btf\/vmlinux: ENOENT; give them as the option targetBtf/,
    ],
    [
      'a map without room',
      withMaps(mapSpec({ name: 'odd', type: 27, keySize: 0 })),
      { fail: (_i, call) => (call === 'BPF_MAP_CREATE' ? -E2BIG : undefined) },
      'map',
      /map 'calls' \(percpu_array, keys of 4 bytes, values of 24, room for 1024\) cannot be created: E2BIG/,
    ],
    [
      'an unknown number of CPUs',
      syscount,
      { files: { '/sys/devices/system/cpu/possible': undefined } },
      'environment',
      /how many CPUs/,
    ],
  ])('%s', (_name, spec, options, code, message) => {
    const kernel = new FakeKernel(options)
    const error = load(spec, kernel) as LoadError
    expect(error).toBeInstanceOf(LoadError)
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
    expectNothingLeft(kernel)
  })
})

test('kernel configuration comes from the caller; what is weak may be missing', () => {
  const extern = { kind: 'kconfig', isWeak: false, type: 0 as never, isSigned: false } as const
  const spec: CollectionSpec = {
    ...syscount,
    externs: [
      { ...extern, name: 'CONFIG_HZ', valueKind: 'int', offset: 0, size: 4 },
      { ...extern, name: 'CONFIG_SMP', valueKind: 'tristate', offset: 4, size: 4 },
      { ...extern, name: 'CONFIG_NAME', valueKind: 'char-array', offset: 8, size: 8 },
      { ...extern, name: 'CONFIG_OPTIONAL', valueKind: 'bool', offset: 16, size: 1, isWeak: true },
    ],
    maps: [
      ...syscount.maps,
      mapSpec({ name: '.kconfig', type: 2, origin: 'kconfig', valueSize: 24, maxEntries: 1, frozen: true }),
    ],
  }
  const kernel = new FakeKernel()
  {
    using _ = loaded(spec, kernel, { kconfig: { CONFIG_HZ: 250, CONFIG_SMP: 'm', CONFIG_NAME: 'guest' } })
    const map = kernel.objects('map').find(({ attr }) => attr.map_name === '.kconfig')
    expect(map?.isFrozen).toBe(true)
    expect(Buffer.from(map?.elements.get('00000000') ?? []).toString('hex')).toBe(
      'fa00000002000000677565737400000000000000000000000000'.slice(0, 48),
    )
  }
  expect(load(spec, kernel, {})).toMatchObject({ code: 'unresolved-extern', subject: 'CONFIG_HZ' })
  expect(load(spec, kernel, { kconfig: { CONFIG_HZ: 1n << 32n } })).toMatchObject({ code: 'bad-value' })
  expectNothingLeft(kernel)
})

test('maps of maps get their template and their elements', () => {
  const inner = mapSpec({ name: 'inner', type: 1 })
  const outer = mapSpec({
    name: 'outer',
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY_OF_MAPS,
    valueSize: 4,
    maxEntries: 2,
    inner,
    values: [{ key: 1, kind: 'map', name: 'calls' }],
  })
  const jumps = mapSpec({
    name: 'jumps',
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY,
    valueSize: 4,
    maxEntries: 2,
    values: [
      { key: 0, kind: 'program', name: 'syscall_return' },
      { key: 1, kind: 'program', name: 'not_loaded' },
    ],
  })
  const kernel = new FakeKernel()
  using collection = loaded({ ...syscount, maps: [...syscount.maps, outer, jumps] }, kernel)
  const element = (name: string) => kernel.objects('map').find(({ attr }) => attr.map_name === name)?.elements
  expect(element('outer')?.get('01000000')).toEqual(Uint8Array.of(collection.map('calls').fd, 0, 0, 0))
  expect(element('jumps')?.get('00000000')).toEqual(
    Uint8Array.of(collection.program('syscall_return').fd, 0, 0, 0),
  )
  expect(element('jumps')?.size).toBe(1)
  // The template was closed again.
  expect(kernel.objects('map')).toHaveLength(7)
})

describe('attaching', () => {
  test('goes by the section names, return probes first', () => {
    const kernel = new FakeKernel(guestSymbols)
    {
      using collection = loaded(opensnoop, kernel)
      const links = collection.attach()
      if (links instanceof AttachError) throw new Error(links.message)
      expect(kernel.objects('event').map(({ symbol, attr }) => [symbol, attr.config])).toEqual([
        ['sys_openat', 1n],
        ['sys_openat', 0n],
      ])
      links[Symbol.dispose]()
      expect(kernel.objects('event')).toEqual([])
      expect(kernel.objects('link')).toEqual([])
    }
    expectNothingLeft(kernel)
  })

  test('leaves nothing attached where one program cannot be', () => {
    const kernel = new FakeKernel({ symbols: ['syscall_dispatch'] })
    using collection = loaded(syscount, kernel)
    expect(collection.attach()).toMatchObject({
      code: 'unknown-symbol',
      target: 'syscall_enter',
      program: 'syscall_entry',
    })
    expect(kernel.objects('event')).toEqual([])
    expect(kernel.objects('link')).toEqual([])
  })

  test.each([
    [{ kind: 'none' }, 'no-target'],
    [{ kind: 'ksyscall', syscall: 'openat', isReturn: false }, 'unknown-symbol'],
    [{ kind: 'tracepoint', category: 'syscalls', name: 'sys_enter' }, 'no-tracepoint'],
    [{ kind: 'invalid', text: 'x', expected: 'kprobe/function' }, 'bad-target'],
  ] as const)('%o is an error: %s', (target, code) => {
    using collection = loaded(syscount, new FakeKernel())
    expect(collection.program('syscall_entry').attach(target)).toMatchObject({ code })
  })
})

test('whichever call fails while loading and attaching, nothing stays open', () => {
  let total = 0
  for (const spec of [syscount, opensnoop]) {
    for (let failing = 0; ; failing++) {
      const kernel = new FakeKernel({
        ...guestSymbols,
        fail: (index) => (index === failing ? -EMFILE : undefined),
      })
      const collection = load(spec, kernel)
      if (!(collection instanceof LoadError)) {
        const links = collection.attach()
        const made = kernel.calls.length
        if (links instanceof AttachError) expect(kernel.objects('event'), `call ${failing}`).toEqual([])
        else links[Symbol.dispose]()
        collection[Symbol.dispose]()
        if (failing >= made) break
      }
      expect([...kernel.fds.values()], `call ${failing}: ${kernel.calls[failing]}`).toEqual([])
      expect(kernel.memory, `call ${failing}: ${kernel.calls[failing]}`).toMatchObject({
        allocations: 0,
        mappings: 0,
      })
      total++
    }
  }
  expect(total).toBeGreaterThan(40)
})
