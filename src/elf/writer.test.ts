import { expect, test } from 'vitest'
import { EM, ET, SHF, SHT } from './constants.ts'
import { parseElf } from './elf.ts'
import { ElfError } from './error.ts'
import { byteStringOf, fromByteString, StringTable, toByteString } from './string-table.ts'
import { elfBytes, type NewElfSection, writeElf } from './writer.ts'

const nothing = { nameOffset: 0, flags: 0, link: 0, info: 0, entrySize: 0 }

test.each(['little', 'big'] as const)('what is written is read, %s-endian', (byteOrder) => {
  const names = new StringTable()
  const code = Uint8Array.from({ length: 16 }, (_, i) => i + 1)
  const programs: NewElfSection = {
    ...nothing,
    nameOffset: names.add('tc'),
    type: SHT.PROGBITS,
    flags: SHF.ALLOC | SHF.EXECINSTR,
    alignment: 8,
    size: 24,
    parts: [{ offset: 8, bytes: code }],
  }
  const room = {
    ...nothing,
    nameOffset: names.add('.bss'),
    type: SHT.NOBITS,
    alignment: 64,
    size: 100,
    parts: [],
  }
  const own = names.add('.strtab')
  const strings: NewElfSection = {
    ...nothing,
    nameOffset: own,
    type: SHT.STRTAB,
    alignment: 1,
    size: names.size,
    parts: [{ offset: 0, bytes: names.bytes() }],
  }
  const sections = [programs, room, strings]
  const bytes = writeElf({ byteOrder, machine: EM.BPF, sections, namesIndex: 3 })
  expect(bytes).toHaveLength(elfBytes(sections))

  const file = parseElf(bytes)
  if (file instanceof ElfError) throw new Error(file.message)
  expect(file).toMatchObject({ byteOrder, type: ET.REL, machine: EM.BPF })
  expect(file.sections.map(({ name, size, offset }) => [name, size, offset])).toEqual([
    ['', 0, 0],
    ['tc', 24, 64],
    ['.bss', 100, 128],
    ['.strtab', names.size, 128],
  ])
  expect([...(file.section('tc')?.data ?? [])]).toEqual([...new Uint8Array(8), ...code])
})

test('a string table has every string once, and any bytes', () => {
  const table = new StringTable()
  const odd = byteStringOf(Uint8Array.of(0x66, 0xff, 0x80))
  const offsets = ['one', 'two', '', 'one', odd].map((text) => table.add(text))
  expect(offsets).toEqual([1, 5, 0, 1, 9])
  expect(offsets.map((offset) => table.at(offset))).toEqual(['one', 'two', '', 'one', odd])
  expect([table.at(2), table.at(1000)]).toEqual(['ne', ''])
  const again = new StringTable(table.bytes())
  expect(again.at(9)).toBe(odd)
  expect(fromByteString(toByteString('größe'))).toBe('größe')
  expect(toByteString('größe')).toHaveLength(7)
})
