import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { ElfError, type ElfFile, EM, ET, MAX_NAME_BYTES, parseElf, SHF, SHT, STB, STT } from './index.ts'

const scratch = mkdtempSync(join(tmpdir(), 'anybpf-elf-'))
afterAll(() => rmSync(scratch, { recursive: true }))
const has = (tool: string): boolean => spawnSync(tool, ['--version']).status === 0
const hasTools = has('clang-19') && has('llvm-readelf-19') && has('ld.lld-19')

/** What a hand-made file holds: enough ELF to say everything that the reader reads. */
interface Recipe {
  readonly little: boolean
  readonly sections: readonly {
    name: string
    type: number
    data: Uint8Array
    link?: number
    info?: number
    entry?: number
  }[]
}

/** Writes an ELF64 file: header, section contents, section names, section headers. */
function build({ little, sections }: Recipe): Uint8Array {
  const names = ['', ...sections.map((one) => one.name), '.shstrtab']
  const table = new TextEncoder().encode(`${names.join('\0')}\0`)
  const all = [
    ...sections,
    { name: '.shstrtab', type: SHT.STRTAB as number, data: table, link: 0, info: 0, entry: 0 },
  ]
  const contents = all.reduce((sum, one) => sum + one.data.length, 64)
  const headers = Math.ceil(contents / 8) * 8
  const bytes = new Uint8Array(headers + (all.length + 1) * 64)
  const view = new DataView(bytes.buffer)
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, little ? 1 : 2, 1])
  view.setUint16(16, ET.REL, little)
  view.setUint16(18, EM.BPF, little)
  view.setUint32(20, 1, little)
  view.setBigUint64(40, BigInt(headers), little)
  view.setUint16(52, 64, little)
  view.setUint16(58, 64, little)
  view.setUint16(60, all.length + 1, little)
  view.setUint16(62, all.length, little)
  let at = 64
  let nameOffset = 1
  all.forEach((one, i) => {
    bytes.set(one.data, at)
    const header = headers + (i + 1) * 64
    view.setUint32(header, nameOffset, little)
    view.setUint32(header + 4, one.type, little)
    view.setBigUint64(header + 24, BigInt(at), little)
    view.setBigUint64(header + 32, BigInt(one.data.length), little)
    view.setUint32(header + 40, one.link ?? 0, little)
    view.setUint32(header + 44, one.info ?? 0, little)
    view.setBigUint64(header + 56, BigInt(one.entry ?? 0), little)
    at += one.data.length
    nameOffset += one.name.length + 1
  })
  return bytes
}

function words(
  little: boolean,
  ...fields: readonly (readonly [bytes: 1 | 2 | 4 | 8, value: number])[]
): Uint8Array {
  const out = new Uint8Array(fields.reduce((sum, [bytes]) => sum + bytes, 0))
  const view = new DataView(out.buffer)
  let at = 0
  for (const [bytes, value] of fields) {
    if (bytes === 1) view.setUint8(at, value)
    else if (bytes === 2) view.setUint16(at, value, little)
    else if (bytes === 4) view.setUint32(at, value, little)
    else view.setBigUint64(at, BigInt(value), little)
    at += bytes
  }
  return out
}

const join2 = (...parts: readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]))

function smallObject(little: boolean): Uint8Array {
  const symbol = (name: number, info: number, section: number, value: number, size: number) =>
    words(little, [4, name], [1, info], [1, 0], [2, section], [8, value], [8, size])
  return build({
    little,
    sections: [
      { name: '.text', type: SHT.PROGBITS, data: new Uint8Array(32).fill(7) },
      { name: '.strtab', type: SHT.STRTAB, data: new TextEncoder().encode('\0main\0größe\0') },
      {
        name: '.symtab',
        type: SHT.SYMTAB,
        link: 2,
        entry: 24,
        data: join2(
          symbol(0, 0, 0, 0, 0),
          symbol(1, (STB.GLOBAL << 4) | STT.FUNC, 1, 8, 24),
          symbol(6, STT.OBJECT, 1, 0, 4),
        ),
      },
      // r_info: symbol in the high half, type in the low one.
      {
        name: '.rel.text',
        type: SHT.REL,
        link: 3,
        info: 1,
        entry: 16,
        data: words(little, [8, 16], [8, 2 * 2 ** 32 + 10]),
      },
      {
        name: '.rela.text',
        type: SHT.RELA,
        link: 3,
        info: 1,
        entry: 24,
        data: words(little, [8, 24], [8, 2 ** 32 + 1], [8, 5]),
      },
    ],
  })
}

