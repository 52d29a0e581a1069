/** What cannot be linked, and why; whatever is changed in an object, there is an answer. Programs: test/linker. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Btf, dumpRaw } from '../btf/index.ts'
import { ElfError, parseElf, SHT } from '../elf/index.ts'
import { LinkError, linkObjects } from './index.ts'

const object = (name: string) => ({
  name,
  bytes: new Uint8Array(readFileSync(new URL(`../../bpf/${name}.bpf.o`, import.meta.url))),
})
const hello = object('hello')
const syscount = object('syscount')

const linked = (...inputs: readonly { name: string; bytes: Uint8Array }[]): Uint8Array => {
  const bytes = linkObjects(inputs)
  if (bytes instanceof LinkError) throw new Error(bytes.message)
  return bytes
}

test('linking what is linked changes nothing but, once, the order of sections and strings', () => {
  const both = linked(hello, syscount)
  const again = linked({ name: 'again', bytes: both })
  expect(again).toHaveLength(both.length)
  expect(linked({ name: 'and again', bytes: again })).toEqual(again)
  const listed = (bytes: Uint8Array) => {
    const file = parseElf(bytes)
    const symbols = file instanceof ElfError ? file : file.symbols()
    if (file instanceof ElfError || symbols instanceof ElfError) throw new Error('it is no ELF file')
    const sections = file.sections.filter(({ type }) => type !== SHT.STRTAB && type !== SHT.SYMTAB)
    const btf = Btf.parse(file.section('.BTF')?.data ?? new Uint8Array())
    return {
      types: btf instanceof Btf ? dumpRaw(btf) : btf.message,
      sections: sections
        .filter(({ type, name }) => type !== SHT.REL && !name.startsWith('.BTF'))
        .map(({ name, data, alignment }) => [name, [...data], alignment]),
      symbols: symbols.map(({ name, value, sectionIndex }) => [
        ...[name, value, file.sections[sectionIndex]?.name],
      ]),
    }
  }
  expect(listed(again)).toEqual(listed(both))
})

test('the bytes that were given are left as they were', () => {
  const copies = [hello, syscount].map(({ bytes }) => Uint8Array.from(bytes))
  linked(hello, syscount)
  expect([hello.bytes, syscount.bytes]).toEqual(copies)
})

/** A copy with a field of a section's header, or of its contents, changed. */
function changed(section: string, change: (view: DataView, header: number, start: number) => void) {
  const bytes = Uint8Array.from(syscount.bytes)
  const file = parseElf(bytes)
  const found = file instanceof ElfError ? undefined : file.section(section)
  if (found === undefined) throw new Error(`no section ${section}`)
  const view = new DataView(bytes.buffer)
  change(view, Number(view.getBigUint64(40, true)) + found.index * 64, found.offset)
  return { name: 'changed', bytes }
}

const code = 'raw_tp/sys_enter'
const file = parseElf(syscount.bytes)
const programs =
  file instanceof ElfError ? [] : file.sections.filter(({ flags, size }) => (flags & 4) !== 0 && size > 0)
const program = programs[0]?.name ?? code

