/**
 * `.BTF.ext`: what function, source line and CO-RE access belongs to which instruction.
 *
 * header:  | magic 0xeb9f (16) | version (8) | flags (8) | hdr_len | then (offset, length) of three parts |
 * part:    | record size | then per section: name offset, count, records |
 * Offsets are in bytes of the section; they become 8-byte slots here.
 *
 * Source: Documentation/bpf/btf.rst, .BTF.ext section; include/uapi/linux/bpf.h, struct bpf_func_info,
 * bpf_line_info, bpf_core_relo.
 */
import type { Btf } from './btf.ts'
import { BtfError } from './error.ts'
import type { BtfExt, BtfExtSection, CoreRelocation, FuncInfo, LineInfo } from './types.ts'

const MAGIC = 0xeb9f
const HEADER_BYTES = 24
const HEADER_WITH_CORE_BYTES = 32

/** The kernel follows at most 64 steps (BPF_CORE_SPEC_MAX_LEN), each a number and a colon. */
const MAX_ACCESS_BYTES = 1024

const place = (offset: number) => ({ section: '.BTF.ext', offset })

/** Reads a `.BTF.ext` section; `btf` is the `.BTF` of the same file. */
export function parseBtfExt(bytes: Uint8Array, btf: Btf): BtfExt | BtfError {
  if (bytes.length < HEADER_BYTES) {
    return new BtfError('bad-ext', place(0), `a header of ${HEADER_BYTES} bytes`, `${bytes.length} bytes`)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const little = btf.byteOrder === 'little'
  const magic = view.getUint16(0, little)
  if (magic !== MAGIC) {
    return new BtfError(
      'bad-ext',
      place(0),
      `the magic 0xeb9f, ${btf.byteOrder}-endian as .BTF`,
      `0x${magic.toString(16)}`,
    )
  }
  if (bytes[2] !== 1) return new BtfError('unsupported-version', place(2), 'version 1', `${bytes[2]}`)
  const headerLength = view.getUint32(4, little)
  if (headerLength < HEADER_BYTES || headerLength > bytes.length) {
    return new BtfError(
      'bad-ext',
      place(4),
      `a header of ${HEADER_BYTES} bytes or more, inside the ${bytes.length} bytes`,
      `${headerLength}`,
    )
  }
  const reader = { view, little, headerLength, btf }
  const funcInfo = readPart(reader, 8, 8, readFuncInfo)
  if (funcInfo instanceof BtfError) return funcInfo
  const lineInfo = readPart(reader, 16, 16, readLineInfo)
  if (lineInfo instanceof BtfError) return lineInfo
  const coreRelocations =
    headerLength >= HEADER_WITH_CORE_BYTES ? readPart(reader, 24, 16, readCoreRelocation) : []
  if (coreRelocations instanceof BtfError) return coreRelocations
  return { funcInfo, lineInfo, coreRelocations }
}

interface Reader {
  readonly view: DataView
  readonly little: boolean
  readonly headerLength: number
  readonly btf: Btf
}

/** Reads one record at byte `at`, or says what is wrong with it. */
type ReadRecord<Record> = (reader: Reader, at: number, instructionOffset: number) => Record | BtfError

function readPart<Record extends object>(
  reader: Reader,
  headerField: number,
  leastRecordBytes: number,
  readRecord: ReadRecord<Record>,
): readonly BtfExtSection<Record>[] | BtfError {
  const { view, little, headerLength, btf } = reader
  const start = headerLength + view.getUint32(headerField, little)
  const length = view.getUint32(headerField + 4, little)
  const end = start + length
  if (length === 0) return []
  if (end > view.byteLength || length < 4) {
    return new BtfError(
      'bad-ext',
      place(headerField),
      `records inside the ${view.byteLength} bytes`,
      `${length} bytes at ${start}`,
    )
  }
  const recordBytes = view.getUint32(start, little)
  if (recordBytes < leastRecordBytes || recordBytes % 4 !== 0) {
    return new BtfError(
      'bad-ext',
      place(start),
      `records of ${leastRecordBytes} bytes or more, in whole words`,
      `${recordBytes}`,
    )
  }
  const sections: BtfExtSection<Record>[] = []
  let at = start + 4
  while (at < end) {
    if (at + 8 > end)
      return new BtfError('bad-ext', place(at), '8 bytes of section header', `${end - at} left`)
    const nameOffset = view.getUint32(at, little)
    const count = view.getUint32(at + 4, little)
    if (nameOffset >= btf.stringBytes) {
      return new BtfError(
        'bad-ext',
        place(at),
        `a section name inside the ${btf.stringBytes} bytes of strings`,
        `offset ${nameOffset}`,
      )
    }
    const first = at + 8
    if (first + count * recordBytes > end) {
      return new BtfError(
        'bad-ext',
        place(at + 4),
        `${count} records of ${recordBytes} bytes`,
        `${end - first} bytes left`,
      )
    }
    at = first + count * recordBytes
    const records: Record[] = []
    for (let record = first; record < at; record += recordBytes) {
      const byteOffset = view.getUint32(record, little)
      if (byteOffset % 8 !== 0) {
        return new BtfError('bad-ext', place(record), 'an offset that is a multiple of 8', `${byteOffset}`)
      }
      const decoded = readRecord(reader, record, byteOffset / 8)
      if (decoded instanceof BtfError) return decoded
      records.push(decoded)
    }
    sections.push({ section: btf.string(nameOffset), records })
  }
  return sections
}

/** struct bpf_func_info: | insn_off | type_id | */
const readFuncInfo: ReadRecord<FuncInfo> = ({ view, little, btf }, at, instructionOffset) => {
  const number = view.getUint32(at + 4, little)
  const type = btf.id(number)
  if (type === undefined) return badType(at + 4, btf, number)
  return { instructionOffset, type }
}

/** struct bpf_line_info: | insn_off | file_name_off | line_off | line (22) column (10) | */
const readLineInfo: ReadRecord<LineInfo> = ({ view, little }, at, instructionOffset) => {
  const position = view.getUint32(at + 12, little)
  return {
    instructionOffset,
    fileNameOffset: view.getUint32(at + 4, little),
    lineOffset: view.getUint32(at + 8, little),
    lineNumber: position >>> 10,
    column: position & 0x3ff,
  }
}

/** struct bpf_core_relo: | insn_off | type_id | access_str_off | kind | */
const readCoreRelocation: ReadRecord<CoreRelocation> = ({ view, little, btf }, at, instructionOffset) => {
  const number = view.getUint32(at + 4, little)
  const type = btf.id(number)
  if (type === undefined) return badType(at + 4, btf, number)
  const accessOffset = view.getUint32(at + 8, little)
  if (accessOffset >= btf.stringBytes) {
    return new BtfError(
      'bad-ext',
      place(at + 8),
      `an access string inside the ${btf.stringBytes} bytes of strings`,
      `offset ${accessOffset}`,
    )
  }
  return {
    instructionOffset,
    type,
    accessOffset,
    access: btf.string(accessOffset, MAX_ACCESS_BYTES),
    kind: view.getUint32(at + 12, little),
  }
}

const badType = (offset: number, btf: Btf, found: number): BtfError =>
  new BtfError('bad-ext', place(offset), `a type id under ${btf.typeCount}`, `${found}`)
