/** Handing the records of `.BTF.ext` to the functions that they belong to. */
import type { BtfExtSection } from '../../btf/index.ts'
import type { FunctionDraft, FunctionTable } from './functions.ts'
import type { ObjectFile } from './object-file.ts'
import { SLOT_BYTES } from './slots.ts'

/** Fills `btfFunction`, `lineInfos` and `coreRelocations`; records outside every function are left out. */
export function assignRecords(file: ObjectFile, table: FunctionTable): void {
  const { btfExt } = file
  if (btfExt === undefined) return
  forEachRecord(file, table, btfExt.funcInfo, (one, record, start) => {
    if (record.instructionOffset === start) one.btfFunction = record.type
  })
  forEachRecord(file, table, btfExt.lineInfo, (one, record, start) => {
    one.lineInfos.push(fromStart(record, start))
  })
  forEachRecord(file, table, btfExt.coreRelocations, (one, record, start) => {
    one.coreRelocations.push(fromStart(record, start))
  })
  // Aliases share their arrays but not this.
  for (const one of table.all) {
    one.btfFunction ??= table.startingAt(one.sectionIndex, one.sectionOffset)?.btfFunction
    one.lineInfos.sort((a, b) => a.instructionOffset - b.instructionOffset)
  }
}

/** The record, counting from the function's start. */
const fromStart = <Record extends { readonly instructionOffset: number }>(
  record: Record,
  start: number,
): Record => (start === 0 ? record : { ...record, instructionOffset: record.instructionOffset - start })

function forEachRecord<Record extends { readonly instructionOffset: number }>(
  file: ObjectFile,
  table: FunctionTable,
  sections: readonly BtfExtSection<Record>[],
  visit: (one: FunctionDraft, record: Record, startSlot: number) => void,
): void {
  for (const { section: name, records } of sections) {
    const section = file.elf.section(name)
    if (section === undefined) continue
    let one: FunctionDraft | undefined
    for (const record of records) {
      const byteOffset = record.instructionOffset * SLOT_BYTES
      if (one === undefined || !contains(one, byteOffset)) one = table.containing(section.index, byteOffset)
      if (one !== undefined) visit(one, record, one.sectionOffset / SLOT_BYTES)
    }
  }
}

const contains = (one: FunctionDraft, byteOffset: number): boolean =>
  byteOffset >= one.sectionOffset && byteOffset < one.sectionOffset + one.instructions.length
