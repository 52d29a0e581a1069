/**
 * Maps declared as C structs in section `.maps`.
 *
 * A number N is written as a member of type `int (*)[N]`, so the value is in the type and the section's bytes
 * are all zero; `key` and `value` are pointers whose targets are the types; `values`, a last member of no size,
 * holds the initial elements by relocation.
 *
 * Source: libbpf's documentation and bpf_helpers.h (`__uint`, `__type`, `__array`, `__ulong`).
 */
import { BPF_MAP_TYPE } from '../../abi/bpf.ts'
import {
  BTF_KIND,
  BTF_LINKAGE,
  type Btf,
  type BtfComposite,
  type BtfDatasec,
  type BtfId,
  type BtfMember,
} from '../../btf/index.ts'
import { ElfError, type ElfSection } from '../../elf/index.ts'
import { MAX_KERNEL_NAME } from './data-maps.ts'
import type { FunctionTable } from './functions.ts'
import { ObjectError } from './object-error.ts'
import { fromElfError, type ObjectFile } from './object-file.ts'
import type { MapSpec } from './types.ts'

/** A declared map with its place, so that relocations can find it. */
export interface DeclaredMap {
  readonly sectionIndex: number
  /** Bytes from the start of the section. */
  readonly offset: number
  readonly size: number
  readonly spec: MapSpec
}

export function collectBtfMaps(
  file: ObjectFile,
  functions: FunctionTable,
): readonly DeclaredMap[] | ObjectError {
  const section = file.elf.section('.maps')
  if (section === undefined || section.size === 0) return []
  const { btf } = file
  const datasec = btf?.find('.maps', BTF_KIND.DATASEC)
  if (btf === undefined || datasec === undefined) {
    return new ObjectError('bad-map', 'expected BTF that describes the maps, found none; compile with -g', {
      section: '.maps',
    })
  }
  const maps: Draft[] = []
  const names = new Set<string>()
  for (const variable of (btf.typeById(datasec) as BtfDatasec).variables) {
    const map = readVariable(file, btf, section, variable)
    if (map instanceof ObjectError) return map
    if (names.has(map.spec.name)) return badMap(map.spec.name, 'expected one map of this name, found two')
    names.add(map.spec.name)
    maps.push(map)
  }
  maps.sort((a, b) => a.offset - b.offset)
  return fillValues(file, section, maps, functions) ?? maps
}

/** A map whose initial elements are found later. */
type DraftSpec = MapSpec & { readonly values: { key: number; kind: 'map' | 'program'; name: string }[] }

interface Draft extends DeclaredMap {
  readonly definition: BtfComposite
  readonly spec: DraftSpec
}

/** There are thirteen members to write; this many leave room and keep hostile definitions cheap. */
const MAX_MEMBERS = 32

const badMap = (map: string, reason: string): ObjectError =>
  new ObjectError('bad-map', reason, { map, section: '.maps' })

function readVariable(
  file: ObjectFile,
  btf: Btf,
  section: ElfSection,
  place: BtfDatasec['variables'][number],
): Draft | ObjectError {
  const variable = btf.typeById(place.type)
  if (variable.kind !== BTF_KIND.VAR) return badMap(variable.name, 'expected a variable, found a function')
  const { name } = variable
  if (name === '') return badMap(name, 'expected a map with a name, found an unnamed variable')
  if (variable.linkage !== BTF_LINKAGE.GLOBAL)
    return badMap(name, 'expected a global variable, found a static or extern one')
  const definition = btf.typeById(btf.resolve(variable.type))
  if (definition.kind !== BTF_KIND.STRUCT) return badMap(name, 'expected a struct that describes the map')
  const symbol = file.variable(section, name)
  const offset = symbol === undefined ? place.offset : Number(symbol.value)
  const size = Math.max(place.size, definition.size, Number(symbol?.size ?? 0n))
  if (offset + size > section.size) {
    return badMap(
      name,
      `expected ${size} bytes at offset ${offset} inside the ${section.size} of the section`,
    )
  }
  const spec = readDefinition(btf, name, definition, false)
  if (spec instanceof ObjectError) return spec
  return { sectionIndex: section.index, offset, size, definition, spec }
}

/** Fields of a definition while it is read. */
interface Fields {
  type: number
  keySize: number
  valueSize: number
  maxEntries: number
  flags: number
  mapExtra: bigint
  numaNode: number | undefined
  pinning: 'none' | 'by-name'
  keyType: BtfId | undefined
  valueType: BtfId | undefined
  inner: MapSpec | undefined
}

