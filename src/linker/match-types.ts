/**
 * Whether two files mean the same by a name: their functions' prototypes, or their variables' types, agree.
 *
 * Qualifiers, typedefs, the lengths of arrays, names of parameters and the signs of integers may differ. Behind a
 * pointer only names and kinds must agree, so that one file may just declare what another defines.
 *
 * Source: libbpf's documentation of bpf_linker, and bpftool-gen(8).
 */
import { BTF_KIND, BTF_KIND_NAMES, BTF_LINKAGE, type TypeTable } from '../btf/index.ts'

const MAX_DEPTH = 64
const MAX_STEPS = 100_000
const TOO_DEEP = 'types nested too deeply to compare'

/** A type in its table. */
export interface Typed {
  readonly types: TypeTable
  readonly id: number
}

/** Why two types do not agree, or `undefined` where they do. */
export function whyTypesDiffer(a: Typed, b: Typed): string | undefined {
  return new TypeMatch(a.types, b.types).why(a.id, b.id, true, 0)
}

/** Past typedefs, qualifiers and type tags; a chain that does not end gives one of its members. */
export function skipModifiers(types: TypeTable, id: number): number {
  for (let step = 0; step < MAX_DEPTH; step++) {
    switch (types.kind(id)) {
      case BTF_KIND.TYPEDEF:
      case BTF_KIND.CONST:
      case BTF_KIND.VOLATILE:
      case BTF_KIND.RESTRICT:
      case BTF_KIND.TYPE_TAG:
        id = types.word(id, 2)
        break
      default:
        return id
    }
  }
  return id
}

const kindName = (types: TypeTable, id: number): string => {
  const kind = types.kind(id)
  return kind === BTF_KIND.UNKN ? 'void' : (BTF_KIND_NAMES[kind] ?? '').toLowerCase()
}

class TypeMatch {
  readonly #a: TypeTable
  readonly #b: TypeTable
  #steps = 0

  constructor(a: TypeTable, b: TypeTable) {
    this.#a = a
    this.#b = b
  }

  why(idA: number, idB: number, isExact: boolean, depth: number): string | undefined {
    if (depth > MAX_DEPTH || this.#steps++ > MAX_STEPS) return TOO_DEEP
    const [left, right] = [this.#a, this.#b]
    const a = skipModifiers(left, idA)
    const b = skipModifiers(right, idB)
    const kind = left.kind(a)
    const isForward = kind === BTF_KIND.FWD
    if (!isExact && isForward !== (right.kind(b) === BTF_KIND.FWD)) {
      return isForward ? whyNotDeclared(left, a, right, b) : whyNotDeclared(right, b, left, a)
    }
    if (kind !== right.kind(b)) return `${kindName(left, a)} and ${kindName(right, b)}`
    const next = (n: number, exact = isExact) => this.why(left.word(a, n), right.word(b, n), exact, depth + 1)
    const name = left.name(a)
    switch (kind) {
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
      case BTF_KIND.FWD:
      case BTF_KIND.FUNC:
      case BTF_KIND.VAR:
        if (name !== right.name(b)) return `${kindName(left, a)} '${name}' and '${right.name(b)}'`
    }
    switch (kind) {
      case BTF_KIND.UNKN:
      case BTF_KIND.FWD:
        return undefined
      case BTF_KIND.INT:
      case BTF_KIND.FLOAT:
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64: {
        const sizes = [left.word(a, 2), right.word(b, 2)]
        return sizes[0] === sizes[1] ? undefined : `${kindName(left, a)} of ${sizes.join(' and ')} bytes`
      }
      case BTF_KIND.PTR:
        return next(2, false)
      case BTF_KIND.ARRAY:
        return next(3)
      case BTF_KIND.FUNC:
      case BTF_KIND.VAR:
        return isStatic(left, a) === isStatic(right, b) ? next(2) : 'a static one and one that is not'
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
        return isExact ? this.#whyMembersDiffer(a, b, next) : undefined
      case BTF_KIND.FUNC_PROTO: {
        const [countA, countB] = [left.vlen(a), right.vlen(b)]
        if (countA !== countB) return `${countA} and ${countB} parameters`
        for (let i = 0; i < countA; i++) {
          const difference = next(4 + 2 * i)
          if (difference !== undefined) return `parameter ${i + 1}: ${difference}`
        }
        const difference = next(2)
        return difference === undefined ? undefined : `result: ${difference}`
      }
      default:
        return TOO_DEEP
    }
  }

  #whyMembersDiffer(a: number, b: number, next: (n: number) => string | undefined): string | undefined {
    const [left, right] = [this.#a, this.#b]
    const of = `${kindName(left, a)} '${left.name(a)}'`
    const [countA, countB] = [left.vlen(a), right.vlen(b)]
    if (countA !== countB) return `${of} of ${countA} and ${countB} members`
    for (let i = 0, n = 3; i < countA; i++, n += 3) {
      const name = left.text(a, n)
      if (name !== right.text(b, n)) return `${of} with members '${name}' and '${right.text(b, n)}'`
      if (left.word(a, n + 2) !== right.word(b, n + 2)) return `${of} with member '${name}' at other places`
      const difference = next(n + 1)
      if (difference !== undefined) return `${of}, member '${name}': ${difference}`
    }
    return undefined
  }
}

function whyNotDeclared(
  types: TypeTable,
  forward: number,
  others: TypeTable,
  other: number,
): string | undefined {
  const [name, otherName] = [types.name(forward), others.name(other)]
  if (name !== otherName) return `declared '${name}' and '${otherName}'`
  const kind = types.flag(forward) ? BTF_KIND.UNION : BTF_KIND.STRUCT
  if (others.kind(other) === kind) return undefined
  return `declared ${(BTF_KIND_NAMES[kind] as string).toLowerCase()} '${name}' and ${kindName(others, other)}`
}

const isStatic = (types: TypeTable, id: number): boolean =>
  (types.kind(id) === BTF_KIND.VAR ? types.word(id, 3) : types.vlen(id)) === BTF_LINKAGE.STATIC
