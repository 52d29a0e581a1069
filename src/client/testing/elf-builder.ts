/** A minimal ELF64 executable: one loaded segment, a symbol table and its strings. */
import { SHN, SHT, STB, STT } from '../../elf/index.ts'

export interface BuiltSymbol {
  readonly name: string
  readonly address: bigint
  /** `STB`. Default: global. */
  readonly binding?: number
  /** `STT`. Default: a function. */
  readonly type?: number
  /** Default true. */
  readonly isDefined?: boolean
}

/** The segment: `SEGMENT_BYTES` at this address, from this place of the file. */
export const SEGMENT_ADDRESS = 0x40_2000n
export const SEGMENT_OFFSET = 0x1000
export const SEGMENT_BYTES = 0x100

const HEADER_BYTES = 64
const SECTION_HEADER_BYTES = 64
const SYMBOL_BYTES = 24
const TABLES = SEGMENT_OFFSET + SEGMENT_BYTES

export function buildExecutable(symbols: readonly BuiltSymbol[]): Uint8Array {
  const names = new TextEncoder().encode(`\0${symbols.map(({ name }) => `${name}\0`).join('')}`)
  const symbolBytes = (symbols.length + 1) * SYMBOL_BYTES
  const sections = TABLES + ((symbolBytes + names.length + 7) & ~7)
  const bytes = new Uint8Array(sections + 4 * SECTION_HEADER_BYTES)
  const view = new DataView(bytes.buffer)
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  view.setUint16(16, 2, true)
  view.setUint16(18, 62, true)
  view.setBigUint64(32, BigInt(HEADER_BYTES), true)
  view.setBigUint64(40, BigInt(sections), true)
  view.setUint16(54, 56, true)
  view.setUint16(56, 1, true)
  view.setUint16(58, SECTION_HEADER_BYTES, true)
  view.setUint16(60, 4, true)

  view.setUint32(HEADER_BYTES, 1, true)
  view.setUint32(HEADER_BYTES + 4, 5, true)
  view.setBigUint64(HEADER_BYTES + 8, BigInt(SEGMENT_OFFSET), true)
  view.setBigUint64(HEADER_BYTES + 16, SEGMENT_ADDRESS, true)
  view.setBigUint64(HEADER_BYTES + 32, BigInt(SEGMENT_BYTES), true)
  view.setBigUint64(HEADER_BYTES + 40, BigInt(SEGMENT_BYTES) + 0x1000n, true)

  let nameAt = 1
  symbols.forEach(({ name, address, binding = STB.GLOBAL, type = STT.FUNC, isDefined = true }, index) => {
    const at = TABLES + (index + 1) * SYMBOL_BYTES
    view.setUint32(at, nameAt, true)
    view.setUint8(at + 4, (binding << 4) | type)
    view.setUint16(at + 6, isDefined ? 1 : SHN.UNDEF, true)
    view.setBigUint64(at + 8, address, true)
    nameAt += name.length + 1
  })
  bytes.set(names, TABLES + symbolBytes)

  const section = (
    index: number,
    type: number,
    offset: number,
    size: number,
    link: number,
    entry: number,
  ) => {
    const at = sections + index * SECTION_HEADER_BYTES
    view.setUint32(at + 4, type, true)
    view.setBigUint64(at + 24, BigInt(offset), true)
    view.setBigUint64(at + 32, BigInt(size), true)
    view.setUint32(at + 40, link, true)
    view.setBigUint64(at + 56, BigInt(entry), true)
  }
  section(1, SHT.PROGBITS, SEGMENT_OFFSET, SEGMENT_BYTES, 0, 0)
  section(2, SHT.SYMTAB, TABLES, symbolBytes, 3, SYMBOL_BYTES)
  section(3, SHT.STRTAB, TABLES + symbolBytes, names.length, 0, 0)
  return bytes
}
