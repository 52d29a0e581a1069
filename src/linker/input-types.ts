/** The types of an input: what must hold of them, where its variables are, and which symbols they describe. */
import { BTF_KIND, BTF_LINKAGE, BtfError, TypeTable } from '../btf/index.ts'
import { type ElfSection, type ElfSymbol, STB, STT, toByteString } from '../elf/index.ts'
import { LinkError } from './error.ts'
import type { GlobalType, InputTypes } from './input.ts'
import { firstByName, InputSection } from './input-section.ts'

/** The DATASEC of externs that say no section; they have no place in the output either. */
const UNPLACED_EXTERNS = '.extern'

/** Reads a `.BTF` section. Sections that only the types know are added to `sections`. */
export function readTypes(
  file: string,
  section: ElfSection,
  sections: InputSection[],
  symbols: readonly ElfSymbol[],
): InputTypes | LinkError {
  const table = TypeTable.parse(section.data)
  if (table instanceof BtfError) return new LinkError('bad-object', file, table.message)
  const error = checkTypes(file, table) ?? checkStrings(file, table, stringOffsets(table))
  if (error !== undefined) return error
  const offsets = placeVariables(file, table, sections, symbols)
  if (offsets instanceof LinkError) return offsets
  return { table, offsets, globals: findGlobals(table) }
}

/** Whether a FUNC or VAR can be seen by other files. */
export function isGlobalType(types: TypeTable, id: number): boolean {
  const kind = types.kind(id)
  if (kind === BTF_KIND.FUNC) return types.vlen(id) !== BTF_LINKAGE.STATIC
  return kind === BTF_KIND.VAR && types.word(id, 3) !== BTF_LINKAGE.STATIC
}

function checkTypes(file: string, types: TypeTable): LinkError | undefined {
  const bad = (id: number, reason: string) =>
    new LinkError('bad-object', file, `type ${id}: ${reason}`, '.BTF')
  for (let id = 1; id < types.count; id++) {
    const kind = types.kind(id)
    if (kind === BTF_KIND.FUNC && types.kind(types.word(id, 2)) !== BTF_KIND.FUNC_PROTO) {
      return bad(id, 'expected a function with a prototype')
    }
    if (kind !== BTF_KIND.DATASEC) continue
    for (const n of types.typeWords(id)) {
      const entry = types.kind(types.word(id, n))
      if (entry !== BTF_KIND.VAR && entry !== BTF_KIND.FUNC) {
        return bad(id, 'expected a section to hold variables and functions')
      }
    }
  }
  return undefined
}

function stringOffsets(types: TypeTable): Set<number> {
  const offsets = new Set<number>()
  for (let id = 1; id < types.count; id++) {
    for (const n of types.stringWords(id)) offsets.add(types.word(id, n))
  }
  return offsets
}

/**
 * Strings may share their ends, but not so that a small table says very much. `offsets` are inside of the table.
 */
export function checkStrings(
  file: string,
  types: TypeTable,
  offsets: Iterable<number>,
): LinkError | undefined {
  const bytes = types.strings.bytes()
  const most = 8 * bytes.length + 0x1_0000
  const ends = new Uint32Array(bytes.length)
  for (let at = bytes.length - 1, end = at; at >= 0; at--) {
    if (bytes[at] === 0) end = at
    ends[at] = end
  }
  let sum = 0
  for (const offset of offsets) {
    sum += (ends[offset] as number) - offset
    if (sum > most) return new LinkError('too-large', file, 'strings that share their bytes', '.BTF')
  }
  return undefined
}

/** Clang leaves the offsets of global variables to the symbols, and all of them to the relocations of `.BTF`. */
function placeVariables(
  file: string,
  types: TypeTable,
  sections: InputSection[],
  symbols: readonly ElfSymbol[],
): ReadonlyMap<number, readonly number[]> | LinkError {
  const byName = firstByName(sections)
  const values = new Map<string, number>()
  for (const symbol of symbols) {
    if (symbol.type !== STT.OBJECT) continue
    const key = `${symbol.sectionIndex} ${toByteString(symbol.name)}`
    if (!values.has(key)) values.set(key, Number(symbol.value))
  }
  const offsets = new Map<number, readonly number[]>()
  for (let id = 1; id < types.count; id++) {
    if (types.kind(id) !== BTF_KIND.DATASEC) continue
    const name = types.name(id)
    if (name === UNPLACED_EXTERNS) continue
    let section = byName.get(name)
    if (section === undefined) {
      section = new InputSection(name, undefined, false)
      sections.push(section)
      byName.set(name, section)
    }
    section.datasec = id
    const places: number[] = []
    for (const n of types.typeWords(id)) {
      const variable = types.word(id, n)
      let offset = types.word(id, n + 1)
      if (types.kind(variable) === BTF_KIND.VAR && types.word(variable, 3) === BTF_LINKAGE.GLOBAL) {
        const value = values.get(`${section.elf?.index ?? 0} ${types.name(variable)}`)
        if (value === undefined || value > 0x7fff_ffff) {
          const reason = `found no symbol for the variable '${types.name(variable)}'`
          return new LinkError('bad-object', file, reason, name)
        }
        offset = value
      }
      places.push(offset)
    }
    offsets.set(id, places)
  }
  return offsets
}

/** Functions may be in no DATASEC; a type in one goes before others of its name. */
function findGlobals(types: TypeTable): Map<string, GlobalType> {
  const globals = new Map<string, GlobalType>()
  for (let id = 1; id < types.count; id++) {
    if (isGlobalType(types, id)) {
      const name = types.name(id)
      if ((globals.get(name)?.datasec ?? 0) === 0)
        globals.set(name, { type: id, datasec: 0, rival: undefined })
    }
    if (types.kind(id) !== BTF_KIND.DATASEC) continue
    for (const n of types.typeWords(id)) {
      const type = types.word(id, n)
      if (!isGlobalType(types, type)) continue
      const known = globals.get(types.name(type))
      if (known !== undefined && known.datasec !== 0) continue
      const rival = known === undefined || known.type === type ? undefined : known.type
      globals.set(types.name(type), { type, datasec: id, rival })
    }
  }
  return globals
}

export const isGlobalSymbol = ({ binding }: ElfSymbol): boolean => binding !== STB.LOCAL