function opened(bytes: Uint8Array): ElfFile {
  const file = parseElf(bytes)
  if (file instanceof ElfError) throw new Error(file.message)
  return file
}

describe.each([
  ['little', true],
  ['big', false],
] as const)('a %s-endian file', (byteOrder, little) => {
  const bytes = smallObject(little)
  const file = opened(bytes)

  test('has its header and sections, whose data are views of the file', () => {
    expect(file).toMatchObject({ byteOrder, type: ET.REL, machine: EM.BPF, entry: 0n, segments: [] })
    expect(file.sections.map((one) => one.name)).toEqual([
      '',
      '.text',
      '.strtab',
      '.symtab',
      '.rel.text',
      '.rela.text',
      '.shstrtab',
    ])
    const text = file.section('.text')
    expect(text).toMatchObject({ index: 1, type: SHT.PROGBITS, size: 32, offset: 64 })
    expect(text?.data.buffer).toBe(bytes.buffer)
    expect(file.section('.none')).toBeUndefined()
  })

  test('has symbols, with names beyond ASCII', () => {
    const symbols = file.symbols()
    if (symbols instanceof ElfError) throw new Error(symbols.message)
    expect(symbols.map((one) => one.name)).toEqual(['', 'main', 'größe'])
    expect(symbols[1]).toMatchObject({
      value: 8n,
      size: 24n,
      type: STT.FUNC,
      binding: STB.GLOBAL,
      sectionIndex: 1,
      isDefined: true,
    })
  })

  test('has REL and RELA relocations', () => {
    const section = file.section('.text')
    expect(section && file.relocations(section)).toEqual([
      { offset: 16, type: 10, symbol: 2, addend: undefined },
      { offset: 24, type: 1, symbol: 1, addend: 5n },
    ])
  })
})

describe('a malformed file is a value that says where and why', () => {
  const good = smallObject(true)
  const header = (n: number): number => Number(new DataView(good.buffer).getBigUint64(40, true)) + n * 64
  const poke = (at: number, ...values: readonly number[]): Uint8Array => {
    const copy = good.slice()
    copy.set(values, at)
    return copy
  }
  test.each([
    [
      'empty',
      new Uint8Array(),
      'not-elf',
      'file offset 0x0: expected the magic 7f 45 4c 46, found an empty file',
    ],
    [
      'text',
      new TextEncoder().encode('#!/bin/sh'),
      'not-elf',
      'file offset 0x0: expected the magic 7f 45 4c 46, found 23 21 2f 62',
    ],
    [
      'cut in the header',
      good.subarray(0, 40),
      'truncated',
      'file offset 0x0: expected a header of 64 bytes, found 40 bytes',
    ],
    [
      '32-bit',
      poke(4, 1),
      'unsupported-class',
      'file offset 0x4: expected class 2 (ELF64), found class 1 (ELF32)',
    ],
    [
      'of no byte order',
      poke(5, 3),
      'bad-header',
      'file offset 0x5: expected data encoding 1 (little) or 2 (big), found 3',
    ],
    [
      'cut in the sections',
      good.subarray(0, 200),
      'truncated',
      `file offset 0x28: expected a section header table inside the file's 200 bytes, found its start at 0x${header(0).toString(16)}`,
    ],
    [
      'with contents past the end',
      poke(header(1) + 32, 0xff, 0xff),
      'truncated',
      `section 1, file offset 0x${header(1).toString(16)}: expected contents inside the file's ${good.length} bytes, found 65535 bytes at 0x40`,
    ],
    [
      'with a name past the names',
      poke(header(2), 0xff, 0xff),
      'bad-string',
      `section 2, file offset 0x${header(2).toString(16)}: expected a name inside the 54 bytes of section names, found offset 65535`,
    ],
  ])('%s', (_name, bytes, code, message) => {
    const error = parseElf(bytes)
    expect(error).toBeInstanceOf(ElfError)
    expect(error).toMatchObject({ code, message })
  })

  test('symbols and relocations are checked when asked for', () => {
    const symtab = opened(good).section('.symtab')?.offset as number
    const badName = opened(poke(symtab + 24, 0xff)).symbols()
    expect(String(badName)).toMatch(
      /bad-string\): section 3 '.symtab', file offset .* symbol 1 with a name inside/,
    )
    const badSection = opened(poke(symtab + 24 + 6, 0x20)).symbols()
    expect(String(badSection)).toMatch(/symbol 1 in one of 7 sections, found section 32/)
    const rel = opened(good).section('.rel.text')?.offset as number
    const file = opened(poke(rel, 0x40))
    const text = file.section('.text')
    expect(String(text && file.relocations(text))).toMatch(
      /'.rel.text'.*an offset inside the 32 bytes of '.text', found 0x40/,
    )
  })
})