function readDefinition(
  btf: Btf,
  name: string,
  definition: BtfComposite,
  isInner: boolean,
): DraftSpec | ObjectError {
  const fields: Fields = {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_UNSPEC,
    keySize: 0,
    valueSize: 0,
    maxEntries: 0,
    flags: 0,
    mapExtra: 0n,
    numaNode: undefined,
    pinning: 'none',
    keyType: undefined,
    valueType: undefined,
    inner: undefined,
  }
  if (definition.members.length > MAX_MEMBERS) {
    return badMap(name, `expected at most ${MAX_MEMBERS} members, found ${definition.members.length}`)
  }
  const { members } = definition
  for (let i = 0; i < members.length; i++) {
    const isLast = i === members.length - 1
    const error = readMember(btf, name, fields, members[i] as BtfMember, { isInner, isLast })
    if (error !== undefined) return error
  }
  if (fields.type === BPF_MAP_TYPE.BPF_MAP_TYPE_UNSPEC)
    return badMap(name, 'expected a member `type`, found none')
  return {
    name,
    kernelName: name.slice(0, MAX_KERNEL_NAME),
    origin: 'btf',
    type: fields.type,
    keySize: fields.keySize,
    valueSize: fields.valueSize,
    maxEntries: fields.maxEntries,
    flags: fields.flags,
    mapExtra: fields.mapExtra,
    numaNode: fields.numaNode,
    pinning: fields.pinning,
    keyType: fields.keyType,
    valueType: fields.valueType,
    initialValue: undefined,
    frozen: false,
    inner: fields.inner,
    values: [],
  }
}

function readMember(
  btf: Btf,
  map: string,
  fields: Fields,
  member: BtfMember,
  context: { readonly isInner: boolean; readonly isLast: boolean },
): ObjectError | undefined {
  switch (member.name) {
    case 'key':
    case 'value':
      return readTyped(btf, map, fields, member)
    case 'values':
      return readValuesMember(btf, map, fields, member, context)
    case 'map_extra': {
      const value = extraOf(btf, member.type)
      if (value === undefined) return badMap(map, 'member `map_extra`: expected __uint or __ulong')
      fields.mapExtra = value
      return undefined
    }
  }
  const value = uintOf(btf, member.type)
  if (value === undefined)
    return badMap(map, `member \`${member.name}\`: expected __uint(${member.name}, number)`)
  switch (member.name) {
    case 'type':
      fields.type = value
      return undefined
    case 'max_entries':
      fields.maxEntries = value
      return undefined
    case 'map_flags':
      fields.flags = value
      return undefined
    case 'numa_node':
      fields.numaNode = value
      return undefined
    case 'key_size':
      return setSize(map, fields, 'keySize', value)
    case 'value_size':
      return setSize(map, fields, 'valueSize', value)
    case 'pinning':
      if (context.isInner) return badMap(map, 'expected an inner map without pinning')
      if (value > 1)
        return badMap(map, `member \`pinning\`: expected 0 or LIBBPF_PIN_BY_NAME (1), found ${value}`)
      fields.pinning = value === 1 ? 'by-name' : 'none'
      return undefined
    default:
      return badMap(map, `expected a member of map definitions, found \`${member.name}\``)
  }
}

function setSize(
  map: string,
  fields: Fields,
  field: 'keySize' | 'valueSize',
  size: number,
): ObjectError | undefined {
  // Aya says the type of a ring buffer's records, and that its values have no size: 0 says nothing.
  if (size === 0) return undefined
  if (fields[field] !== 0 && fields[field] !== size) {
    const what = field === 'keySize' ? 'key' : 'value'
    return badMap(map, `expected one ${what} size, found ${fields[field]} and ${size}`)
  }
  fields[field] = size
  return undefined
}

function readTyped(btf: Btf, map: string, fields: Fields, member: BtfMember): ObjectError | undefined {
  const pointer = btf.typeById(member.type)
  if (pointer.kind !== BTF_KIND.PTR)
    return badMap(map, `member \`${member.name}\`: expected __type(${member.name}, type)`)
  const size = btf.sizeOf(pointer.type)
  if (size === undefined) return badMap(map, `member \`${member.name}\`: expected a type with a size`)
  if (member.name === 'key') fields.keyType = pointer.type
  else fields.valueType = pointer.type
  return setSize(map, fields, member.name === 'key' ? 'keySize' : 'valueSize', size)
}

const isMapInMap = (type: number): boolean =>
  type === BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY_OF_MAPS || type === BPF_MAP_TYPE.BPF_MAP_TYPE_HASH_OF_MAPS

