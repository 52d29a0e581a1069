/** What an input's sections must be, so that they can be joined with others. */
import { ElfError, type ElfFile, type ElfSection, MAX_NAME_BYTES, R_BPF, SHF, SHT } from '../elf/index.ts'
import { LinkError } from './error.ts'

export const INSTRUCTION_BYTES = 8

/** Of LLVM; it says which symbols' addresses matter. */
const SHT_LLVM_ADDRSIG = 0x6fff_4c03

/** More than that, no section of programs or data needs; every join may cost one less in padding. */
const MAX_ALIGNMENT = 0x1_0000

const isDebugName = (name: string): boolean => name.startsWith('.debug_')

/** Sections that do not come into the output, or that are made anew there. */
export function isIgnored({ type, name, size }: ElfSection): boolean {
  if (type === SHT.NULL || type === SHT.STRTAB || type === SHT_LLVM_ADDRSIG || type === SHT.SYMTAB)
    return true
  if (type === SHT.PROGBITS && size === 0 && name === '.text') return true
  if (name === '.BTF' || name === '.BTF.ext' || isDebugName(name)) return true
  return (
    name === '.rel.BTF' || name === '.rel.BTF.ext' || (name.startsWith('.rel') && isDebugName(name.slice(4)))
  )
}

export const isInstructions = ({ type, flags }: { type: number; flags: number }): boolean =>
  type === SHT.PROGBITS && (flags & SHF.EXECINSTR) !== 0

/** The first thing that is wrong with the sections of a file, its relocations included. */
export function checkSections(file: string, elf: ElfFile): LinkError | undefined {
  let contentBytes = 0
  for (const section of elf.sections.slice(1)) {
    const bad = (reason: string) =>
      new LinkError('bad-object', file, reason, section.name || `number ${section.index}`)
    if (section.name === '') return bad('expected a name, found none')
    if (section.name.length >= MAX_NAME_BYTES) return bad(`expected a name of under ${MAX_NAME_BYTES} bytes`)
    if (isIgnored(section)) continue
    const { alignment, size } = section
    if (alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)) !== 0) {
      return bad(`expected an alignment that is a power of two, at most ${MAX_ALIGNMENT}, found ${alignment}`)
    }
    switch (section.type) {
      case SHT.PROGBITS:
        if (isInstructions(section) && size % INSTRUCTION_BYTES !== 0) {
          return bad(`expected whole instructions of ${INSTRUCTION_BYTES} bytes, found ${size} bytes`)
        }
        break
      case SHT.NOBITS:
        break
      case SHT.REL: {
        const error = checkRelocations(file, elf, section)
        if (error !== undefined) return error
        break
      }
      default: {
        const reason = `expected programs, data or relocations, found a section of type ${section.type}`
        return new LinkError('unsupported', file, reason, section.name)
      }
    }
    contentBytes += section.data.length
  }
  // Sections of a good file lie beside each other. Where they share bytes, little could be made into very much.
  if (contentBytes > elf.bytes.length) return new LinkError('bad-object', file, 'its sections share bytes')
  return undefined
}

const TYPES: readonly number[] = [R_BPF['64_64'], R_BPF['64_ABS64'], R_BPF['64_ABS32'], R_BPF['64_32']]

function checkRelocations(file: string, elf: ElfFile, section: ElfSection): LinkError | undefined {
  const bad = (reason: string) => new LinkError('bad-object', file, reason, section.name)
  const symbolTable = elf.sections[section.link]
  if (symbolTable?.type !== SHT.SYMTAB)
    return bad(`expected a link to the symbol table, found ${section.link}`)
  const target = elf.sections[section.info]
  if (target === undefined || section.info === 0) {
    return bad(`expected the index of a section that is relocated, found ${section.info}`)
  }
  if (section.name !== `.rel${target.name}`) return bad(`expected the name .rel${target.name}`)
  if (isIgnored(target)) return undefined
  if (target.type !== SHT.PROGBITS && target.type !== SHT.NOBITS) {
    return bad(`expected relocations of programs or data, found those of '${target.name}'`)
  }
  if (elf.relocationSections(target).length > 1)
    return bad(`expected one table for '${target.name}', found more`)
  const relocations = elf.relocations(target)
  if (relocations instanceof ElfError) return bad(relocations.message)
  const symbols = elf.symbols()
  const symbolCount = symbols instanceof ElfError ? 0 : symbols.length
  for (const { offset, type, symbol } of relocations) {
    const at = `at 0x${offset.toString(16)}`
    if (!TYPES.includes(type)) {
      return new LinkError(
        'unsupported',
        file,
        `${at}: relocations of type ${type} are not known`,
        section.name,
      )
    }
    if (symbol === 0 || symbol >= symbolCount) {
      return bad(`${at}: expected one of ${symbolCount} symbols, found ${symbol}`)
    }
    if (isInstructions(target) && offset % INSTRUCTION_BYTES !== 0) {
      return bad(`${at}: expected the start of an instruction`)
    }
  }
  return undefined
}