/** A small fast generator, so that a failure can be repeated from its seed. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

test('no mutation of a file makes the reader throw', () => {
  const base = smallObject(true)
  const interesting = [0, 1, 7, 0x7f, 0x80, 0xff]
  for (let seed = 0; seed < 30_000; seed++) {
    const next = random(seed)
    let bytes = base.slice()
    for (let n = next(8); n >= 0; n--) {
      bytes[next(bytes.length)] =
        next(2) === 0 ? next(256) : (interesting[next(interesting.length)] as number)
    }
    if (next(8) === 0) bytes = bytes.subarray(0, next(bytes.length))
    try {
      const file = parseElf(bytes)
      if (file instanceof ElfError) {
        expect(file.message).toMatch(/expected .*, found /)
        continue
      }
      const symbols = file.symbols()
      if (!(symbols instanceof ElfError)) for (const symbol of symbols) void symbol.name
      for (const section of file.sections) void file.relocations(section)
    } catch (error) {
      throw new Error(`seed ${seed}: ${error}`)
    }
  }
})

test('many names in one long string cost no quadratic memory or time', () => {
  const [count, length] = [20_000, 400_000]
  const strings = new Uint8Array(length).fill(65)
  strings[0] = strings[length - 1] = 0
  const symbols = new Uint8Array(count * 24)
  const view = new DataView(symbols.buffer)
  for (let i = 1; i < count; i++) view.setUint32(i * 24, i * 10, true)
  const file = opened(
    build({
      little: true,
      sections: [
        { name: '.strtab', type: SHT.STRTAB, data: strings },
        { name: '.symtab', type: SHT.SYMTAB, data: symbols, link: 1, entry: 24 },
      ],
    }),
  )
  const all = file.symbols()
  if (all instanceof ElfError) throw new Error(all.message)
  expect(Math.max(...all.map((symbol) => symbol.name.length))).toBe(MAX_NAME_BYTES)
})

describe.skipIf(!hasTools)(
  `llvm-readelf agrees${hasTools ? '' : ' (needs clang-19, lld-19, llvm-19)'}`,
  () => {
    const compile = (name: string, source: string, args: readonly string[]): string => {
      const input = join(scratch, `${name}.c`)
      const output = join(scratch, `${name}.o`)
      writeFileSync(input, source)
      execFileSync('clang-19', ['-g', '-O1', '-ffreestanding', ...args, input, '-o', output])
      return output
    }
    const code =
      'int table[4] = {1, 2}; int zero[100]; int f(int x) { return table[x & 3] + zero[x & 7]; } int _start(void) { return f(1); }'
    const files = [
      ['BPF', 'bpfel', ['-target', 'bpfel', '-c']],
      ['big-endian BPF', 'bpfeb', ['-target', 'bpfeb', '-c']],
      ['a RISC-V object', 'rv-obj', ['--target=riscv64', '-march=rv64imac', '-mabi=lp64', '-c']],
      [
        'a RISC-V executable',
        'rv-exe',
        [
          '--target=riscv64',
          '-march=rv64imac',
          '-mabi=lp64',
          '-mcmodel=medany',
          '-nostdlib',
          '-static',
          '-fuse-ld=lld-19',
          '-Wl,-Ttext=0x80000000',
        ],
      ],
      [
        'an x86-64 shared object',
        'x86-so',
        ['--target=x86_64-linux-gnu', '-shared', '-fPIC', '-nostdlib', '-fuse-ld=lld-19'],
      ],
    ] as const
    test.each(files)('%s', (_title, name, args) => {
      const path = compile(name, code, args)
      const file = opened(new Uint8Array(readFileSync(path)))
      const options = [
        '--elf-output-style=JSON',
        '--sections',
        '--symbols',
        '--program-headers',
        '--relocations',
      ]
      const [theirs] = JSON.parse(execFileSync('llvm-readelf-19', [...options, path], { encoding: 'utf8' }))
      interface TheirSection {
        Section: Record<string, { Value: number } & { Name: string }> & { Index: number }
      }
      const sections = (theirs.Sections as TheirSection[]).map(({ Section: one }) => ({
        index: one.Index,
        name: one.Name?.Name,
        type: one.Type?.Value,
        address: BigInt(one.Address as unknown as number),
        offset: one.Offset,
        size: one.Size,
        link: one.Link,
        info: one.Info,
        alignment: one.AddressAlignment,
        entrySize: one.EntrySize,
      }))
      expect(file.sections.map(({ flags: _f, data: _d, ...one }) => one)).toEqual(sections)
      const symbols = file.symbols()
      if (symbols instanceof ElfError) throw new Error(symbols.message)
      interface TheirSymbol {
        Symbol: {
          Name: { Name: string }
          Value: number
          Size: number
          Binding: { Value: number }
          Type: { Value: number }
        }
      }
      const named = (
        list: readonly { name: string; value: bigint; size: bigint; binding: number; type: number }[],
      ) =>
        list
          .filter((one) => one.type !== STT.SECTION)
          .map((one) => `${one.name} ${one.value} ${one.size} ${one.binding} ${one.type}`)
      expect(named(symbols)).toEqual(
        named(
          (theirs.Symbols as TheirSymbol[]).map(({ Symbol: one }) => ({
            name: one.Name.Name,
            value: BigInt(one.Value),
            size: BigInt(one.Size),
            binding: one.Binding.Value,
            type: one.Type.Value,
          })),
        ),
      )
      interface TheirSegment {
        ProgramHeader: {
          Type: { Value: number }
          Offset: number
          VirtualAddress: number
          FileSize: number
          MemSize: number
        }
      }
      const segments = ((theirs.ProgramHeaders ?? []) as TheirSegment[]).map(({ ProgramHeader: one }) => ({
        type: one.Type.Value,
        offset: one.Offset,
        virtualAddress: BigInt(one.VirtualAddress),
        fileSize: one.FileSize,
        memorySize: BigInt(one.MemSize),
      }))
      const ours = file.segments.map(({ type, offset, virtualAddress, memorySize, data }) => ({
        type,
        offset,
        virtualAddress,
        fileSize: data.length,
        memorySize,
      }))
      expect(ours).toEqual(segments)
      interface TheirRelocations {
        SectionIndex: number
        Relocs: { Relocation: { Offset: number; Type: { Value: number }; Addend?: number } }[]
      }
      for (const group of (theirs.Relocations ?? []) as TheirRelocations[]) {
        const target = file.sections[file.sections[group.SectionIndex]?.info ?? 0]
        const list = target === undefined ? [] : file.relocations(target)
        if (list instanceof ElfError) throw new Error(list.message)
        expect(list.map((one) => [one.offset, one.type])).toEqual(
          group.Relocs.map(({ Relocation: one }) => [one.Offset, one.Type.Value]),
        )
      }
      expect(file.sections.some((one) => (one.flags & SHF.EXECINSTR) !== 0)).toBe(true)
    })
  },
)
