/** Arguments, specs and notes of USDT, apart from a kernel. */
import { describe, expect, test } from 'vitest'
import { type ElfFile, EM, PT } from '../../elf/index.ts'
import type { BpfMap } from '../map.ts'
import { FakeKernel } from '../testing/fake-kernel.ts'
import { parseUsdtArguments, type UsdtArgument } from './arguments.ts'
import { readUsdtNotes } from './notes.ts'
import { addressInProcess } from './process-maps.ts'
import { encodeUsdtSpec, UsdtSpecs } from './specs.ts'

const [X64, RISCV] = [EM.X86_64, EM.RISCV]

describe('arguments', () => {
  test.each<[number, string, Partial<UsdtArgument>]>([
    [X64, '-4@$-9', { kind: 'constant', value: -9n, sizeBytes: 4, isSigned: true }],
    [X64, '8@$0x10', { kind: 'constant', value: 16n, sizeBytes: 8, isSigned: false }],
    [X64, '8@%rdi', { kind: 'register', register: 112 }],
    [X64, '-4@%r8d', { kind: 'register', register: 72, sizeBytes: 4, isSigned: true }],
    [X64, '1@%bpl', { kind: 'register', register: 32, sizeBytes: 1 }],
    [X64, '2@%ax', { kind: 'register', register: 80, sizeBytes: 2 }],
    [X64, '-4@-1204(%rbp)', { kind: 'memory', register: 32, value: -1204n }],
    [X64, '8@(%rsp)', { kind: 'memory', register: 152, value: 0n }],
    [X64, '1@-96(%rbp,%rax,8)', { kind: 'indexed', register: 32, value: -96n, index: 80, scaleBits: 3 }],
    [X64, '4@(%r15,%rcx)', { kind: 'indexed', register: 0, value: 0n, index: 88, scaleBits: 0 }],
    [RISCV, '-4@a0', { kind: 'register', register: 80, sizeBytes: 4, isSigned: true }],
    [RISCV, '8@x31', { kind: 'register', register: 248 }],
    [RISCV, '8@s11', { kind: 'register', register: 216 }],
    [RISCV, '-8@-24(s0)', { kind: 'memory', register: 64, value: -24n }],
    [RISCV, '8@(sp)', { kind: 'memory', register: 16, value: 0n }],
    [RISCV, '4@-5', { kind: 'constant', value: -5n }],
  ])('on machine %i: %s', (machine, text, expected) => {
    expect(parseUsdtArguments(machine, text)).toEqual([expect.objectContaining(expected)])
  })

  test.each<[number, string, RegExp]>([
    [X64, '8f@%xmm0', /argument 0, '8f@%xmm0'/],
    [X64, '8@%rdi -4@counter(%rip)', /argument 1/],
    [X64, '4@%ah', /argument 0/],
    [X64, '3@%rax', /argument 0/],
    [X64, '8@(%rax,%rbx,3)', /argument 0/],
    [X64, '8@rax', /argument 0/],
    [RISCV, '8@%a0', /argument 0/],
    [RISCV, '8@fa0', /argument 0/],
    [X64, '8@%rax '.repeat(13), /13 arguments, at most 12/],
    [EM.AARCH64, '8@x0', /on this machine is not known/],
  ])('on machine %i %s cannot be read', (machine, text, message) => {
    expect(parseUsdtArguments(machine, text)).toMatch(message)
  })

  test('may be none', () => {
    expect(parseUsdtArguments(X64, '')).toEqual([])
    expect(parseUsdtArguments(EM.AARCH64, ' ')).toEqual([])
  })
})

test('a spec lies as struct __bpf_usdt_spec', () => {
  const parsed = parseUsdtArguments(
    X64,
    '-4@$-9 1@%dil -8@16(%rbp) 2@-8(%rbp,%rax,4)',
  ) as readonly UsdtArgument[]
  const bytes = encodeUsdtSpec(parsed, 0xfeedn)
  expect(bytes.length).toBe(208)
  const view = new DataView(bytes.buffer)
  const fields = (n: number) => [
    view.getBigInt64(16 * n, true),
    view.getUint32(16 * n + 8, true),
    view.getInt16(16 * n + 12, true),
    view.getUint8(16 * n + 14),
    view.getInt8(16 * n + 15),
  ]
  expect([0, 1, 2, 3, 4].map(fields)).toEqual([
    [-9n, 0, 0, 1, 32],
    [0n, 1, 112, 0, 56],
    [16n, 2, 32, 1, 0],
    [-8n, 3 | (80 << 8) | (2 << 20), 32, 0, 48],
    [0n, 0, 0, 0, 0],
  ])
  expect([view.getBigUint64(192, true), view.getInt16(200, true)]).toEqual([0xfeedn, 4])
})

test('numbers of specs are given out once, and again when they are free', () => {
  const written: number[] = []
  const map = (maxEntries: number, valueBytes: number) => ({
    maxEntries,
    handle: {
      valueBytes,
      update: (key: Uint8Array) => {
        written.push(key[0] as number)
        return 0
      },
    },
  })
  const maps = new Map([
    ['__bpf_usdt_specs', map(2, 208)],
    ['__bpf_usdt_ip_to_spec_id', map(8, 4)],
  ]) as unknown as ReadonlyMap<string, BpfMap>
  const specs = UsdtSpecs.of(maps, undefined)
  if (specs === undefined) throw new Error('no specs')
  const bytes = encodeUsdtSpec([], 0n)
  expect([specs.add(bytes), specs.add(bytes), specs.add(bytes)]).toEqual([0, 1, undefined])
  specs.remove(0)
  expect(specs.add(bytes)).toBe(0)
  expect(written).toEqual([0, 1, 0])
  expect(UsdtSpecs.of(new Map(), undefined)).toBeUndefined()
})

