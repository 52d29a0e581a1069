/**
 * Finding the functions of an object.
 *
 * Rules: a function is a FUNC symbol in an executable section; an entry point is one that is global and not in a
 * `.text` section. Functions of one section do not overlap, except that several names may share one start
 * (aliases), which then share their code and records. A symbol without a size reaches to the next function.
 */
import type { CoreRelocation, LineInfo } from '../../btf/index.ts'
import { type ElfSection, type ElfSymbol, STB, STT } from '../../elf/index.ts'
import { ObjectError } from './object-error.ts'
import { isCode, isHidden, isSubprogramSection, type ObjectFile } from './object-file.ts'
import { parseSectionName } from './section-names.ts'
import { SLOT_BYTES } from './slots.ts'
import type { FunctionSpec, ProgramSpec, RelocationSpec, SectionDefinition } from './types.ts'

/** A function while its object is being opened: the arrays fill up. */
export interface FunctionDraft extends FunctionSpec {
  readonly relocations: RelocationSpec[]
  readonly lineInfos: LineInfo[]
  readonly coreRelocations: CoreRelocation[]
  btfFunction: FunctionSpec['btfFunction']
  readonly isHidden: boolean
  /** Present on entry points. */
  readonly entry: { readonly definition: SectionDefinition; readonly autoload: boolean } | undefined
}

/** The functions of an object, found by place. */
export class FunctionTable {
  /** In order of section and offset. */
  readonly all: readonly FunctionDraft[]
  /** Per section, by offset; of aliases only the first. */
  readonly #bySection = new Map<number, FunctionDraft[]>()

  constructor(all: readonly FunctionDraft[]) {
    this.all = all
    for (const one of all) {
      const list = this.#bySection.get(one.sectionIndex)
      if (list === undefined) this.#bySection.set(one.sectionIndex, [one])
      else if (list.at(-1)?.sectionOffset !== one.sectionOffset) list.push(one)
    }
  }

  /** The (first-named) function that the byte is in. */
  containing(sectionIndex: number, byteOffset: number): FunctionDraft | undefined {
    const list = this.#bySection.get(sectionIndex)
    if (list === undefined) return undefined
    let low = 0
    let high = list.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((list[middle] as FunctionDraft).sectionOffset <= byteOffset) low = middle + 1
      else high = middle
    }
    const found = list[low - 1]
    return found !== undefined && byteOffset < found.sectionOffset + found.instructions.length
      ? found
      : undefined
  }

  /** The (first-named) function that starts at the byte. */
  startingAt(sectionIndex: number, byteOffset: number): FunctionDraft | undefined {
    const found = this.containing(sectionIndex, byteOffset)
    return found?.sectionOffset === byteOffset ? found : undefined
  }
}

export function collectFunctions(file: ObjectFile): FunctionTable | ObjectError {
  const bySection = new Map<number, ElfSymbol[]>()
  const labels = new Map<number, ElfSymbol[]>()
  const put = (map: Map<number, ElfSymbol[]>, symbol: ElfSymbol): void => {
    const list = map.get(symbol.sectionIndex)
    if (list === undefined) map.set(symbol.sectionIndex, [symbol])
    else list.push(symbol)
  }
  for (const symbol of file.symbols) {
    if (symbol.type === STT.FUNC) put(bySection, symbol)
    else if (symbol.type === STT.NOTYPE && symbol.binding !== STB.LOCAL) put(labels, symbol)
  }
  const all: FunctionDraft[] = []
  for (const section of file.elf.sections) {
    if (!isCode(section)) continue
    if (section.size % SLOT_BYTES !== 0) {
      const reason = `expected whole instructions of ${SLOT_BYTES} bytes, found ${section.size} bytes`
      return new ObjectError('bad-function', reason, { section: section.name })
    }
    // Hand-written assembly may leave out `.type name, @function`.
    const symbols = bySection.get(section.index) ?? labels.get(section.index) ?? []
    const error = collectSection(file, section, symbols, all)
    if (error !== undefined) return error
  }
  return new FunctionTable(all)
}

