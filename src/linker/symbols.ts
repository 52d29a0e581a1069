/**
 * Joining symbols: local ones are added, global ones of one name become one.
 *
 * A definition takes the place of extern declarations and of weak definitions before it; of two weak ones the first
 * stays. The stricter binding and visibility win, wherever they are said.
 */
import { BTF_KIND, BTF_LINKAGE } from '../btf/index.ts'
import { type ElfSymbol, SHN, STB, STT, toByteString } from '../elf/index.ts'
import { LinkError } from './error.ts'
import type { GlobalType, Input, InputTypes } from './input.ts'
import type { InputSection } from './input-section.ts'
import { isGlobalSymbol } from './input-types.ts'
import { whyMapsDiffer } from './match-maps.ts'
import { whyTypesDiffer } from './match-types.ts'
import type { GlobalSymbol, Output, OutputSymbol } from './output.ts'
import type { OutputSection } from './output-section.ts'

/** The DATASEC of externs that say no section. */
const UNPLACED_EXTERNS = '.extern'

/** Its symbols are places in a table, which no type describes. */
const JUMP_TABLES = '.jumptables'

/** Appends the symbols of an input, and notes for each its index in the output. */
export function appendSymbols(output: Output, input: Input): LinkError | undefined {
  const skipped: ElfSymbol[] = []
  for (const symbol of input.symbols.slice(1)) {
    const { sectionIndex } = symbol
    const section =
      sectionIndex === SHN.UNDEF || sectionIndex >= SHN.LORESERVE ? undefined : input.sections[sectionIndex]
    // Nothing of a table of relocations is a place to refer to.
    if (section !== undefined && (section.isSkipped || section.output === undefined)) {
      skipped.push(symbol)
      continue
    }
    const known = section?.output?.symbolIndex ?? 0
    if (symbol.type === STT.SECTION && known !== 0) {
      input.symbolIndexes[symbol.index] = known
      continue
    }
    const error =
      isGlobalSymbol(symbol) && section?.name !== JUMP_TABLES
        ? appendGlobal(output, input, symbol, section)
        : addSymbol(output, input, symbol, section)
    if (error instanceof LinkError) return error
  }
  for (const symbol of skipped) findInSingle(output, input, symbol)
  return undefined
}

/** A section that the output has once already is the same there: what refers to it finds it by name. */
function findInSingle(output: Output, input: Input, symbol: ElfSymbol): void {
  const target = input.sections[symbol.sectionIndex]?.output
  if (target === undefined) return
  if (symbol.type === STT.SECTION) {
    input.symbolIndexes[symbol.index] = target.symbolIndex
    return
  }
  const global = output.globals.get(toByteString(symbol.name))
  if (global === undefined || output.symbols[global.index]?.value !== symbol.value) return
  if (global.section === target) input.symbolIndexes[symbol.index] = global.index
}

function addSymbol(
  output: Output,
  input: Input,
  symbol: ElfSymbol,
  section: InputSection | undefined,
): number {
  const isOfSection = symbol.type === STT.SECTION && section !== undefined
  const index =
    output.symbols.push({
      nameOffset: output.strings.add(toByteString(symbol.name)),
      binding: symbol.binding,
      type: symbol.type,
      visibility: symbol.visibility,
      sectionIndex: section === undefined ? symbol.sectionIndex : (section.output?.index ?? 0),
      value: isOfSection ? 0n : symbol.value + BigInt(section?.outputOffset ?? 0),
      size: symbol.size,
    }) - 1
  input.symbolIndexes[symbol.index] = index
  if (isOfSection && section.output !== undefined) section.output.symbolIndex = index
  return index
}

function appendGlobal(
  output: Output,
  input: Input,
  symbol: ElfSymbol,
  section: InputSection | undefined,
): LinkError | undefined {
  const name = toByteString(symbol.name)
  const { types } = input
  const described = types?.globals.get(name)
  if (types === undefined || described === undefined) {
    const what = symbol.isDefined ? 'global' : 'extern'
    const advice = isTypedStatic(types, name)
      ? 'its type is that of a static one, which is all that GCC 12 writes'
      : 'compile with -g'
    const reason = `no type describes the ${what} symbol '${symbol.name}'; ${advice}`
    return new LinkError('missing-types', input.name, reason, section?.name)
  }
  if (described.rival !== undefined) {
    const reason = `'${symbol.name}' is described by two types, ${described.rival} and ${described.type}`
    return new LinkError('bad-object', input.name, reason, '.BTF')
  }
  const home = symbol.isDefined ? section : homeOfExtern(input, types, described)
  if (home instanceof LinkError) return home
  const known = output.globals.get(name)
  if (known !== undefined) return join(output, input, { symbol, types, described, section }, known)
  const index = addSymbol(output, input, symbol, section)
  output.globals.set(name, {
    name,
    index,
    section: home?.output,
    type: 0,
    underlying: 0,
    isUnderlyingWanted: true,
    variable: undefined,
    isExtern: !symbol.isDefined,
    isWeak: symbol.binding === STB.WEAK,
    file: input.name,
  })
  return undefined
}

