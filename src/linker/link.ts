/**
 * The static linker for BPF objects: several objects become one, as if their sources had been one.
 *
 * Rules: inputs are added in their order, each in full before the next, so the same inputs make the same bytes.
 * Externs that nothing defines stay extern, for a later link or for the loader (`.ksyms`, `.kconfig`). DWARF is left
 * out. Whatever an input claims is checked before it is used; what cannot be linked is a `LinkError`.
 *
 * Source: bpftool-gen(8), `gen object`; the file is laid out as libbpf lays it out.
 */
import { BtfError, deduplicate } from '../btf/index.ts'
import { EM, elfBytes, writeElf } from '../elf/index.ts'
import { LinkError } from './error.ts'
import { Input, type LinkInput } from './input.ts'
import { Output } from './output.ts'
import { appendRecords, gatherRecords, writeRecords } from './records.ts'
import { appendRelocations } from './relocations.ts'
import { appendSections } from './sections.ts'
import { appendSymbols } from './symbols.ts'
import { addSectionTypes, appendTypes } from './types.ts'

/** Alignment may add to the output, but hardly ever this much. */
const MAX_PADDING = 0x400_0000

/** Links objects, one or more of one byte order, and returns the bytes of the new object. */
export function linkObjects(inputs: readonly LinkInput[]): Uint8Array | LinkError {
  let output: Output | undefined
  let inputBytes = 0
  for (const one of inputs) {
    const input = Input.open(one)
    if (input instanceof LinkError) return input
    output ??= new Output(input.elf.byteOrder)
    const error = append(output, input)
    if (error !== undefined) return error
    inputBytes += one.bytes.length
  }
  if (output === undefined) return new LinkError('bad-object', '', 'there is no object to link')
  return finish(output, inputBytes)
}

function append(output: Output, input: Input): LinkError | undefined {
  const { byteOrder } = input.elf
  if (byteOrder !== output.byteOrder) {
    const reason = `it is ${byteOrder}-endian, and the inputs before it are ${output.byteOrder}-endian`
    return new LinkError('unsupported', input.name, reason)
  }
  return (
    appendSections(output, input) ??
    appendSymbols(output, input) ??
    appendRelocations(output, input) ??
    appendTypes(output, input) ??
    appendRecords(output, input)
  )
}

function finish(output: Output, inputBytes: number): Uint8Array | LinkError {
  const { types, byteOrder } = output
  if (types.count > 1) {
    addSectionTypes(output)
    const ready = gatherRecords(output)
    if (ready instanceof LinkError) return ready
    const newIds = deduplicate(types)
    if (newIds instanceof BtfError) return new LinkError('bad-object', '', newIds.message)
    output.addMade('.BTF', types.bytes())
    const records = writeRecords(ready, newIds, byteOrder)
    if (records !== undefined) output.addMade('.BTF.ext', records)
  }
  const sections = output.finish().map((section) => section.elf())
  if (elfBytes(sections) > 2 * inputBytes + MAX_PADDING) {
    return new LinkError('too-large', '', 'alignment would make the object too large')
  }
  return writeElf({ byteOrder, machine: EM.BPF, sections, namesIndex: 1 })
}
