/** Whether two files mean the same map by a name: an extern map is declared in full. */
import { BPF_MAP_TYPE } from '../abi/index.ts'
import { BTF_KIND, type TypeTable } from '../btf/index.ts'
import { skipModifiers, type Typed, whyTypesDiffer } from './match-types.ts'
import { sizeOf } from './size-of.ts'

/** Members of a definition that are numbers. */
const NUMBERS = [
  'type',
  'key_size',
  'value_size',
  'max_entries',
  'map_flags',
  'numa_node',
  'pinning',
  'map_extra',
] as const

type NumberName = (typeof NUMBERS)[number]

/** There are thirteen members to write; this many leave room and keep hostile definitions cheap. */
const MAX_MEMBERS = 32

interface Definition {
  readonly numbers: Map<NumberName, number>
  key: number
  value: number
  inner: Definition | undefined
}

/** Why the variables of two maps do not agree, or `undefined` where they do. */
export function whyMapsDiffer(a: Typed, b: Typed): string | undefined {
  const first = readVariable(a)
  if (typeof first === 'string') return first
  const second = readVariable(b)
  if (typeof second === 'string') return second
  return whyDefinitionsDiffer(a.types, first, b.types, second)
}

function whyDefinitionsDiffer(
  left: TypeTable,
  a: Definition,
  right: TypeTable,
  b: Definition,
): string | undefined {
  for (const name of NUMBERS) {
    const [one, other] = [a.numbers.get(name) ?? 0, b.numbers.get(name) ?? 0]
    if (one !== other) return `maps with ${name} ${one} and ${other}`
  }
  for (const part of ['key', 'value'] as const) {
    const [one, other] = [a[part], b[part]]
    if ((one === 0) !== (other === 0)) return `maps of which one says the type of its ${part}`
    if (one === 0) continue
    const difference = whyTypesDiffer({ types: left, id: one }, { types: right, id: other })
    if (difference !== undefined) return `maps whose ${part}s differ: ${difference}`
  }
  if ((a.inner === undefined) !== (b.inner === undefined)) return 'maps of which one says what it holds'
  if (a.inner === undefined || b.inner === undefined) return undefined
  const difference = whyDefinitionsDiffer(left, a.inner, right, b.inner)
  return difference === undefined ? undefined : `what they hold: ${difference}`
}

function readVariable({ types, id }: Typed): Definition | string {
  const definition = types.kind(id) === BTF_KIND.VAR ? skipModifiers(types, types.word(id, 2)) : 0
  if (types.kind(definition) !== BTF_KIND.STRUCT) return 'a map that no struct describes'
  return readDefinition(types, definition, false)
}

function readDefinition(types: TypeTable, struct: number, isInner: boolean): Definition | string {
  const definition: Definition = { numbers: new Map(), key: 0, value: 0, inner: undefined }
  const count = types.vlen(struct)
  if (count > MAX_MEMBERS) return `a map with ${count} members`
  for (let i = 0, n = 3; i < count; i++, n += 3) {
    const name = types.text(struct, n)
    const member = types.word(struct, n + 1)
    const why =
      name === 'key' || name === 'value'
        ? readTyped(types, definition, name, member)
        : name === 'values'
          ? readValues(types, definition, member, isInner)
          : readNumber(types, definition, name, member)
    if (why !== undefined) return `a map whose member '${name}' ${why}`
  }
  return definition.numbers.has('type') ? definition : 'a map without a type'
}

function readNumber(
  types: TypeTable,
  { numbers }: Definition,
  name: string,
  member: number,
): string | undefined {
  const known = NUMBERS.find((one) => one === name)
  if (known === undefined) return 'is not known'
  const pointer = skipModifiers(types, member)
  const array = types.kind(pointer) === BTF_KIND.PTR ? types.word(pointer, 2) : 0
  if (types.kind(array) !== BTF_KIND.ARRAY) return 'is not a number of __uint'
  return setNumber(numbers, known, types.word(array, 5))
}

/** The size of keys and values may be said twice, as a number and by the type. */
function setNumber(numbers: Definition['numbers'], name: NumberName, value: number): string | undefined {
  const before = numbers.get(name) ?? 0
  const isSize = name === 'key_size' || name === 'value_size'
  if (isSize && before !== 0 && before !== value) return `makes a second ${name}, ${value} beside ${before}`
  numbers.set(name, value)
  return undefined
}

function readTyped(
  types: TypeTable,
  definition: Definition,
  name: 'key' | 'value',
  member: number,
): string | undefined {
  if (types.kind(member) !== BTF_KIND.PTR) return 'is not a type of __type'
  const target = types.word(member, 2)
  const size = sizeOf(types, target)
  if (size === undefined) return 'has no size'
  definition[name] = target
  return setNumber(definition.numbers, `${name}_size`, size)
}

/** What maps of maps hold, and program arrays. */
function readValues(
  types: TypeTable,
  definition: Definition,
  member: number,
  isInner: boolean,
): string | undefined {
  if (isInner) return 'is in an inner map'
  const isArray = types.kind(member) === BTF_KIND.ARRAY && types.word(member, 5) === 0
  const pointer = isArray ? skipModifiers(types, types.word(member, 3)) : 0
  if (types.kind(pointer) !== BTF_KIND.PTR) return 'is not a list of __array'
  const target = skipModifiers(types, types.word(pointer, 2))
  const wrong = setNumber(definition.numbers, 'value_size', 4)
  if (wrong !== undefined) return wrong
  if (definition.numbers.get('type') === BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY) {
    return types.kind(target) === BTF_KIND.FUNC_PROTO ? undefined : 'does not hold functions'
  }
  if (types.kind(target) !== BTF_KIND.STRUCT) return 'does not hold maps'
  const inner = readDefinition(types, target, true)
  if (typeof inner === 'string') return `holds ${inner}`
  definition.inner = inner
  return undefined
}
