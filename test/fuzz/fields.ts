/** Where the numbers are that a reader of ELF, BTF, `.BTF.ext` or instructions goes by. */
import { ElfError, type ElfFile, parseElf, SHT } from '../../src/elf/index.ts'
import type { Field, FieldKind, Window } from './mutate.ts'

type Widths = readonly (readonly [bytes: Field['bytes'], kind: FieldKind])[]

const n = (bytes: Field['bytes'], kind: FieldKind = 'number') => [bytes, kind] as const

/** Elf64_Ehdr from `e_type` on. */
const HEADER: Widths = [
  ...[n(2), n(2), n(4), n(8), n(8, 'extent'), n(8, 'extent'), n(4)],
  ...[n(2), n(2), n(2), n(2), n(2), n(2)],
]
/** Elf64_Shdr. */
const SECTION: Widths = [
  ...[n(4, 'extent'), n(4), n(8), n(8), n(8, 'extent'), n(8, 'extent')],
  ...[n(4), n(4), n(8), n(8)],
]
/** Elf64_Sym. */
const SYMBOL: Widths = [n(4, 'extent'), n(1), n(1), n(2), n(8, 'extent'), n(8, 'extent')]
/** Elf64_Rel: the place, then the type and the symbol. */
const RELOCATION: Widths = [n(8, 'extent'), n(4), n(4)]
/** A slot: opcode, registers, offset, immediate. */
const INSTRUCTION: Widths = [n(1, 'opcode'), n(1, 'registers'), n(2, 'operand'), n(4, 'operand')]

function put(fields: Field[], start: number, widths: Widths, limit: number): number {
  let at = start
  for (const [bytes, kind] of widths) {
    fields.push({ at, bytes, kind, limit })
    at += bytes
  }
  return at
}

function table(fields: Field[], start: number, end: number, widths: Widths, limit: number): void {
  const size = widths.reduce((sum, [bytes]) => sum + bytes, 0)
  for (let at = start; at + size <= end; at += size) put(fields, at, widths, limit)
}

/** Headers, sections, symbols and relocations of an object. */
export function elfWindow(bytes: Uint8Array): Window {
  const elf = opened(bytes)
  const fields: Field[] = []
  const count = elf.sections.length
  put(fields, 16, HEADER, count)
  const headers = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(40, true))
  for (const section of elf.sections) {
    put(fields, headers + section.index * 64, SECTION, count)
    const end = section.offset + section.size
    if (section.type === SHT.SYMTAB) table(fields, section.offset, end, SYMBOL, count)
    if (section.type === SHT.REL) table(fields, section.offset, end, RELOCATION, 64)
  }
  return { start: 0, end: bytes.length, fields }
}

/** Instructions of all programs. */
export function codeWindow(bytes: Uint8Array): Window {
  const fields: Field[] = []
  for (const section of opened(bytes).sections) {
    if (section.type !== SHT.PROGBITS || (section.flags & 4) === 0) continue
    table(fields, section.offset, section.offset + section.size, INSTRUCTION, 64)
  }
  return { start: fields[0]?.at ?? 0, end: (fields.at(-1)?.at ?? 0) + 4, fields }
}

/** Slots of a program alone. */
export function slotsWindow(bytes: Uint8Array): Window {
  const fields: Field[] = []
  table(fields, 0, bytes.length, INSTRUCTION, bytes.length / 8)
  return { start: 0, end: bytes.length, fields }
}

/** A section of an object, with the fields that `of` finds in its bytes. */
export function sectionWindow(
  bytes: Uint8Array,
  name: string,
  of: (section: Uint8Array) => Window,
): Window | undefined {
  const section = opened(bytes).section(name)
  if (section === undefined || section.size === 0) return undefined
  const inside = of(section.data)
  return {
    start: section.offset,
    end: section.offset + section.size,
    fields: inside.fields.map((field) => ({ ...field, at: field.at + section.offset })),
  }
}

const BTF_HEADER: Widths = [
  ...[n(2), n(1), n(1)],
  ...[n(4, 'extent'), n(4, 'extent'), n(4, 'extent'), n(4, 'extent'), n(4, 'extent')],
]

/** Kinds whose third word is a type, and what follows by kind: words behind the first three. */
const REFERS = new Set([2, 8, 9, 10, 11, 12, 13, 14, 17, 18])
const PARTS: Readonly<Record<number, readonly FieldKind[]>> = {
  4: ['extent', 'type', 'number'],
  5: ['extent', 'type', 'number'],
  6: ['extent', 'number'],
  13: ['extent', 'type'],
  15: ['type', 'extent', 'extent'],
  19: ['extent', 'number', 'number'],
}
const TAIL: Readonly<Record<number, readonly FieldKind[]>> = {
  1: ['number'],
  3: ['type', 'type', 'number'],
  14: ['number'],
  17: ['number'],
}

/** Every word of a well-formed little-endian `.BTF`. */
export function btfWindow(bytes: Uint8Array): Window {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const header = view.getUint32(4, true)
  const start = header + view.getUint32(8, true)
  const end = start + view.getUint32(12, true)
  const strings = view.getUint32(20, true)
  const places: number[] = []
  for (let at = start; at + 12 <= end; at += 12 + extraBytes(view, at)) places.push(at)
  const fields: Field[] = []
  put(fields, 0, BTF_HEADER, strings)
  const word = (at: number, kind: FieldKind) =>
    fields.push({ at, bytes: 4, kind, limit: kind === 'extent' ? strings : places.length + 1 })
  for (const at of places) {
    const kind = (view.getUint32(at + 4, true) >>> 24) & 0x1f
    word(at, 'extent')
    word(at + 4, 'info')
    word(at + 8, REFERS.has(kind) ? 'type' : 'number')
    const words = TAIL[kind] ?? PARTS[kind] ?? []
    const count = extraBytes(view, at) / 4
    for (let i = 0; i < count; i++) word(at + 12 + i * 4, words[i % words.length] ?? 'number')
  }
  return { start: 0, end: bytes.length, fields }
}

function extraBytes(view: DataView, at: number): number {
  const info = view.getUint32(at + 4, true)
  const kind = (info >>> 24) & 0x1f
  const words = TAIL[kind]?.length ?? (PARTS[kind]?.length ?? 0) * (info & 0xffff)
  return words * 4
}

/** The header of a `.BTF.ext` and every word of its records. */
export function extWindow(bytes: Uint8Array): Window {
  const fields: Field[] = []
  put(fields, 0, [n(2), n(1), n(1)], 2)
  for (let at = 4; at + 4 <= bytes.length; at += 4) {
    const kind = at < 32 || at % 3 === 0 ? 'extent' : 'number'
    fields.push({ at, bytes: 4, kind, limit: 128 })
  }
  return { start: 0, end: bytes.length, fields }
}

function opened(bytes: Uint8Array): ElfFile {
  const elf = parseElf(bytes)
  if (elf instanceof ElfError) throw new Error(`a seed is no ELF file: ${elf.message}`)
  return elf
}