function isTypedStatic(types: InputTypes | undefined, name: string): boolean {
  const { table } = types ?? {}
  if (table === undefined) return false
  for (let id = 1; id < table.count; id++) {
    if (table.kind(id) === BTF_KIND.FUNC && table.name(id) === name) return true
  }
  return false
}

/** The section that an extern comes from: `.kconfig`, `.ksyms`, `.maps`. */
function homeOfExtern(
  input: Input,
  { table }: InputTypes,
  { datasec }: GlobalType,
): InputSection | undefined | LinkError {
  if (datasec === 0 || table.name(datasec) === UNPLACED_EXTERNS) return undefined
  const home = input.section(table.name(datasec))
  if (home?.output !== undefined) return home
  return new LinkError('bad-object', input.name, 'holds externs, and cannot be linked', table.name(datasec))
}

interface Newcomer {
  readonly symbol: ElfSymbol
  readonly types: InputTypes
  readonly described: GlobalType
  readonly section: InputSection | undefined
}

/** Joins a global symbol with the one of its name. */
function join(
  output: Output,
  input: Input,
  { symbol, types, described, section }: Newcomer,
  known: GlobalSymbol,
): LinkError | undefined {
  const isExtern = !symbol.isDefined
  input.symbolIndexes[symbol.index] = known.index
  if (!isExtern && !known.isExtern && !known.isWeak && symbol.binding !== STB.WEAK) {
    const reason = `'${symbol.name}' is defined a second time; the first is in ${known.file}`
    return new LinkError('conflict', input.name, reason, section?.name)
  }
  const difference = whyDifferent(output, types, described, known)
  if (difference !== undefined) {
    const reason = `'${symbol.name}' is not what it is in ${known.file}: ${difference}`
    return new LinkError('mismatch', input.name, reason, section?.name)
  }
  const target = output.symbols[known.index] as OutputSymbol
  if (symbol.binding === STB.GLOBAL) {
    target.binding = STB.GLOBAL
    known.isWeak = false
  }
  target.visibility = Math.max(target.visibility, symbol.visibility)
  if (isExtern || (!known.isExtern && symbol.binding === STB.WEAK)) return undefined

  target.type = symbol.type
  target.sectionIndex = section === undefined ? symbol.sectionIndex : (section.output?.index ?? 0)
  target.value = symbol.value + BigInt(section?.outputOffset ?? 0)
  target.size = symbol.size
  moveTo(known, section?.output)
  known.isExtern = false
  known.file = input.name
  known.isUnderlyingWanted = true
  completeExtern(output, known, types, described)
  return undefined
}

/** A variable that was in another section is none of that section's any more. */
function moveTo(global: GlobalSymbol, section: OutputSection | undefined): void {
  const { section: before, variable } = global
  if (section !== before && variable !== undefined) {
    before?.variables.splice(before.variables.indexOf(variable), 1)
    global.variable = undefined
  }
  global.section = section
}

function whyDifferent(
  { types }: Output,
  { table }: InputTypes,
  { type }: GlobalType,
  known: GlobalSymbol,
): string | undefined {
  if (known.type === 0) return 'no type describes it there'
  const [a, b] = [
    { types, id: known.type },
    { types: table, id: type },
  ]
  return known.section?.name === '.maps' ? whyMapsDiffer(a, b) : whyTypesDiffer(a, b)
}

/**
 * The type of an extern becomes that of a definition. Parameters get the definition's names: where they differed, the
 * two prototypes, which both stay until types are deduplicated, would not be taken for one.
 */
function completeExtern(
  { types }: Output,
  { type }: GlobalSymbol,
  { table }: InputTypes,
  described: GlobalType,
): void {
  if (types.kind(type) === BTF_KIND.VAR) {
    types.setWord(type, 3, BTF_LINKAGE.GLOBAL)
    return
  }
  types.setWord(type, 1, ((BTF_KIND.FUNC << 24) | BTF_LINKAGE.GLOBAL) >>> 0)
  const prototype = types.word(type, 2)
  const definition = table.word(described.type, 2)
  for (let i = 0, n = 3; i < types.vlen(prototype); i++, n += 2) {
    const name = table.text(definition, n)
    if (name !== '') types.setWord(prototype, n, types.strings.add(name))
  }
}
