/**
 * Joining types: an input's are appended, with those of global functions and variables that are known already left
 * out; sections' types are made anew at the end.
 */
import { BTF_KIND, BTF_LINKAGE, type TypeTable } from '../btf/index.ts'
import { LinkError } from './error.ts'
import type { Input, InputTypes } from './input.ts'
import type { InputSection } from './input-section.ts'
import { isGlobalType } from './input-types.ts'
import type { GlobalSymbol, Output } from './output.ts'
import { sizeOf } from './size-of.ts'

/** The format's parts of one type. */
const MAX_PARTS = 0xffff

const LOCAL_FUNCTION = ((BTF_KIND.FUNC << 24) | BTF_LINKAGE.STATIC) >>> 0

export function appendTypes(output: Output, input: Input): LinkError | undefined {
  if (input.types === undefined) return undefined
  const { table } = input.types
  const { types } = output
  const first = types.count
  /** Global symbols, and the type in the input that says what they are made of. */
  const awaited = new Map<GlobalSymbol, number>()
  for (let id = 1; id < table.count; id++) {
    if (table.kind(id) === BTF_KIND.DATASEC) continue
    const global = isGlobalType(table, id) ? output.globals.get(table.name(id)) : undefined
    if (isGlobalType(table, id)) {
      // It is in a section that is there once only, and was there before.
      // A function is a local one then, that a linker of bitcode has made so.
      if (global === undefined && !isGlobalFunction(table, id)) continue
      if (global?.isUnderlyingWanted === true) {
        awaited.set(global, table.word(id, 2))
        global.isUnderlyingWanted = false
      }
      if (global !== undefined && global.type !== 0) {
        input.typeIds[id] = global.type
        continue
      }
    }
    const added = types.addFrom(table, id)
    input.typeIds[id] = added
    if (global !== undefined) global.type = added
    else if (isGlobalType(table, id)) types.setWord(added, 1, LOCAL_FUNCTION)
  }
  for (let id = first; id < types.count; id++) {
    for (const n of types.typeWords(id)) {
      const old = types.word(id, n)
      const now = input.typeIds[old] as number
      if (now === 0 && old !== 0) {
        const reason = `type ${old}, '${table.name(old)}', is referred to and cannot be kept`
        return new LinkError('bad-object', input.name, reason, '.BTF')
      }
      types.setWord(id, n, now)
    }
  }
  for (const [global, old] of awaited) {
    global.underlying = input.typeIds[old] as number
    types.setWord(global.type, 2, global.underlying)
  }
  for (const section of input.sections.slice(1)) {
    if (section.datasec === 0 || section.isSkipped) continue
    const error = appendVariables(output, input, input.types, section)
    if (error !== undefined) return error
  }
  return undefined
}

/** Appends what a DATASEC says of its variables to those of the section in the output. */
function appendVariables(
  output: Output,
  input: Input,
  { table, offsets }: InputTypes,
  { name, datasec, output: target, outputOffset }: InputSection,
): LinkError | undefined {
  if (target === undefined) return undefined
  target.hasTypes = true
  const { types } = output
  const places = offsets.get(datasec) ?? []
  for (const [i, n] of table.typeWords(datasec).entries()) {
    const type = input.typeIds[table.word(datasec, n)] as number
    // No symbol is of this name: nothing refers to it.
    if (type === 0) continue
    const global = isGlobalType(types, type) ? output.globals.get(types.name(type)) : undefined
    if (global !== undefined && global.section !== target) {
      // A weak definition that another one goes before may have been elsewhere.
      if (!global.isExtern && isDefined(table, table.word(datasec, n))) continue
      const there = global.section === undefined ? 'no section' : `section '${global.section.name}'`
      const reason = `'${global.name}' is in ${there} in other inputs`
      return new LinkError('mismatch', input.name, reason, name)
    }
    if (global?.variable !== undefined) {
      // Functions have no size, nor do symbols of the kernel without a type. That of others may have been known to
      // their definition only.
      const size = types.kind(type) === BTF_KIND.FUNC ? undefined : sizeOf(types, global.underlying)
      if (size !== undefined) global.variable.size = size
      continue
    }
    if (target.variables.length === MAX_PARTS) {
      return new LinkError('too-large', input.name, `more than ${MAX_PARTS} variables`, name)
    }
    const offset = outputOffset + (places[i] ?? 0)
    const variable = { type, offset, size: table.word(datasec, n + 2), global }
    target.variables.push(variable)
    if (global !== undefined) global.variable = variable
  }
  return undefined
}

const isGlobalFunction = (types: TypeTable, id: number): boolean =>
  types.kind(id) === BTF_KIND.FUNC && types.vlen(id) === BTF_LINKAGE.GLOBAL

const isDefined = (types: TypeTable, id: number): boolean =>
  types.kind(id) === BTF_KIND.VAR && types.word(id, 3) === BTF_LINKAGE.GLOBAL

/** Adds the types of sections, now that all of their variables are known. */
export function addSectionTypes({ types, sections, symbols }: Output): void {
  for (const { name, hasTypes, size, variables } of sections) {
    if (!hasTypes) continue
    const info = ((BTF_KIND.DATASEC << 24) | variables.length) >>> 0
    const parts = variables.flatMap(({ type, offset, size, global }) => {
      // The definition may have come after a declaration, or after a weak one that was elsewhere.
      const value = global === undefined || global.isExtern ? undefined : symbols[global.index]?.value
      return [type, value === undefined ? offset : Number(value), size]
    })
    types.add([types.strings.add(name), info, size, ...parts])
  }
}
