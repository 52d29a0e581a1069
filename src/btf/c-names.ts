/** Types written as C: names, declarations, prototypes. */
import type { Btf } from './btf.ts'
import { BTF_KIND } from './kinds.ts'
import type { BtfId, BtfPrototype } from './types.ts'

/** Declarators nest a handful deep in real code; cycles and trees of hostile types end here. */
const MAX_DEPTH = 32
const MAX_PARTS = 2000

/** What is left of the work that one name may take. */
interface Budget {
  parts: number
}

/** The type's name as C would write it without a variable: `const struct task *`, `int (*)(void)`, `u8[16]`. */
export const cName = (btf: Btf, id: BtfId): string => cDeclaration(btf, id, '')

/** A declaration of `name` with this type: `int (*handler)(struct trap *)`, `char comm[16]`. */
export const cDeclaration = (btf: Btf, id: BtfId, name: string): string =>
  declare(btf, id, name, 0, { parts: MAX_PARTS })

/** The prototype of the function called `name`: its FUNC's type. */
export function findPrototype(btf: Btf, name: string): BtfPrototype | undefined {
  const id = btf.find(name, BTF_KIND.FUNC)
  return id === undefined ? undefined : prototypeOf(btf, id)
}

/** The prototype of a FUNC, or of a FUNC_PROTO itself. */
export function prototypeOf(btf: Btf, id: BtfId): BtfPrototype | undefined {
  const type = btf.typeById(id)
  if (type.kind === BTF_KIND.FUNC_PROTO) return type
  if (type.kind !== BTF_KIND.FUNC) return undefined
  const prototype = btf.typeById(type.type)
  return prototype.kind === BTF_KIND.FUNC_PROTO ? prototype : undefined
}

/**
 * C declarators read from the name outwards, so the declarator grows around `inner` while the type is followed
 * inwards: a pointer goes in front, an array or parameter list behind, with parentheses where a pointer meets one.
 */
function declare(btf: Btf, id: BtfId, inner: string, depth: number, budget: Budget): string {
  if (depth > MAX_DEPTH || budget.parts-- <= 0) return `...${spaced(inner)}`
  const type = btf.typeById(id)
  switch (type.kind) {
    case BTF_KIND.STRUCT:
      return `struct ${type.name || '{...}'}${spaced(inner)}`
    case BTF_KIND.UNION:
      return `union ${type.name || '{...}'}${spaced(inner)}`
    case BTF_KIND.ENUM:
    case BTF_KIND.ENUM64:
      return `enum ${type.name || '{...}'}${spaced(inner)}`
    case BTF_KIND.FWD:
      return `${type.isUnion ? 'union' : 'struct'} ${type.name}${spaced(inner)}`
    case BTF_KIND.PTR: {
      const target = btf.kindOf(type.type)
      const wraps = target === BTF_KIND.ARRAY || target === BTF_KIND.FUNC_PROTO
      return declare(btf, type.type, wraps ? `(*${inner})` : `*${inner}`, depth + 1, budget)
    }
    case BTF_KIND.CONST:
    case BTF_KIND.VOLATILE:
    case BTF_KIND.RESTRICT: {
      const word = QUALIFIERS[type.kind]
      // A qualifier of a pointer stands behind its star, of anything else in front.
      if (btf.kindOf(type.type) === BTF_KIND.PTR)
        return declare(btf, type.type, ` ${word}${spaced(inner)}`, depth + 1, budget)
      return `${word} ${declare(btf, type.type, inner, depth + 1, budget)}`
    }
    case BTF_KIND.TYPE_TAG:
      return declare(btf, type.type, inner, depth + 1, budget)
    case BTF_KIND.ARRAY:
      return declare(btf, type.element, `${inner}[${type.count === 0 ? '' : type.count}]`, depth + 1, budget)
    case BTF_KIND.FUNC:
      return declare(btf, type.type, inner || type.name, depth + 1, budget)
    case BTF_KIND.FUNC_PROTO: {
      const parameters = type.parameters.map((one) => declare(btf, one.type, one.name, depth + 1, budget))
      if (type.isVariadic) parameters.push('...')
      return declare(btf, type.returns, `${inner}(${parameters.join(', ') || 'void'})`, depth + 1, budget)
    }
    case BTF_KIND.VAR:
      return declare(btf, type.type, inner || type.name, depth + 1, budget)
    case BTF_KIND.INT:
    case BTF_KIND.FLOAT:
    case BTF_KIND.TYPEDEF:
    case BTF_KIND.DATASEC:
    case BTF_KIND.DECL_TAG:
    case BTF_KIND.UNKN:
      return `${type.name}${spaced(inner)}`
    default: {
      const unreachable: never = type
      throw new Error(`no C for ${JSON.stringify(unreachable)}`)
    }
  }
}

const QUALIFIERS = {
  [BTF_KIND.CONST]: 'const',
  [BTF_KIND.VOLATILE]: 'volatile',
  [BTF_KIND.RESTRICT]: 'restrict',
} as const

const spaced = (inner: string): string =>
  inner === '' || inner.startsWith('[') || inner.startsWith(' ') ? inner : ` ${inner}`
