/**
 * The ELF file behind an object, with the look-ups that all readers of parts share.
 *
 * Source for the roles of sections: libbpf's documentation; for those of Rust objects, aya and bpf-linker.
 */
import { Btf, BtfError, type BtfExt, parseBtfExt } from '../../btf/index.ts'
import {
  ElfError,
  type ElfFile,
  type ElfSection,
  type ElfSymbol,
  EM,
  ET,
  fileTypeName,
  machineName,
  parseElf,
  SHF,
  SHN,
  SHT,
  STB,
  STT,
  STV,
} from '../../elf/index.ts'
import { ObjectError } from './object-error.ts'

export class ObjectFile {
  readonly elf: ElfFile
  readonly symbols: readonly ElfSymbol[]
  readonly name: string
  readonly little: boolean
  readonly btf: Btf | undefined
  readonly btfExt: BtfExt | undefined
  /** Things without effect, collected by the readers. */
  readonly warnings: string[] = []
  #variables: ReadonlyMap<number, ReadonlyMap<string, ElfSymbol>> | undefined

  private constructor(
    elf: ElfFile,
    symbols: readonly ElfSymbol[],
    name: string,
    btf: Btf | undefined,
    btfExt: BtfExt | undefined,
  ) {
    this.elf = elf
    this.symbols = symbols
    this.name = name
    this.little = elf.byteOrder === 'little'
    this.btf = btf
    this.btfExt = btfExt
  }

  /** Checks that `bytes` are a relocatable BPF object and reads its symbols and types. */
  static open(bytes: Uint8Array, name: string, allowBigEndian: boolean): ObjectFile | ObjectError {
    const elf = parseElf(bytes)
    if (elf instanceof ElfError) return fromElfError(elf)
    if (elf.machine !== EM.BPF && elf.machine !== EM.NONE) {
      const what = `${machineName(elf.machine)} ${fileTypeName(elf.type)}`
      return new ObjectError('wrong-machine', `this is ${article(what)} ${what}, not a BPF object`)
    }
    if (elf.type !== ET.REL) {
      const what = fileTypeName(elf.type)
      return new ObjectError(
        'not-relocatable',
        `this is ${article(what)} ${what}, not a relocatable BPF object (clang -c)`,
      )
    }
    if (elf.byteOrder === 'big' && !allowBigEndian) {
      return new ObjectError('big-endian', 'this object is big-endian; compile it with -target bpfel')
    }
    const symbols = elf.symbols()
    if (symbols instanceof ElfError) return fromElfError(symbols)
    if (symbols.length === 0) {
      return new ObjectError(
        'stripped',
        'this object has no symbol table; strip it with -g only (llvm-strip -g)',
      )
    }
    const btfSection = elf.section('.BTF')
    let btf: Btf | undefined
    let btfExt: BtfExt | undefined
    if (btfSection !== undefined) {
      const types = Btf.parse(btfSection.data)
      if (types instanceof BtfError) return fromBtfError(types)
      btf = types
      const extSection = elf.section('.BTF.ext')
      if (extSection !== undefined) {
        const records = parseBtfExt(extSection.data, btf)
        if (records instanceof BtfError) return fromBtfError(records)
        btfExt = records
      }
    }
    return new ObjectFile(elf, symbols, name, btf, btfExt)
  }

  /** The name to show for a symbol: that of its section for section symbols. */
  symbolName(symbol: ElfSymbol): string {
    if (symbol.name !== '') return symbol.name
    return this.elf.sections[symbol.sectionIndex]?.name ?? '<unnamed>'
  }

  /** A named variable of a section: not a function, not a section symbol. Global ones first. */
  variable(section: ElfSection, name: string): ElfSymbol | undefined {
    this.#variables ??= indexVariables(this.symbols)
    return this.#variables.get(section.index)?.get(name)
  }

  /** The named variables of a section by rising offset. */
  variablesOf(section: ElfSection): readonly ElfSymbol[] {
    this.#variables ??= indexVariables(this.symbols)
    const found = [...(this.#variables.get(section.index)?.values() ?? [])]
    return found.sort((a, b) => (a.value < b.value ? -1 : a.value > b.value ? 1 : a.index - b.index))
  }
}

function indexVariables(symbols: readonly ElfSymbol[]): Map<number, Map<string, ElfSymbol>> {
  const index = new Map<number, Map<string, ElfSymbol>>()
  for (const symbol of symbols) {
    if (symbol.sectionIndex === SHN.UNDEF || symbol.sectionIndex >= SHN.LORESERVE) continue
    if (symbol.type !== STT.OBJECT && symbol.type !== STT.NOTYPE) continue
    if (symbol.name === '') continue
    let names = index.get(symbol.sectionIndex)
    if (names === undefined) {
      names = new Map()
      index.set(symbol.sectionIndex, names)
    }
    const other = names.get(symbol.name)
    if (other === undefined || (other.binding === STB.LOCAL && symbol.binding !== STB.LOCAL)) {
      names.set(symbol.name, symbol)
    }
  }
  return index
}

/** Visible in its own file only, by `__hidden`. */
export const isHidden = (symbol: ElfSymbol): boolean =>
  symbol.visibility === STV.HIDDEN || symbol.visibility === STV.INTERNAL

export const isCode = (section: ElfSection): boolean =>
  section.type === SHT.PROGBITS && (section.flags & SHF.EXECINSTR) !== 0 && section.size > 0

/** Sections whose functions are called, never entered: `.text` and the per-function sections of Rust. */
export const isSubprogramSection = (name: string): boolean => name === '.text' || name.startsWith('.text.')

/** Which kind of global data a section holds, if any. */
export function dataKind(section: ElfSection): 'data' | 'rodata' | 'bss' | undefined {
  const { name, type } = section
  if (section.size === 0 || (section.flags & SHF.EXECINSTR) !== 0) return undefined
  if (type !== SHT.NOBITS && type !== SHT.PROGBITS) return undefined
  if (isIn('.bss', name) || isIn('.data', name)) return type === SHT.NOBITS ? 'bss' : 'data'
  return type === SHT.PROGBITS && isIn('.rodata', name) ? 'rodata' : undefined
}

/** Whether the section is called so, or so with a second dot and more. */
const isIn = (prefix: string, name: string): boolean =>
  name.startsWith(prefix) && (name.length === prefix.length || name[prefix.length] === '.')

const article = (word: string): string => (/^[aeiouAEIOUx]/.test(word) ? 'an' : 'a')

export function fromElfError(cause: ElfError): ObjectError {
  const code =
    cause.code === 'not-elf' ? 'not-elf' : cause.code === 'truncated' ? 'truncated' : 'malformed-elf'
  const reason =
    code === 'not-elf'
      ? `this is not an ELF file: ${cause.message}`
      : code === 'truncated'
        ? `this ELF file is truncated: ${cause.message}`
        : `this ELF file is malformed: ${cause.message}`
  return new ObjectError(code, reason, {}, cause)
}

export const fromBtfError = (cause: BtfError): ObjectError =>
  new ObjectError('malformed-btf', `the types of this object are malformed: ${cause.message}`, {}, cause)
