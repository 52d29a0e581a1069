/** The types that a program comes with, and what they say of its functions and lines, as BPF_PROG_LOAD hands them over. */
import { E2BIG, EFAULT, EINVAL } from '../../abi/index.ts'
import type { FunctionInfo, LineRecord, SourceLine } from '../../verifier/index.ts'
import type { BtfObject } from '../btf-object.ts'
import type { KernelProcess } from '../process.ts'
import { readBytes } from '../user-copy.ts'
import { btfOf } from './descriptors.ts'
import type { ProgramAttr } from './program-attr.ts'

/** Sizes of struct bpf_func_info and bpf_line_info, and how large a record of a later kernel may be. */
const FUNC_INFO_BYTES = 8
const LINE_INFO_BYTES = 16
const LARGEST_RECORD = 252

export interface DebugInfo {
  readonly btf: BtfObject | undefined
  readonly funcInfo: Uint8Array
  readonly lineInfo: Uint8Array
}

/** The program's types and what they say of its functions and lines. Source: check_btf_info(). */
export function copyDebugInfo(process: KernelProcess, attr: ProgramAttr): DebugInfo | number {
  const nothing = new Uint8Array(0)
  if (attr.func_info_cnt === 0 && attr.line_info_cnt === 0) {
    return { btf: undefined, funcInfo: nothing, lineInfo: nothing }
  }
  const btf = btfOf(process, attr.prog_btf_fd)
  if (typeof btf === 'number') return btf
  const funcInfo = copyRecords(process, {
    pointer: attr.func_info,
    count: attr.func_info_cnt,
    recordBytes: attr.func_info_rec_size,
    knownBytes: FUNC_INFO_BYTES,
    most: attr.insn_cnt,
  })
  if (typeof funcInfo === 'number') return funcInfo
  const lineInfo = copyRecords(process, {
    pointer: attr.line_info,
    count: attr.line_info_cnt,
    recordBytes: attr.line_info_rec_size,
    knownBytes: LINE_INFO_BYTES,
    most: attr.insn_cnt,
  })
  if (typeof lineInfo === 'number') return lineInfo
  return { btf, funcInfo, lineInfo }
}

interface Records {
  readonly pointer: bigint
  readonly count: number
  readonly recordBytes: number
  readonly knownBytes: number
  readonly most: number
}

/** The known part of each record; what a longer one holds beyond must be zero. */
function copyRecords(process: KernelProcess, records: Records): Uint8Array | number {
  const { count, recordBytes, knownBytes } = records
  if (count === 0) return new Uint8Array(0)
  if (recordBytes < knownBytes || recordBytes > LARGEST_RECORD || recordBytes % 4 !== 0) return -EINVAL
  if (count > records.most) return -EINVAL
  const bytes = readBytes(process.memory, records.pointer, count * recordBytes)
  if (bytes === undefined) return -EFAULT
  if (recordBytes === knownBytes) return bytes
  const known = new Uint8Array(count * knownBytes)
  for (let i = 0; i < count; i++) {
    const record = bytes.subarray(i * recordBytes, (i + 1) * recordBytes)
    if (record.subarray(knownBytes).some((byte) => byte !== 0)) return -E2BIG
    known.set(record.subarray(0, knownBytes), i * knownBytes)
  }
  return known
}

/** The records of `struct bpf_func_info`. */
export function functionsOf({ funcInfo }: DebugInfo): readonly FunctionInfo[] {
  const view = viewOf(funcInfo)
  const functions: FunctionInfo[] = []
  for (let at = 0; at < funcInfo.length; at += FUNC_INFO_BYTES) {
    functions.push({ instruction: view.getUint32(at, true), typeId: view.getUint32(at + 4, true) })
  }
  return functions
}

/** The records of `struct bpf_line_info`. */
export function lineRecordsOf({ lineInfo }: DebugInfo): readonly LineRecord[] {
  const view = viewOf(lineInfo)
  const records: LineRecord[] = []
  for (let at = 0; at < lineInfo.length; at += LINE_INFO_BYTES) {
    records.push({
      instruction: view.getUint32(at, true),
      file: view.getUint32(at + 4, true),
      text: view.getUint32(at + 8, true),
    })
  }
  return records
}

const COLUMN_BITS = 10

/** The same with their texts. */
export function linesOf(info: DebugInfo): readonly SourceLine[] {
  const types = info.btf?.types
  if (types === undefined) return []
  const view = viewOf(info.lineInfo)
  return lineRecordsOf(info).map(({ instruction, file, text }, i) => {
    const position = view.getUint32(i * LINE_INFO_BYTES + 12, true)
    return {
      instruction,
      file: types.string(file),
      text: types.string(text),
      line: position >>> COLUMN_BITS,
      column: position & ((1 << COLUMN_BITS) - 1),
    }
  })
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array) =>
  new DataView(buffer, byteOffset, byteLength)
