/** Relocation tables, REL and RELA. */
import { ET, SHT } from './constants.ts'
import type { ElfFile, ElfSection } from './elf.ts'
import { ElfError } from './error.ts'

const REL_BYTES = 16
const RELA_BYTES = 24

/**
 * One relocation.
 *
 * r_info: | symbol index (32) | type (32) |
 */
export interface ElfRelocation {
  /** Byte offset in the section that it applies to (an address in an executable). */
  readonly offset: number
  /** Machine-specific, e.g. `R_BPF`. */
  readonly type: number
  /** Index in the symbol table. */
  readonly symbol: number
  /** `undefined` in REL tables: the addend is what the place holds. */
  readonly addend: bigint | undefined
}

/** The entries of one REL or RELA section. In a relocatable object offsets are inside `target`; symbol indexes are checked by who uses them. */
export function readRelocations(
  file: ElfFile,
  section: ElfSection,
  target: ElfSection,
): readonly ElfRelocation[] | ElfError {
  const place = { sectionIndex: section.index, section: section.name, offset: section.offset }
  const entrySize = section.type === SHT.RELA ? RELA_BYTES : REL_BYTES
  if (section.entrySize !== entrySize) {
    return new ElfError('bad-relocation', place, `entries of ${entrySize} bytes`, `${section.entrySize}`)
  }
  if (section.size % entrySize !== 0) {
    return new ElfError(
      'bad-relocation',
      place,
      `a size that is a multiple of ${entrySize}`,
      `${section.size}`,
    )
  }
  const little = file.byteOrder === 'little'
  const { data } = section
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const relocations: ElfRelocation[] = []
  for (let at = 0; at < data.length; at += entrySize) {
    const offset = Number(view.getBigUint64(at, little))
    // In a linked file the offset is an address, which says nothing about the section's size.
    if (file.type === ET.REL && offset >= target.size) {
      const where = { ...place, offset: section.offset + at }
      return new ElfError(
        'bad-relocation',
        where,
        `an offset inside the ${target.size} bytes of '${target.name}'`,
        `0x${offset.toString(16)}`,
      )
    }
    relocations.push({
      offset,
      type: view.getUint32(little ? at + 8 : at + 12, little),
      symbol: view.getUint32(little ? at + 12 : at + 8, little),
      addend: section.type === SHT.RELA ? view.getBigInt64(at + 16, little) : undefined,
    })
  }
  return relocations
}
