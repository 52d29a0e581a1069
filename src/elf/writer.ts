/**
 * Writing relocatable ELF64 files: the header, sections in their order, the section header table at the end.
 *
 * Every section begins at a multiple of its alignment. The layout is that of libelf, so that equal sections make equal
 * files.
 *
 * Source: the System V gABI, chapter 4.
 */
import { ET, SHT } from './constants.ts'

const HEADER_BYTES = 64
const SECTION_HEADER_BYTES = 64

/** A section as it shall be written; the null section is not given. */
export interface NewElfSection {
  /** Offset of its name in the section that holds the names. */
  readonly nameOffset: number
  /** `SHT`. */
  readonly type: number
  /** `SHF` bits. */
  readonly flags: number
  readonly link: number
  readonly info: number
  /** A power of two, or 0. */
  readonly alignment: number
  readonly entrySize: number
  /** Bytes; of NOBITS, those in memory. */
  readonly size: number
  /** Contents, behind each other; nothing in NOBITS. */
  readonly parts: readonly { readonly offset: number; readonly bytes: Uint8Array }[]
}

export interface NewElfFile {
  readonly byteOrder: 'little' | 'big'
  /** `EM`. */
  readonly machine: number
  /** Section 1 is the first. */
  readonly sections: readonly NewElfSection[]
  /** Index of the section with the sections' names. */
  readonly namesIndex: number
}

const aligned = (offset: number, alignment: number): number =>
  alignment > 1 ? Math.ceil(offset / alignment) * alignment : offset

/** Where each section begins, and the section header table. */
function layOut(sections: readonly NewElfSection[]): { readonly offsets: number[]; readonly table: number } {
  const offsets: number[] = []
  let end = HEADER_BYTES
  for (const section of sections) {
    const offset = aligned(end, section.alignment)
    offsets.push(offset)
    // What takes no place in the file does not push the next section on, either.
    end = section.type === SHT.NOBITS ? offset : offset + section.size
  }
  return { offsets, table: aligned(end, 8) }
}

/** Bytes that a file of these sections takes. */
export const elfBytes = (sections: readonly NewElfSection[]): number =>
  layOut(sections).table + (sections.length + 1) * SECTION_HEADER_BYTES

/** The file's bytes. There are under 65,280 sections. */
export function writeElf(file: NewElfFile): Uint8Array {
  const { offsets, table } = layOut(file.sections)
  const bytes = new Uint8Array(elfBytes(file.sections))
  const view = new DataView(bytes.buffer)
  const little = file.byteOrder === 'little'
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, little ? 1 : 2, 1])
  view.setUint16(16, ET.REL, little)
  view.setUint16(18, file.machine, little)
  view.setUint32(20, 1, little)
  view.setBigUint64(40, BigInt(table), little)
  view.setUint16(52, HEADER_BYTES, little)
  view.setUint16(58, SECTION_HEADER_BYTES, little)
  view.setUint16(60, file.sections.length + 1, little)
  view.setUint16(62, file.namesIndex, little)
  for (const [i, section] of file.sections.entries()) {
    const offset = offsets[i] as number
    for (const part of section.parts) bytes.set(part.bytes, offset + part.offset)
    const header = table + (i + 1) * SECTION_HEADER_BYTES
    view.setUint32(header, section.nameOffset, little)
    view.setUint32(header + 4, section.type, little)
    view.setBigUint64(header + 8, BigInt(section.flags), little)
    view.setBigUint64(header + 24, BigInt(offset), little)
    view.setBigUint64(header + 32, BigInt(section.size), little)
    view.setUint32(header + 40, section.link, little)
    view.setUint32(header + 44, section.info, little)
    view.setBigUint64(header + 48, BigInt(section.alignment), little)
    view.setBigUint64(header + 56, BigInt(section.entrySize), little)
  }
  return bytes
}
