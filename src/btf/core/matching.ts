/**
 * When a type of the object *matches* one of the target (`bpf_core_type_matches`): stricter than compatibility,
 * as names, sizes and signs count, and every member or constant that the object declares must be there.
 *
 * Behind a pointer a struct is only a name: its members are not compared, and a forward declaration will do.
 */
import type { Btf } from '../btf.ts'
import { BTF_KIND } from '../kinds.ts'
import type { BtfComposite, BtfEnum, BtfId, BtfType } from '../types.ts'
import { essentialName, isComposite } from './names.ts'

const MAX_DEPTH = 32

/** A hostile type may hold each member's type twice: what is compared is bounded. */
const MAX_COMPARISONS = 100_000

/** What is the same for a whole comparison. */
interface Comparison {
  readonly local: Btf
  readonly target: Btf
  left: number
}

/** Whether the types match; the names of the roots are the caller's to compare. `undefined`: too deep to tell. */
export function doTypesMatch(local: Btf, localId: BtfId, target: Btf, targetId: BtfId): boolean | undefined {
  return match({ local, target, left: MAX_COMPARISONS }, localId, targetId, false, MAX_DEPTH)
}

function match(
  both: Comparison,
  localId: BtfId,
  targetId: BtfId,
  isBehindPointer: boolean,
  level: number,
): boolean | undefined {
  const { local, target } = both
  if (level <= 0) return undefined
  for (let step = 0; step < MAX_DEPTH; step++) {
    if (both.left-- <= 0) return undefined
    const ours = local.typeById(local.resolve(localId))
    const theirs = target.typeById(target.resolve(targetId))
    if (!doNamesMatch(nameOf(ours), nameOf(theirs))) return false
    switch (ours.kind) {
      case BTF_KIND.UNKN:
        return theirs.kind === BTF_KIND.UNKN
      case BTF_KIND.FWD:
        if (theirs.kind === BTF_KIND.FWD) return ours.isUnion === theirs.isUnion
        return isBehindPointer && theirs.kind === (ours.isUnion ? BTF_KIND.UNION : BTF_KIND.STRUCT)
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
        if (theirs.kind !== BTF_KIND.ENUM && theirs.kind !== BTF_KIND.ENUM64) return false
        return doEnumsMatch(ours, theirs)
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
        if (isBehindPointer && theirs.kind === BTF_KIND.FWD)
          return theirs.isUnion === (ours.kind === BTF_KIND.UNION)
        if (ours.kind !== theirs.kind || !isComposite(theirs.kind)) return false
        return isBehindPointer || doMembersMatch(both, ours, theirs as BtfComposite, level)
      case BTF_KIND.INT:
        return theirs.kind === BTF_KIND.INT && ours.size === theirs.size && ours.isSigned === theirs.isSigned
      case BTF_KIND.PTR:
        if (theirs.kind !== BTF_KIND.PTR) return false
        isBehindPointer = true
        localId = ours.type
        targetId = theirs.type
        break
      case BTF_KIND.ARRAY:
        if (theirs.kind !== BTF_KIND.ARRAY || ours.count !== theirs.count) return false
        localId = ours.element
        targetId = theirs.element
        break
      case BTF_KIND.FUNC_PROTO: {
        if (theirs.kind !== BTF_KIND.FUNC_PROTO || ours.isVariadic !== theirs.isVariadic) return false
        if (ours.parameters.length !== theirs.parameters.length) return false
        for (const [i, parameter] of ours.parameters.entries()) {
          const other = theirs.parameters[i] as (typeof theirs.parameters)[number]
          const same = match(both, parameter.type, other.type, isBehindPointer, level - 1)
          if (same !== true) return same
        }
        localId = ours.returns
        targetId = theirs.returns
        break
      }
      default:
        return false
    }
  }
  return undefined
}

/** Every constant of ours has one of its name in theirs; values do not matter. */
function doEnumsMatch(ours: BtfEnum, theirs: BtfEnum): boolean {
  if (ours.size !== theirs.size || ours.values.length > theirs.values.length) return false
  const names = new Set(theirs.values.map((value) => essentialName(value.name)))
  return ours.values.every((value) => names.has(essentialName(value.name)))
}

/** Every member of ours has one in theirs that matches. */
function doMembersMatch(
  both: Comparison,
  ours: BtfComposite,
  theirs: BtfComposite,
  level: number,
): boolean | undefined {
  if (ours.members.length > theirs.members.length) return false
  for (const member of ours.members) {
    let isFound = false
    for (const other of theirs.members) {
      if (!doNamesMatch(member.name, other.name)) continue
      const same = match(both, member.type, other.type, false, level - 1)
      if (same === undefined) return undefined
      if (same) {
        isFound = true
        break
      }
    }
    if (!isFound) return false
  }
  return true
}

/** Void is nameless in the file. */
const nameOf = (type: BtfType): string => (type.kind === BTF_KIND.UNKN ? '' : type.name)

const doNamesMatch = (ours: string, theirs: string): boolean => essentialName(ours) === essentialName(theirs)
