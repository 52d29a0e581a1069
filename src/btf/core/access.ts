/**
 * What a CO-RE record points at: the path from a type to one of its members, or one constant of an enum.
 *
 * The access string of a record counts the way as C would walk it: `0:2:1:3` is `p[0]`, member 2 of it, member 1
 * of that, element 3 of that. In the struct of another kernel the numbers differ, so what carries over are the
 * *steps*: named members and array indexes. Anonymous structs and unions are passed through without a step.
 */
import type { Btf } from '../btf.ts'
import { BTF_KIND } from '../kinds.ts'
import type { BtfArray, BtfComposite, BtfEnum, BtfId, CoreRelocation } from '../types.ts'
import { type CoreSubject, coreKind } from './kinds.ts'

/** Longest path, as in libbpf and the kernel (BPF_CORE_SPEC_MAX_LEN). */
export const MAX_ACCESS_STEPS = 64

/** One step of an access. */
export type AccessStep =
  /** Into the member `index` of the struct or union `type`. */
  | { readonly kind: 'member'; readonly type: BtfId; readonly index: number; readonly name: string }
  /** To the element `index`, which is of `type`; the first step of every path is one. */
  | { readonly kind: 'element'; readonly type: BtfId; readonly index: number }
  /** The constant `index` of the enum `type`. */
  | { readonly kind: 'enumerator'; readonly type: BtfId; readonly index: number; readonly name: string }

/** A path through the types of one BTF. */
export interface Access {
  readonly btf: Btf
  readonly root: BtfId
  /** `CORE_KIND` of the record that it belongs to. */
  readonly relocation: number
  readonly steps: readonly AccessStep[]
  /** Every number of the path, those of anonymous members included. */
  readonly indexes: readonly number[]
  /** From the start of the root type to what is accessed. */
  readonly bitOffset: number
}

/** The access that a record of the object's `.BTF.ext` describes, or what is wrong with it. */
export function parseAccess(btf: Btf, relocation: CoreRelocation): Access | string {
  const subject = coreKind(relocation.kind)?.subject
  if (subject === undefined) return `expected a kind of relocation from 0 to 12, found ${relocation.kind}`
  const start: Access = {
    btf,
    root: relocation.type,
    relocation: relocation.kind,
    steps: [],
    indexes: [],
    bitOffset: 0,
  }
  if (subject === 'type') {
    return relocation.access === '0' ? start : `expected the access '0', found '${relocation.access}'`
  }
  const indexes = parseIndexes(relocation.access)
  if (typeof indexes === 'string') return indexes
  return subject === 'enumerator' ? toEnumerator(start, indexes) : toField(start, indexes)
}

function parseIndexes(text: string): readonly number[] | string {
  if (!/^\d+(:\d+)*$/.test(text)) return `expected numbers between colons, found '${text}'`
  const indexes = text.split(':').map(Number)
  if (indexes.length > MAX_ACCESS_STEPS)
    return `expected at most ${MAX_ACCESS_STEPS} steps, found ${indexes.length}`
  const large = indexes.find((index) => index > 0x7fff_ffff)
  return large === undefined ? indexes : `expected indexes of 31 bits, found ${large}`
}

function toEnumerator(start: Access, indexes: readonly number[]): Access | string {
  const { btf, root } = start
  const type = btf.typeById(btf.resolve(root))
  if (type.kind !== BTF_KIND.ENUM && type.kind !== BTF_KIND.ENUM64)
    return `expected an enum, found ${kindWord(btf, type.id)}`
  const index = indexes[0] as number
  const value = type.values[index]
  if (indexes.length > 1 || value === undefined) {
    return `expected the index of one of ${type.values.length} constants, found '${indexes.join(':')}'`
  }
  return { ...start, indexes, steps: [{ kind: 'enumerator', type: type.id, index, name: value.name }] }
}

