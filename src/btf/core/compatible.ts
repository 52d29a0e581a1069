/**
 * When a type of the object and one of the target are alike enough for an access to carry over.
 *
 * Rules, the same as libbpf's: modifiers and typedefs never matter; names matter only where said. `undefined`
 * means that the types are too deep to tell, which libbpf treats as an error.
 */
import type { Btf } from '../btf.ts'
import { BTF_KIND } from '../kinds.ts'
import type { BtfId, BtfType } from '../types.ts'
import { areKindsCompatible, essentialName, isComposite } from './names.ts'

/** Steps along a chain of pointers and arrays, and nested prototypes, before giving up. */
const MAX_DEPTH = 32

/**
 * Whether a member of the one type can stand for a member of the other: any two structs or unions, any two
 * pointers, any two floats, any two plain integers; enums and forward declarations of one name or without one;
 * arrays by their elements, whatever their lengths.
 */
export function areFieldsCompatible(
  local: Btf,
  localId: BtfId,
  target: Btf,
  targetId: BtfId,
): boolean | undefined {
  for (let step = 0; step < MAX_DEPTH; step++) {
    const ours = local.typeById(local.resolve(localId))
    const theirs = target.typeById(target.resolve(targetId))
    if (isComposite(ours.kind) && isComposite(theirs.kind)) return true
    if (!areKindsCompatible(ours.kind, theirs.kind)) return false
    switch (ours.kind) {
      case BTF_KIND.PTR:
      case BTF_KIND.FLOAT:
        return true
      case BTF_KIND.FWD:
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64: {
        const [a, b] = [essentialName(ours.name), essentialName(theirs.name)]
        return a === '' || b === '' || a === b
      }
      case BTF_KIND.INT:
        return arePlainIntegers(ours, theirs)
      case BTF_KIND.ARRAY:
        if (theirs.kind !== BTF_KIND.ARRAY) return false
        localId = ours.element
        targetId = theirs.element
        break
      default:
        return false
    }
  }
  return undefined
}

/**
 * Whether the types are of one shape, as existence and size of a type want it: the same kinds along pointers,
 * arrays and prototypes; names, sizes, signs and members do not matter.
 */
export function areTypesCompatible(
  local: Btf,
  localId: BtfId,
  target: Btf,
  targetId: BtfId,
  level = MAX_DEPTH,
): boolean | undefined {
  // Roots are compared before their typedefs are followed, as a typedef is a name of its own.
  if (!areKindsCompatible(local.kindOf(localId), target.kindOf(targetId))) return false
  for (let step = 0; step < MAX_DEPTH; step++) {
    const ours = local.typeById(local.resolve(localId))
    const theirs = target.typeById(target.resolve(targetId))
    if (!areKindsCompatible(ours.kind, theirs.kind)) return false
    switch (ours.kind) {
      case BTF_KIND.UNKN:
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
      case BTF_KIND.FWD:
        return true
      case BTF_KIND.INT:
        return arePlainIntegers(ours, theirs)
      case BTF_KIND.PTR:
        if (theirs.kind !== BTF_KIND.PTR) return false
        localId = ours.type
        targetId = theirs.type
        break
      case BTF_KIND.ARRAY:
        if (theirs.kind !== BTF_KIND.ARRAY) return false
        localId = ours.element
        targetId = theirs.element
        break
      case BTF_KIND.FUNC_PROTO: {
        if (theirs.kind !== BTF_KIND.FUNC_PROTO) return false
        if (ours.parameters.length !== theirs.parameters.length) return false
        if (ours.isVariadic !== theirs.isVariadic) return false
        if (level <= 0 && ours.parameters.length > 0) return undefined
        for (const [i, parameter] of ours.parameters.entries()) {
          const other = theirs.parameters[i] as (typeof theirs.parameters)[number]
          const [a, b] = [local.resolve(parameter.type), target.resolve(other.type)]
          const same = areTypesCompatible(local, a, target, b, level - 1)
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

/** Integers of any size and sign are alike, but not those that old compilers made into bit fields. */
const arePlainIntegers = (a: BtfType, b: BtfType): boolean =>
  a.kind === BTF_KIND.INT && b.kind === BTF_KIND.INT && a.bitOffset === 0 && b.bitOffset === 0
