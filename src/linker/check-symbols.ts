/** What an input's symbols must be. */
import { type ElfFile, type ElfSymbol, MAX_NAME_BYTES, SHN, STB, STT, STV } from '../elf/index.ts'
import { LinkError } from './error.ts'

/** The first thing that is wrong with the symbols of a file. */
export function checkSymbols(
  file: string,
  elf: ElfFile,
  symbols: readonly ElfSymbol[],
): LinkError | undefined {
  for (const symbol of symbols) {
    const reason = symbol.index === 0 ? whyNotNull(symbol) : whyNot(symbol, elf)
    if (reason === undefined) continue
    const name = symbol.name === '' ? '' : ` '${symbol.name}'`
    return new LinkError('bad-object', file, `symbol ${symbol.index}${name}: ${reason}`, '.symtab')
  }
  return undefined
}

function whyNotNull(symbol: ElfSymbol): string | undefined {
  const { name, type, binding, sectionIndex, value, size } = symbol
  const isNull =
    name === '' && type === 0 && binding === 0 && sectionIndex === 0 && value === 0n && size === 0n
  return isNull ? undefined : 'expected the first symbol to be all zeroes'
}

function whyNot(symbol: ElfSymbol, elf: ElfFile): string | undefined {
  const { name, type, binding, visibility, sectionIndex, value, size } = symbol
  if (name.length >= MAX_NAME_BYTES) return `expected a name of under ${MAX_NAME_BYTES} bytes`
  if (binding !== STB.LOCAL && binding !== STB.GLOBAL && binding !== STB.WEAK) {
    return `expected a local, global or weak symbol, found binding ${binding}`
  }
  if (visibility !== STV.DEFAULT && visibility !== STV.HIDDEN) {
    return `expected default or hidden visibility, found ${visibility}`
  }
  if (binding !== STB.LOCAL && name === '') return 'expected a global symbol to have a name'
  if (sectionIndex === SHN.UNDEF) {
    const isExtern = type === STT.NOTYPE && binding !== STB.LOCAL && value === 0n && size === 0n
    return isExtern ? undefined : 'expected an extern symbol to be global, without type, value and size'
  }
  if (sectionIndex >= elf.sections.length && sectionIndex < SHN.LORESERVE) return `no section ${sectionIndex}`
  if (type === STT.SECTION && value !== 0n) return `expected a section's symbol to be 0, found ${value}`
  return undefined
}