/** One note, as an assembler lays it out. */
function note(
  location: bigint,
  base: bigint,
  semaphore: bigint,
  texts: string,
  owner = 'stapsdt\0',
): Uint8Array {
  const text = new TextEncoder().encode(texts)
  const bytes = new Uint8Array(20 + ((24 + text.length + 3) & ~3))
  const view = new DataView(bytes.buffer)
  view.setUint32(0, owner.length, true)
  view.setUint32(4, 24 + text.length, true)
  view.setUint32(8, 3, true)
  bytes.set(new TextEncoder().encode(owner), 12)
  view.setBigUint64(20, location, true)
  view.setBigUint64(28, base, true)
  view.setBigUint64(36, semaphore, true)
  bytes.set(text, 44)
  return bytes
}

/** A file of two segments: code from 0x1000 at 0x401000, data from 0x3000 at 0x405000. */
function fileWith(notes: readonly Uint8Array[], base = 0x402000n): ElfFile {
  const data = new Uint8Array(notes.reduce((sum, one) => sum + one.length, 0))
  let at = 0
  for (const one of notes) {
    data.set(one, at)
    at += one.length
  }
  const segment = (virtualAddress: bigint, offset: number) => ({
    type: PT.LOAD,
    virtualAddress,
    offset,
    data: new Uint8Array(0x1000),
  })
  const sections = new Map<string, object>([
    ['.note.stapsdt', { data }],
    ['.stapsdt.base', { address: base }],
  ])
  return {
    byteOrder: 'little',
    segments: [segment(0x401000n, 0x1000), segment(0x405000n, 0x3000)],
    section: (name: string) => sections.get(name),
  } as unknown as ElfFile
}

describe('notes', () => {
  test('say where in the file a place and its semaphore are', () => {
    const notes = [
      note(0x401010n, 0x402000n, 0n, 'lib\0enter\0-4@%edi\0'),
      note(0x401000n, 0x402000n, 0n, 'lib\0other\0\0', 'someone\0'),
      note(0x401020n, 0x402000n, 0x405008n, 'lib\0leave\0\0'),
    ]
    expect(readUsdtNotes(fileWith(notes))).toEqual([
      {
        provider: 'lib',
        name: 'enter',
        arguments: '-4@%edi',
        address: 0x401010n,
        fileOffset: 0x1010n,
        semaphoreFileOffset: 0n,
      },
      {
        provider: 'lib',
        name: 'leave',
        arguments: '',
        address: 0x401020n,
        fileOffset: 0x1020n,
        semaphoreFileOffset: 0x3008n,
      },
    ])
    expect(readUsdtNotes({ section: () => undefined } as unknown as ElfFile)).toEqual([])
  })

  test('go with the file where its addresses were moved', () => {
    const moved = fileWith([note(0x1010n, 0x2000n, 0x5008n, 'a\0b\0\0')])
    expect(readUsdtNotes(moved)).toMatchObject([
      { address: 0x401010n, fileOffset: 0x1010n, semaphoreFileOffset: 0x3008n },
    ])
    const downwards = fileWith([note(0x801010n, 0x802000n, 0n, 'a\0b\0\0')])
    expect(readUsdtNotes(downwards)).toMatchObject([{ address: 0x401010n }])
  })

  test.each<[string, Uint8Array, RegExp]>([
    ['cut off', note(0x401010n, 0n, 0n, 'a\0b\0\0').subarray(0, 40), /at byte 0 of .note.stapsdt is cut off/],
    ['of half a header', new Uint8Array(8), /cut off/],
    ['without a name', note(0x401010n, 0n, 0n, 'a\0\0\0'), /no provider and name/],
    ['without an end', note(0x401010n, 0n, 0n, 'a\0b\0c'), /no provider and name/],
    ['of nowhere', note(0x1n, 0n, 0n, 'a\0b\0\0'), /0x1 of 'a:b' lies in no loaded segment/],
    ['with a lost semaphore', note(0x401010n, 0n, 1n, 'a\0b\0\0'), /semaphore of 'a:b'/],
  ])('one %s is an error', (_name, bytes, message) => {
    expect(readUsdtNotes(fileWith([bytes]))).toMatch(message)
  })
})

test('an address in a process comes from its mappings', () => {
  const maps = `55d000000000-55d000001000 r--p 00000000 fe:00 77                         /opt/my server
55d000001000-55d000003000 r-xp 00001000 fe:00 77                         /opt/my server
7f0000000000-7f0000001000 r-xp 00001000 fe:00 78                         /opt/other
7ffe00000000-7ffe00021000 rw-p 00000000 00:00 0                          [stack]
`
  const kernel = new FakeKernel({ files: { '/proc/9/maps': maps, '/proc/self/maps': maps } })
  expect(addressInProcess(kernel, 9, '/opt/my server', 0x2010n)).toBe(0x55d0_0000_2010n)
  expect(addressInProcess(kernel, 0, '/opt/other', 0x1000n)).toBe(0x7f00_0000_0000n)
  expect(addressInProcess(kernel, 9, '/opt/my server', 0x10n)).toBeUndefined()
  expect(addressInProcess(kernel, 9, '/opt/my server', 0x3000n)).toBeUndefined()
  expect(addressInProcess(kernel, 10, '/opt/other', 0x1000n)).toBeUndefined()
})