function readValuesMember(
  btf: Btf,
  map: string,
  fields: Fields,
  member: BtfMember,
  context: { readonly isInner: boolean; readonly isLast: boolean },
): ObjectError | undefined {
  if (context.isInner) return badMap(map, 'expected an inner map that is not a map of maps itself')
  if (!context.isLast) return badMap(map, 'expected `values` as the last member')
  const isProgramArray = fields.type === BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY
  if (!isMapInMap(fields.type) && !isProgramArray) {
    return badMap(map, 'expected `values` only in maps of maps and program arrays')
  }
  const array = btf.typeById(member.type)
  const pointer =
    array.kind === BTF_KIND.ARRAY && array.count === 0 ? btf.typeById(btf.resolve(array.element)) : undefined
  if (pointer?.kind !== BTF_KIND.PTR) return badMap(map, 'member `values`: expected __array(values, type)')
  const wrong = setSize(map, fields, 'valueSize', 4)
  if (wrong !== undefined) return wrong
  const target = btf.typeById(btf.resolve(pointer.type))
  if (isProgramArray) {
    return target.kind === BTF_KIND.FUNC_PROTO
      ? undefined
      : badMap(map, 'member `values`: expected pointers to functions')
  }
  if (target.kind !== BTF_KIND.STRUCT)
    return badMap(map, 'member `values`: expected a struct that describes the inner maps')
  const inner = readDefinition(btf, `${map}.inner`, target, true)
  if (inner instanceof ObjectError) return inner
  fields.inner = inner
  return undefined
}

/** N of `int (*)[N]`. */
function uintOf(btf: Btf, id: BtfId): number | undefined {
  const pointer = btf.typeById(btf.resolve(id))
  if (pointer.kind !== BTF_KIND.PTR) return undefined
  const array = btf.typeById(pointer.type)
  return array.kind === BTF_KIND.ARRAY ? array.count : undefined
}

/** As `uintOf`, or the only value of an enum (`__ulong`). */
function extraOf(btf: Btf, id: BtfId): bigint | undefined {
  const type = btf.typeById(btf.resolve(id))
  if (type.kind === BTF_KIND.ENUM || type.kind === BTF_KIND.ENUM64) {
    const only = type.values.length === 1 ? type.values[0] : undefined
    return only === undefined ? undefined : BigInt.asUintN(64, only.value)
  }
  const value = uintOf(btf, id)
  return value === undefined ? undefined : BigInt(value)
}

/** Reads the initial elements of `values` members out of the section's relocations. */
function fillValues(
  file: ObjectFile,
  section: ElfSection,
  maps: readonly Draft[],
  functions: FunctionTable,
): ObjectError | undefined {
  const relocations = file.elf.relocations(section)
  if (relocations instanceof ElfError) return fromElfError(relocations)
  const pointerBytes = 8
  for (const { offset, symbol: symbolIndex } of relocations) {
    const bad = (reason: string, map?: string): ObjectError =>
      new ObjectError('bad-map', reason, { map, section: '.maps', offset })
    const map = lastAtOrBefore(maps, offset)
    if (map === undefined || offset + pointerBytes > map.offset + map.size)
      return bad('expected an initial element inside a map definition')
    const symbol = file.symbols[symbolIndex]
    if (symbol === undefined) return bad(`expected a symbol, found index ${symbolIndex}`, map.spec.name)
    const last = map.definition.members.at(-1)
    const into = offset - map.offset - (last?.bitOffset ?? 0) / 8
    if (last?.name !== 'values' || into < 0 || into % pointerBytes !== 0) {
      return bad('expected an initial element in the `values` member', map.spec.name)
    }
    const name = file.symbolName(symbol)
    if (isMapInMap(map.spec.type)) {
      const inner = lastAtOrBefore(maps, Number(symbol.value))
      if (
        symbol.sectionIndex !== section.index ||
        inner === undefined ||
        BigInt(inner.offset) !== symbol.value
      ) {
        return bad(`expected a map of section .maps, found '${name}'`, map.spec.name)
      }
      map.spec.values.push({ key: into / pointerBytes, kind: 'map', name: inner.spec.name })
    } else {
      const program = functions.startingAt(symbol.sectionIndex, Number(symbol.value))
      if (program?.entry === undefined) return bad(`expected a program, found '${name}'`, map.spec.name)
      map.spec.values.push({ key: into / pointerBytes, kind: 'program', name: program.name })
    }
  }
  return undefined
}

/** The map with the highest offset that is not past `offset`; `maps` is sorted. */
function lastAtOrBefore(maps: readonly Draft[], offset: number): Draft | undefined {
  let low = 0
  let high = maps.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((maps[middle] as Draft).offset <= offset) low = middle + 1
    else high = middle
  }
  return maps[low - 1]
}