function toField(start: Access, indexes: readonly number[]): Access | string {
  const { btf } = start
  let id = btf.resolve(start.root)
  const rootBytes = btf.sizeOf(id)
  if (rootBytes === undefined) return `expected a type with a size, found ${kindWord(btf, id)}`
  const first = indexes[0] as number
  const steps: AccessStep[] = [{ kind: 'element', type: id, index: first }]
  let bitOffset = first * rootBytes * 8
  for (const index of indexes.slice(1)) {
    const type = btf.typeById(btf.resolve(id))
    if (type.kind === BTF_KIND.STRUCT || type.kind === BTF_KIND.UNION) {
      const member = type.members[index]
      if (member === undefined) {
        return `expected the index of one of ${type.members.length} members of ${describe(btf, type.id)}, found ${index}`
      }
      bitOffset += member.bitOffset
      if (member.name !== '') steps.push({ kind: 'member', type: type.id, index, name: member.name })
      id = member.type
    } else if (type.kind === BTF_KIND.ARRAY) {
      const element = btf.resolve(type.element)
      if (!mayIndex(btf, steps.at(-1) as AccessStep, type, index))
        return `expected an index under ${type.count}, found ${index}`
      const bytes = btf.sizeOf(element)
      if (bytes === undefined) return `expected elements with a size, found ${kindWord(btf, element)}`
      steps.push({ kind: 'element', type: element, index })
      bitOffset += index * bytes * 8
      id = element
    } else {
      return `expected a struct, union or array to go into, found ${kindWord(btf, type.id)}`
    }
  }
  return { ...start, steps, indexes, bitOffset }
}

/**
 * Whether C lets `index` into the array: under its length, or anything where it is the array without length at
 * the end of a struct, which `last` led to.
 */
export function mayIndex(btf: Btf, last: AccessStep, array: BtfArray, index: number): boolean {
  if (index < array.count) return true
  if (last.kind !== 'member' || array.count > 0) return false
  return last.index === (btf.typeById(last.type) as BtfComposite).members.length - 1
}

/**
 * The access as libbpf's log writes it: `<byte_off> [12] struct task_struct.pid (0:5 @ offset 123)`,
 * `<enumval_value> [7] enum color::red = 1`.
 */
export function formatAccess(access: Access): string {
  const { btf, root, steps, indexes, bitOffset } = access
  const kind = coreKind(access.relocation)
  const head = `<${kind?.word ?? 'unknown'}> [${root}] ${describe(btf, root)}`
  const subject: CoreSubject | undefined = kind?.subject
  const [first] = steps
  if (subject === 'enumerator' && first !== undefined) {
    const type = btf.typeById(first.type) as BtfEnum
    const value = type.values[first.index]
    return `${head}::${value?.name} = ${value?.value}`
  }
  if (subject !== 'field') return head
  const path = steps.map((step, i) => {
    if (step.kind !== 'element') return `.${step.name}`
    return i > 0 || step.index > 0 ? `[${step.index}]` : ''
  })
  const bits = bitOffset % 8 === 0 ? '' : `.${bitOffset % 8}`
  return `${head}${path.join('')} (${indexes.join(':')} @ offset ${Math.floor(bitOffset / 8)}${bits})`
}

/** A record whose access makes no sense, as libbpf's log writes it: `[12] struct task_struct + 0:999`. */
export const formatRecord = (btf: Btf, { type, access }: CoreRelocation): string =>
  `[${type}] ${describe(btf, type)} + ${access}`

/** `struct task_struct`, `typedef <anon>`: kind and name. */
export function describe(btf: Btf, id: BtfId): string {
  const name = id === 0 ? '' : btf.nameOf(id)
  return `${kindWord(btf, id)} ${name === '' ? '<anon>' : name}`
}

const KIND_WORDS = new Map<number, string>(
  Object.entries(BTF_KIND).map(([name, kind]) => [kind, kind === 0 ? 'void' : name.toLowerCase()]),
)

const kindWord = (btf: Btf, id: BtfId): string => KIND_WORDS.get(btf.kindOf(id)) ?? 'unknown'
