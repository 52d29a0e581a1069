/** Joining relocations: they move with their sections, and refer to the symbols of the output. */
import { hasGnuAddends, SHT, STT } from '../elf/index.ts'
import { INSTRUCTION_BYTES, isInstructions } from './check-sections.ts'
import { LinkError } from './error.ts'
import type { Input } from './input.ts'
import type { InputSection } from './input-section.ts'
import type { Output } from './output.ts'
import { appendSection, whyNotOneKind } from './sections.ts'

const REL_BYTES = 16

/** `call`: what it adds to its symbol is in instructions, not in bytes. Source: RFC 9669, 4.3. */
const CALL = 0x85

export function appendRelocations(output: Output, input: Input): LinkError | undefined {
  for (const section of input.sections.slice(1)) {
    const { elf } = section
    if (elf?.type !== SHT.REL || section.isSkipped) continue
    const target = input.sections[elf.info]
    if (target?.output === undefined || target.isSkipped) continue
    const known = output.find(section.name)
    const error = known?.kind === undefined ? undefined : whyNotOneKind(input.name, known, elf)
    if (error !== undefined) return error
    const into = output.sectionFor(section)
    if (!output.hasRoom) return new LinkError('too-large', input.name, 'there are too many sections')
    into.link = output.symbolSectionIndex
    into.info = target.output.index
    const failure = appendSection(input.name, into, section, elf) ?? relocate(output, input, section, target)
    if (failure !== undefined) return failure
  }
  return undefined
}

/** r_offset (64), r_info: | symbol (32) | type (32) | */
function relocate(
  output: Output,
  input: Input,
  { name, copy }: InputSection,
  target: InputSection,
): LinkError | undefined {
  const little = output.byteOrder === 'little'
  const entries = viewOf(copy)
  const contents = viewOf(target.copy)
  const isCountedTwice = hasGnuAddends(input.elf)
  const isProgram = target.elf !== undefined && isInstructions(target.elf)
  for (let at = 0; at < copy.length; at += REL_BYTES) {
    const offset = Number(entries.getBigUint64(at, little))
    const symbolAt = little ? at + 12 : at + 8
    const symbol = input.symbols[entries.getUint32(symbolAt, little)]
    const index = symbol === undefined ? 0 : (input.symbolIndexes[symbol.index] as number)
    const place = `at 0x${offset.toString(16)}`
    if (symbol === undefined || index === 0) {
      const reason = `${place}: '${symbol?.name ?? ''}' is in a section that is not linked`
      return new LinkError('bad-object', input.name, reason, name)
    }
    entries.setBigUint64(at, BigInt(offset + target.outputOffset), little)
    entries.setUint32(symbolAt, index, little)
    if (symbol.type !== STT.SECTION) {
      // Where the symbol will be, only this file's assembler knows to count twice. Maps are found by their symbols.
      const isMap = input.sections[symbol.sectionIndex]?.name === '.maps'
      if (!isCountedTwice || !isProgram || symbol.value === 0n || isMap) continue
      const what = `'${symbol.name}' at ${symbol.value} is counted twice, as GNU as before 2.41 does`
      const reason = `${place}: ${what}; compile variables with -fdata-sections, or assemble with a later one`
      return new LinkError('unsupported', input.name, reason, name)
    }
    // The place is said from the start of the section, which may have moved.
    if (!isProgram) {
      const reason = `${place}: data may refer to symbols, not to places in a section`
      return new LinkError('unsupported', input.name, reason, name)
    }
    const moved = input.sections[symbol.sectionIndex]?.outputOffset ?? 0
    const by = target.copy[offset] === CALL ? moved / INSTRUCTION_BYTES : moved
    contents.setInt32(offset + 4, contents.getInt32(offset + 4, little) + by, little)
  }
  return undefined
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
