/**
 * `.BTF.ext` of several inputs: functions, source lines and CO-RE relocations, each with its section.
 *
 * Records keep the bytes that this project does not know, so that those of newer compilers pass; all of them have one
 * size in the output.
 */
import { Btf, BtfError, parseBtfExt, type TypeTable } from '../btf/index.ts'
import { LinkError } from './error.ts'
import type { Input } from './input.ts'
import { checkStrings } from './input-types.ts'
import type { Output } from './output.ts'
import type { OutputSection } from './output-section.ts'

const HEADER_BYTES = 32

/** The kinds of record: where the header has their part, and which words of a record refer to types and strings. */
const KINDS = [
  { key: 'functions', field: 8, typeAt: 4, stringsAt: [] },
  { key: 'lines', field: 16, typeAt: undefined, stringsAt: [4, 8] },
  { key: 'relocations', field: 24, typeAt: 4, stringsAt: [8] },
] as const

type Kind = (typeof KINDS)[number]
type Key = Kind['key']

/** Records of one section in an input. */
interface Group {
  readonly section: string
  readonly bytes: Uint8Array
}

interface Part {
  readonly recordBytes: number
  readonly groups: readonly Group[]
}

/** A checked `.BTF.ext`. */
export type ExtParts = Readonly<Record<Key, Part>>

/** Records of one section in the output. */
export interface Records {
  readonly recordBytes: number
  readonly chunks: Uint8Array[]
}

export type SectionRecords = Record<Key, Records | undefined>

/** Reads a `.BTF.ext` section; `types` are those of `.BTF`, whose bytes are `btfBytes`. */
export function readRecords(
  file: string,
  bytes: Uint8Array,
  btfBytes: Uint8Array,
  types: TypeTable,
): ExtParts | LinkError {
  const btf = Btf.parse(btfBytes)
  const parsed = btf instanceof BtfError ? btf : parseBtfExt(bytes, btf)
  if (parsed instanceof BtfError) return new LinkError('bad-object', file, parsed.message)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const little = types.byteOrder === 'little'
  const strings = new Set<number>()
  const read = (kind: Kind) => readPart(view, little, kind, types, strings)
  const [functions, lines, relocations] = [read(KINDS[0]), read(KINDS[1]), read(KINDS[2])]
  for (const offset of strings) {
    if (offset < types.strings.size) continue
    const reason = `expected strings inside of ${types.strings.size} bytes, found offset ${offset}`
    return new LinkError('bad-object', file, reason, '.BTF.ext')
  }
  return checkStrings(file, types, strings) ?? { functions, lines, relocations }
}

/** The bytes of a part whose bounds are checked. */
function readPart(
  view: DataView,
  little: boolean,
  { field, stringsAt }: Kind,
  types: TypeTable,
  strings: Set<number>,
): Part {
  const word = (at: number): number => view.getUint32(at, little)
  const headerLength = word(4)
  // Older headers have no CO-RE relocations.
  if (headerLength < field + 8 || word(field + 4) === 0) return { recordBytes: 0, groups: [] }
  const start = headerLength + word(field)
  const end = start + word(field + 4)
  const recordBytes = word(start)
  const groups: Group[] = []
  for (let at = start + 4; at < end; ) {
    const first = at + 8
    const length = word(at + 4) * recordBytes
    groups.push({
      section: types.strings.at(word(at)),
      bytes: new Uint8Array(view.buffer, view.byteOffset + first, length),
    })
    for (let record = first; record < first + length; record += recordBytes) {
      for (const n of stringsAt) strings.add(word(record + n))
    }
    at = first + length
  }
  return { recordBytes, groups }
}

