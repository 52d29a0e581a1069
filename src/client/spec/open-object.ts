/** From the bytes of an object file to its Spec. */
import { type BtfId, fixupDatasec } from '../../btf/index.ts'
import { readCString, STB } from '../../elf/index.ts'
import { collectArenaData } from './arena-data.ts'
import { collectBtfMaps } from './btf-maps.ts'
import { collectDataMaps, kconfigMap } from './data-maps.ts'
import { collectExterns, type Externs } from './externs.ts'
import { collectFunctions, type FunctionTable, finishFunctions } from './functions.ts'
import { collectLegacyMaps } from './legacy-maps.ts'
import { ObjectError } from './object-error.ts'
import { isHidden, isSubprogramSection, ObjectFile } from './object-file.ts'
import { assignRecords } from './records.ts'
import { relocateFunctions } from './relocate.ts'
import { collectStructOps } from './struct-ops.ts'
import type { CollectionSpec, ExternSpec, FunctionSpec } from './types.ts'

export interface OpenObjectOptions {
  /** Name of the object, for the names of its data maps; see `objectName`. Default: `object`. */
  readonly name?: string
  /** Also open objects for big-endian machines (to show them; no kernel here runs them). */
  readonly allowBigEndian?: boolean
}

/**
 * What the object file in `bytes` says. The Spec shares `bytes`, which must not be changed while it is in use.
 */
export function openObject(bytes: Uint8Array, options: OpenObjectOptions = {}): CollectionSpec | ObjectError {
  // A Buffer of Node's is a Uint8Array whose slice() shares instead of copying: look at its bytes as a plain one.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const file = ObjectFile.open(plain, options.name ?? 'object', options.allowBigEndian === true)
  if (file instanceof ObjectError) return file
  const table = collectFunctions(file)
  if (table instanceof ObjectError) return table
  const externs = collectExterns(file)
  if (externs instanceof ObjectError) return externs
  const btfMaps = collectBtfMaps(file, table)
  if (btfMaps instanceof ObjectError) return btfMaps
  const legacyMaps = collectLegacyMaps(file)
  if (legacyMaps instanceof ObjectError) return legacyMaps
  const dataMaps = collectDataMaps(file)
  if (dataMaps instanceof ObjectError) return dataMaps
  const structOps = collectStructOps(file, table)
  if (structOps instanceof ObjectError) return structOps
  const version = readVersion(file)
  if (version instanceof ObjectError) return version
  const arena = collectArenaData(file, [...btfMaps, ...legacyMaps])
  if (arena instanceof ObjectError) return arena
  const declaredMaps = arena.maps
  const sections = arena.data === undefined ? dataMaps : [...dataMaps, arena.data]
  const error = relocateFunctions(file, { functions: table, declaredMaps, dataMaps: sections, externs })
  if (error !== undefined) return error
  assignRecords(file, table)

  const { functions, programs } = finishFunctions(table)
  const maps = [...declaredMaps, ...dataMaps].map((map) => map.spec)
  if (externs.kconfigSize > 0) maps.push(kconfigMap(file, externs.kconfigSize))
  const twice = firstDouble(maps.map((map) => map.name))
  if (twice !== undefined)
    return new ObjectError('bad-map', 'expected one map of this name, found two', { map: twice })
  if (programs.length === 0 && maps.length === 0) return nothingToLoad(table)
  return {
    name: file.name,
    byteOrder: file.elf.byteOrder,
    license: readLicense(file),
    version,
    programs,
    functions,
    maps,
    externs: markFunctions(externs, functions),
    structOps,
    btf: file.btf,
    btfExt: file.btfExt,
    kernelBtf: kernelBtf(file, table, externs),
    warnings: file.warnings,
  }
}

/** The name of an object from its path: the file's name up to the first dot (`a/syscount.bpf.o` is `syscount`). */
export function objectName(path: string): string {
  const base = path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1)
  const dot = base.indexOf('.')
  return dot < 0 ? base : base.slice(0, dot)
}

function firstDouble(names: readonly string[]): string | undefined {
  const seen = new Set<string>()
  for (const name of names) {
    if (seen.has(name)) return name
    seen.add(name)
  }
  return undefined
}

function nothingToLoad(table: FunctionTable): ObjectError {
  const names = table.all.slice(0, 3).map((one) => `'${one.name}'`)
  if (names.length === 0) return new ObjectError('no-programs', 'this object has neither programs nor maps')
  const isText = table.all.some((one) => isSubprogramSection(one.section))
  const hint = isText
    ? 'functions in .text are only called by others; mark entry points with SEC("...")'
    : 'entry points must be global functions'
  return new ObjectError(
    'no-programs',
    `this object has functions (${names.join(', ')}) but no programs: ${hint}`,
  )
}

function readLicense(file: ObjectFile): string {
  const data = file.elf.section('license')?.data
  if (data === undefined || data.length === 0) return ''
  const text = readCString(data, 0)
  // A license that fills its section has no NUL.
  return text ?? new TextDecoder().decode(data.subarray(0, 128))
}

function readVersion(file: ObjectFile): number | ObjectError {
  const data = file.elf.section('version')?.data
  if (data === undefined || data.length === 0) return 0
  if (data.length !== 4) {
    return new ObjectError('bad-section', `expected 4 bytes, found ${data.length}`, { section: 'version' })
  }
  return new DataView(data.buffer, data.byteOffset, 4).getUint32(0, file.little)
}

/** Without BTF, that a symbol is a function shows in its being called. */
function markFunctions(externs: Externs, functions: readonly FunctionSpec[]): readonly ExternSpec[] {
  if (externs.list.length === 0) return []
  const called = new Set<string>()
  for (const one of functions) {
    for (const relocation of one.relocations)
      if (relocation.kind === 'externCall') called.add(relocation.name)
  }
  return externs.list.map((one) =>
    one.kind === 'ksym' && one.type === undefined && called.has(one.name)
      ? { ...one, isFunction: true }
      : one,
  )
}

function kernelBtf(file: ObjectFile, table: FunctionTable, externs: Externs): Uint8Array | undefined {
  if (file.btf === undefined) return undefined
  const hiddenFunctions = new Set<string>()
  const localFunctions = new Set<BtfId>()
  for (const one of table.all) {
    if (one.isGlobal && one.isHidden && one.entry === undefined) hiddenFunctions.add(one.name)
    if (!one.isGlobal && one.btfFunction !== undefined) localFunctions.add(one.btfFunction)
  }
  return fixupDatasec(file.btf, {
    sectionSize: (name) => (name === '.kconfig' ? externs.kconfigSize : file.elf.section(name)?.size),
    variable: (sectionName, name) => {
      if (sectionName === '.kconfig') {
        const one = externs.byName.get(name)
        return one?.kind === 'kconfig' ? { offset: one.offset, isHidden: false } : undefined
      }
      const section = file.elf.section(sectionName)
      const symbol = section === undefined ? undefined : file.variable(section, name)
      if (symbol === undefined || symbol.binding === STB.LOCAL) return undefined
      return { offset: Number(symbol.value), isHidden: isHidden(symbol) }
    },
    staticOffset: (sectionName, name) => {
      const section = file.elf.section(sectionName)
      const symbol = section === undefined ? undefined : file.variable(section, name)
      return symbol?.binding === STB.LOCAL ? Number(symbol.value) : undefined
    },
    hiddenFunctions,
    localFunctions,
  })
}
