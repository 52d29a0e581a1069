/**
 * Finding in a type of the target what an access of the object means.
 *
 * Members are found by name, through anonymous structs and unions, wherever they have moved; the first of the name
 * counts. Array indexes stay what they are and must lie inside the target's array.
 */
import type { Btf } from '../btf.ts'
import { BTF_KIND } from '../kinds.ts'
import type { BtfComposite, BtfId } from '../types.ts'
import { type Access, type AccessStep, MAX_ACCESS_STEPS, mayIndex } from './access.ts'
import { areFieldsCompatible, areTypesCompatible } from './compatible.ts'
import { CORE_KIND, coreKind } from './kinds.ts'
import { doTypesMatch } from './matching.ts'
import { essentialName } from './names.ts'

/** What came of the search in one candidate type. */
export type Location =
  | { readonly kind: 'found'; readonly access: Access }
  /** The candidate has nothing that answers to the access. */
  | { readonly kind: 'none' }
  | { readonly kind: 'error'; readonly reason: string }

const NONE: Location = { kind: 'none' }
const tooDeep: Location = { kind: 'error', reason: 'expected types that end, found them nested too deep' }

/** Looks for what `local` accesses in the type `id` of `target`. */
export function locate(local: Access, target: Btf, id: BtfId): Location {
  const start: Access = {
    btf: target,
    root: id,
    relocation: local.relocation,
    steps: [],
    indexes: [],
    bitOffset: 0,
  }
  switch (coreKind(local.relocation)?.subject) {
    case 'type': {
      const areAlike = local.relocation === CORE_KIND.TYPE_MATCHES ? doTypesMatch : areTypesCompatible
      const same = areAlike(local.btf, local.root, target, id)
      if (same === undefined) return tooDeep
      return same ? { kind: 'found', access: start } : NONE
    }
    case 'enumerator':
      return locateEnumerator(local, start)
    default:
      return locateField(local, start)
  }
}

function locateEnumerator(local: Access, start: Access): Location {
  const type = start.btf.typeById(start.btf.resolve(start.root))
  if (type.kind !== BTF_KIND.ENUM && type.kind !== BTF_KIND.ENUM64) return NONE
  const [wanted] = local.steps
  if (wanted?.kind !== 'enumerator') return NONE
  const essential = essentialName(wanted.name)
  const index = type.values.findIndex(({ name }) => essentialName(name) === essential)
  if (index < 0) return NONE
  const name = (type.values[index] as (typeof type.values)[number]).name
  return {
    kind: 'found',
    access: { ...start, indexes: [index], steps: [{ kind: 'enumerator', type: type.id, index, name }] },
  }
}

/** A path being made. */
interface Draft {
  readonly steps: AccessStep[]
  readonly indexes: number[]
  bitOffset: number
  /** Type of what the path has reached. */
  at: BtfId
}

function locateField(local: Access, start: Access): Location {
  const { btf } = start
  const draft: Draft = { steps: [], indexes: [], bitOffset: 0, at: start.root }
  for (const [i, step] of local.steps.entries()) {
    if (step.kind === 'member') {
      const search = { local, step, target: btf, visits: 0 }
      const found = findMember(search, draft, draft.at)
      if (found === 'too-deep') return tooDeep
      if (!found) return NONE
      continue
    }
    let element = btf.resolve(draft.at)
    if (i > 0) {
      const array = btf.typeById(element)
      if (array.kind !== BTF_KIND.ARRAY) return NONE
      if (!mayIndex(btf, draft.steps.at(-1) as AccessStep, array, step.index)) return NONE
      element = btf.resolve(array.element)
    }
    const bytes = btf.sizeOf(element)
    if (bytes === undefined)
      return { kind: 'error', reason: 'expected a type with a size in the target, found none' }
    if (draft.indexes.length >= MAX_ACCESS_STEPS) return tooDeep
    draft.steps.push({ kind: 'element', type: element, index: step.index })
    draft.indexes.push(step.index)
    draft.bitOffset += step.index * bytes * 8
    draft.at = element
  }
  const { steps, indexes, bitOffset } = draft
  return { kind: 'found', access: { ...start, steps, indexes, bitOffset } }
}

interface MemberSearch {
  readonly local: Access
  readonly step: AccessStep & { readonly kind: 'member' }
  readonly target: Btf
  /** Structs that were looked into: a hostile type may hold an anonymous one twice at every level. */
  visits: number
}

const MAX_VISITS = 10_000

/** Extends `draft` by the member that `search` wants, if the struct `id` has it. */
function findMember(search: MemberSearch, draft: Draft, id: BtfId): boolean | 'too-deep' {
  const { local, step, target } = search
  const type = target.typeById(target.resolve(id))
  if (type.kind !== BTF_KIND.STRUCT && type.kind !== BTF_KIND.UNION) return false
  if (search.visits++ > MAX_VISITS) return 'too-deep'
  for (const [index, member] of type.members.entries()) {
    if (draft.indexes.length >= MAX_ACCESS_STEPS) return 'too-deep'
    const before = draft.bitOffset
    if (member.name === '') {
      draft.indexes.push(index)
      draft.bitOffset += member.bitOffset
      const found = findMember(search, draft, member.type)
      if (found !== false) return found
      draft.indexes.pop()
      draft.bitOffset = before
    } else if (member.name === step.name) {
      const ours = (local.btf.typeById(step.type) as BtfComposite).members[step.index]
      const localType = (ours as BtfComposite['members'][number]).type
      const same = areFieldsCompatible(local.btf, localType, target, member.type)
      if (same !== true) return same === undefined ? 'too-deep' : false
      draft.indexes.push(index)
      draft.steps.push({ kind: 'member', type: type.id, index, name: member.name })
      draft.bitOffset += member.bitOffset
      draft.at = member.type
      return true
    }
  }
  return false
}