describe('refused, with the file, the section and why', () => {
  const rows: readonly (readonly [string, { name: string; bytes: Uint8Array }, object])[] = [
    [
      'no ELF file',
      { name: 'text', bytes: new TextEncoder().encode('hello') },
      { code: 'bad-object', file: 'text' },
    ],
    ['nothing', { name: 'empty', bytes: new Uint8Array() }, { code: 'bad-object', file: 'empty' }],
    [
      'another machine',
      changed('.BTF', (view) => view.setUint16(18, 62, true)),
      { code: 'unsupported', reason: expect.stringContaining('BPF') },
    ],
    [
      'half an instruction',
      changed(program, (view, header) => view.setBigUint64(header + 32, 12n, true)),
      { code: 'bad-object', section: program, reason: expect.stringContaining('whole instructions') },
    ],
    [
      'an odd alignment',
      changed('.maps', (view, header) => view.setBigUint64(header + 48, 3n, true)),
      { code: 'bad-object', section: '.maps', reason: expect.stringContaining('power of two') },
    ],
    [
      'a table of another type',
      changed('.maps', (view, header) => view.setUint32(header + 4, SHT.HASH, true)),
      { code: 'unsupported', section: '.maps' },
    ],
    [
      'a relocation of another type',
      changed(`.rel${program}`, (view, _, start) => view.setUint32(start + 8, 99, true)),
      { code: 'unsupported', section: `.rel${program}`, reason: expect.stringContaining('type 99') },
    ],
    [
      'a relocation against nothing',
      changed(`.rel${program}`, (view, _, start) => view.setUint32(start + 12, 0, true)),
      { code: 'bad-object', section: `.rel${program}` },
    ],
    [
      'a relocation inside of an instruction',
      changed(`.rel${program}`, (view, _, start) => view.setBigUint64(start, 4n, true)),
      {
        code: 'bad-object',
        section: `.rel${program}`,
        reason: expect.stringContaining('start of an instruction'),
      },
    ],
    [
      'a first symbol that is one',
      changed('.symtab', (view, _, start) => view.setBigUint64(start + 8, 1n, true)),
      { code: 'bad-object', section: '.symtab' },
    ],
    [
      'types that are none',
      changed('.BTF', (view, _, start) => view.setUint16(start, 0, true)),
      { code: 'bad-object', reason: expect.stringContaining('magic') },
    ],
    [
      'no types',
      changed('.BTF', (view, header, start) => {
        view.setUint32(header + 4, SHT.NOBITS, true)
        view.setUint32(start, 0, true)
      }),
      { code: 'bad-object' },
    ],
  ]
  test.each(rows)('%s', (_, input, expected) => {
    const error = linkObjects([hello, input])
    expect(error).toMatchObject({ file: input.name, ...expected })
    expect((error as LinkError).message).toContain(`${input.name}: `)
  })

  test('two of the same', () => {
    expect(linkObjects([hello, { ...hello, name: 'twin' }])).toMatchObject({
      code: 'conflict',
      file: 'twin',
      reason: expect.stringContaining('the first is in hello'),
    })
  })

  test('none', () => {
    expect(linkObjects([])).toMatchObject({ code: 'bad-object', message: 'there is no object to link' })
  })
})

test('a symbol in a table of relocations is left out, or refused where something needs it', () => {
  const symbols = file instanceof ElfError ? file : file.symbols()
  const table = file instanceof ElfError ? undefined : file.section(`.rel${program}`)
  if (symbols instanceof ElfError || table === undefined) throw new Error('the object is bad')
  const ends = new Set<boolean>()
  for (const { index } of symbols.slice(1)) {
    const input = changed('.symtab', (view, _, start) =>
      view.setUint16(start + index * 24 + 6, table.index, true),
    )
    const once = linkObjects([input])
    ends.add(once instanceof LinkError)
    if (!(once instanceof LinkError)) linked({ name: 'again', bytes: once })
  }
  expect(ends).toEqual(new Set([true, false]))
})

test('whatever bytes change, the object is linked or refused with a reason', () => {
  const change = fc.record({ at: fc.nat(syscount.bytes.length - 1), value: fc.nat(255) })
  fc.assert(
    fc.property(
      fc.array(change, { minLength: 1, maxLength: 4 }),
      fc.option(fc.nat(syscount.bytes.length)),
      (changes, cut) => {
        const bytes = Uint8Array.from(syscount.bytes).subarray(0, cut ?? undefined)
        for (const { at, value } of changes) if (at < bytes.length) bytes[at] = value
        const result = linkObjects([hello, { name: 'changed', bytes }])
        if (result instanceof LinkError) expect(result.message.length).toBeGreaterThan(10)
        else expect(parseElf(result)).not.toBeInstanceOf(ElfError)
      },
    ),
    { numRuns: 400 },
  )
})