/** Appends the records of an input to those of the sections that they are about. */
export function appendRecords(output: Output, input: Input): LinkError | undefined {
  if (input.records === undefined || input.types === undefined) return undefined
  const { strings } = input.types.table
  const little = output.byteOrder === 'little'
  for (const kind of KINDS) {
    const { recordBytes, groups } = input.records[kind.key]
    for (const group of groups) {
      const section = input.section(group.section)
      if (section === undefined || (section.output === undefined && !section.isSkipped)) {
        const reason = `found no section '${group.section}', of which it has records`
        return new LinkError('bad-object', input.name, reason, '.BTF.ext')
      }
      if (section.output === undefined || section.isSkipped) continue
      const { records } = section.output
      records[kind.key] ??= { recordBytes, chunks: [] }
      const into = records[kind.key] as Records
      if (into.recordBytes !== recordBytes) return mixedSizes(input.name, into.recordBytes, recordBytes)
      const bytes = Uint8Array.from(group.bytes)
      const view = new DataView(bytes.buffer)
      for (let at = 0; at < bytes.length; at += recordBytes) {
        view.setUint32(at, view.getUint32(at, little) + section.outputOffset, little)
        for (const n of kind.stringsAt) {
          view.setUint32(at + n, output.types.strings.add(strings.at(view.getUint32(at + n, little))), little)
        }
        if (kind.typeAt === undefined) continue
        const type = view.getUint32(at + kind.typeAt, little)
        view.setUint32(at + kind.typeAt, input.typeIds[type] as number, little)
      }
      into.chunks.push(bytes)
    }
  }
  return undefined
}

const mixedSizes = (file: string, expected: number, found: number): LinkError => {
  const reason = `expected records of ${expected} bytes, as the inputs before it have, found ${found}`
  return new LinkError('mismatch', file, reason, '.BTF.ext')
}

/** A section's records with their header, ready but for the ids of types. */
interface Ready {
  readonly kind: Kind
  readonly recordBytes: number
  readonly sections: readonly { readonly name: number; readonly records: Records }[]
}

/** Gathers all records; their sections' names become strings of the output. */
export function gatherRecords(output: Output): readonly Ready[] | LinkError {
  const ready: Ready[] = []
  for (const kind of KINDS) {
    const sections: Ready['sections'][number][] = []
    let recordBytes: number | undefined
    for (const { name, records } of output.sections.filter((section) => hasRecords(section, kind.key))) {
      const of = records[kind.key] as Records
      recordBytes ??= of.recordBytes
      if (recordBytes !== of.recordBytes) return mixedSizes('', recordBytes, of.recordBytes)
      sections.push({ name: output.types.strings.add(name), records: of })
    }
    ready.push({ kind, recordBytes: recordBytes ?? 0, sections })
  }
  return ready
}

const hasRecords = ({ records }: OutputSection, key: Key): boolean =>
  records[key]?.chunks.some(({ length }) => length > 0) === true

/** The section `.BTF.ext`, or `undefined` where there are no records. `newIds` has what became of each type. */
export function writeRecords(
  ready: readonly Ready[],
  newIds: Uint32Array,
  byteOrder: 'little' | 'big',
): Uint8Array | undefined {
  const lengths = ready.map(({ sections }) =>
    sections.reduce((sum, { records }) => sum + 8 + lengthOf(records), sections.length > 0 ? 4 : 0),
  )
  const total = lengths.reduce((sum, length) => sum + length, 0)
  if (total === 0) return undefined
  const little = byteOrder === 'little'
  const bytes = new Uint8Array(HEADER_BYTES + total)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, 0xeb9f, little)
  view.setUint8(2, 1)
  view.setUint32(4, HEADER_BYTES, little)
  let at = HEADER_BYTES
  for (const [i, { kind, recordBytes, sections }] of ready.entries()) {
    view.setUint32(kind.field, at - HEADER_BYTES, little)
    view.setUint32(kind.field + 4, lengths[i] as number, little)
    if (sections.length === 0) continue
    view.setUint32(at, recordBytes, little)
    at += 4
    for (const { name, records } of sections) {
      const length = lengthOf(records)
      view.setUint32(at, name, little)
      view.setUint32(at + 4, length / recordBytes, little)
      at += 8
      const end = at + length
      let to = at
      for (const chunk of records.chunks) {
        bytes.set(chunk, to)
        to += chunk.length
      }
      for (; at < end; at += recordBytes) {
        if (kind.typeAt === undefined) continue
        const type = view.getUint32(at + kind.typeAt, little)
        view.setUint32(at + kind.typeAt, newIds[type] as number, little)
      }
    }
  }
  return bytes
}

const lengthOf = ({ chunks }: Records): number => chunks.reduce((sum, { length }) => sum + length, 0)