function collectSection(
  file: ObjectFile,
  section: ElfSection,
  symbols: readonly ElfSymbol[],
  all: FunctionDraft[],
): ObjectError | undefined {
  const sorted = [...symbols].sort((a, b) =>
    a.value < b.value ? -1 : a.value > b.value ? 1 : a.index - b.index,
  )
  const autoload = !section.name.startsWith('?')
  const definition = isSubprogramSection(section.name)
    ? undefined
    : parseSectionName(autoload ? section.name : section.name.slice(1))
  let previousEnd = 0
  for (let first = 0, next: number; first < sorted.length; first = next) {
    next = first + 1
    const start = Number((sorted[first] as ElfSymbol).value)
    while (sorted[next]?.value === (sorted[first] as ElfSymbol).value) next++
    const aliases = sorted.slice(first, next)
    const size = sizeOf(aliases, start, sorted[next], section)
    const problem = checkExtent(start, size, previousEnd, section)
    if (problem !== undefined) {
      const program = (aliases[0] as ElfSymbol).name
      return new ObjectError('bad-function', problem, { program, section: section.name, offset: start })
    }
    previousEnd = start + size
    // Aliases share these.
    const instructions = section.data.subarray(start, start + size)
    const relocations: RelocationSpec[] = []
    const lineInfos: LineInfo[] = []
    const coreRelocations: CoreRelocation[] = []
    for (const symbol of aliases) {
      const isGlobal = symbol.binding !== STB.LOCAL
      all.push({
        index: all.length,
        name: symbol.name,
        section: section.name,
        sectionIndex: section.index,
        sectionOffset: start,
        instructions,
        relocations,
        lineInfos,
        coreRelocations,
        isGlobal,
        isHidden: isHidden(symbol),
        btfFunction: undefined,
        entry: definition !== undefined && isGlobal ? { definition, autoload } : undefined,
      })
    }
  }
  if (sorted.length === 0) file.warnings.push(`section '${section.name}' has code but no functions`)
  return undefined
}

function sizeOf(
  aliases: readonly ElfSymbol[],
  start: number,
  next: ElfSymbol | undefined,
  section: ElfSection,
): number {
  let size = 0
  for (const symbol of aliases) size = Math.max(size, Number(symbol.size))
  return size !== 0 ? size : Number(next?.value ?? BigInt(section.size)) - start
}

function checkExtent(
  start: number,
  size: number,
  previousEnd: number,
  section: ElfSection,
): string | undefined {
  if (start % SLOT_BYTES !== 0 || size % SLOT_BYTES !== 0 || size <= 0) {
    return `expected whole instructions of ${SLOT_BYTES} bytes, found ${size} bytes`
  }
  if (start + size > section.size) {
    return `expected a function inside the ${section.size} bytes of the section, found ${size} bytes`
  }
  if (start < previousEnd)
    return `expected no function before offset 0x${previousEnd.toString(16)}, where the previous one ends`
  return undefined
}

/** The finished functions, and those of them that are entry points. */
export function finishFunctions(table: FunctionTable): {
  functions: readonly FunctionSpec[]
  programs: readonly ProgramSpec[]
} {
  const functions: FunctionSpec[] = []
  const programs: ProgramSpec[] = []
  for (const draft of table.all) {
    const { entry } = draft
    if (entry === undefined) {
      functions.push(functionSpec(draft))
    } else {
      const program = programSpec(draft, entry)
      functions.push(program)
      programs.push(program)
    }
  }
  return { functions, programs }
}

const functionSpec = (draft: FunctionDraft): FunctionSpec => ({
  index: draft.index,
  name: draft.name,
  section: draft.section,
  sectionIndex: draft.sectionIndex,
  sectionOffset: draft.sectionOffset,
  isGlobal: draft.isGlobal,
  instructions: draft.instructions,
  relocations: draft.relocations,
  btfFunction: draft.btfFunction,
  lineInfos: draft.lineInfos,
  coreRelocations: draft.coreRelocations,
})

const programSpec = (
  draft: FunctionDraft,
  { definition, autoload }: NonNullable<FunctionDraft['entry']>,
): ProgramSpec => Object.assign(functionSpec(draft), { definition, autoload })
