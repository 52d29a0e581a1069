/**
 * Whether two structs are the same with all that they refer to.
 *
 * Both graphs are walked side by side. Each type of the one that is known already ("ours") is assumed to be the same
 * as the type of the new one ("theirs") beside which it is met first; the graphs are the same where no assumption is
 * contradicted. A struct that one file only declares is the same as the one of its name that the other defines.
 */
import { BTF_KIND } from '../kinds.ts'
import type { TypeTable } from '../type-table.ts'
import { areEnumsCompatible } from './primitives.ts'
import type { DedupState } from './state.ts'

/** How deep structs are compared by value where a compiler gave two types for one. */
const MAX_IDENTICAL_DEPTH = 16

export class GraphComparison {
  readonly #state: DedupState
  readonly #types: TypeTable
  /** What each of our types is assumed to be the same as, in the order in which they were met. */
  readonly assumed = new Map<number, number>()

  constructor(state: DedupState) {
    this.#state = state
    this.#types = state.types
  }

  areSame(theirRoot: number, ourRoot: number): boolean {
    const pairs = [theirRoot, ourRoot]
    while (pairs.length > 0) {
      const ours = pairs.pop() as number
      const theirs = pairs.pop() as number
      if (this.#state.stepsLeft-- <= 0) return false
      if (!this.#arePairSame(theirs, ours, pairs)) return false
    }
    return true
  }

  /** Compares two types by themselves; what they refer to is put on `pairs`, the last of it first. */
  #arePairSame(theirs: number, ours: number, pairs: number[]): boolean {
    const state = this.#state
    const types = this.#types
    if (state.resolve(theirs) === state.resolve(ours)) return true
    ours = this.#definitionOf(ours)
    const before = this.assumed.get(ours)
    if (before !== undefined) {
      return (
        before === theirs ||
        this.#areArraysEqual(before, theirs) ||
        this.#areStructsIdentical(before, theirs, 0)
      )
    }
    this.assumed.set(ours, theirs)
    if (types.word(theirs, 0) !== types.word(ours, 0)) return false
    const kind = types.kind(theirs)
    const ourKind = types.kind(ours)
    if (kind !== ourKind) {
      if (kind === BTF_KIND.FWD) return declaredKind(types, theirs) === ourKind
      if (ourKind === BTF_KIND.FWD) return declaredKind(types, ours) === kind
      return false
    }
    switch (kind) {
      case BTF_KIND.INT:
      case BTF_KIND.FWD:
      case BTF_KIND.FLOAT:
        return types.areWordsEqual(theirs, ours)
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
        return areEnumsCompatible(types, theirs, ours)
      case BTF_KIND.PTR:
      case BTF_KIND.TYPEDEF:
      case BTF_KIND.VOLATILE:
      case BTF_KIND.CONST:
      case BTF_KIND.RESTRICT:
      case BTF_KIND.FUNC:
      case BTF_KIND.TYPE_TAG:
        if (types.word(theirs, 1) !== types.word(ours, 1)) return false
        break
      case BTF_KIND.ARRAY:
        if (!areEqualBut(types, theirs, ours, ARRAY_TYPES)) return false
        pairs.push(types.word(theirs, 3), types.word(ours, 3), types.word(theirs, 4), types.word(ours, 4))
        return true
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
        if (!areLayoutsEqual(types, theirs, ours)) return false
        break
      case BTF_KIND.FUNC_PROTO:
        if (!areEqualBut(types, theirs, ours, types.typeWords(ours))) return false
        break
      default:
        return false
    }
    const words = types.typeWords(ours)
    for (let i = words.length - 1; i >= 0; i--) {
      const n = words[i] as number
      pairs.push(types.word(theirs, n), types.word(ours, n))
    }
    return true
  }

  /** The struct that a declaration was found to be, or the type itself. */
  #definitionOf(id: number): number {
    if (this.#types.kind(id) !== BTF_KIND.FWD) return id
    const end = this.#state.resolve(id)
    return this.#types.kind(end) === BTF_KIND.FWD ? id : end
  }

  /** Compilers give one array several types within a file. */
  #areArraysEqual(a: number, b: number): boolean {
    const types = this.#types
    return types.kind(a) === BTF_KIND.ARRAY && types.kind(b) === BTF_KIND.ARRAY && types.areWordsEqual(a, b)
  }

  /** And structs, at times: the same to the ids of their members' types, or down through structs and arrays. */
  #areStructsIdentical(a: number, b: number, depth: number): boolean {
    const types = this.#types
    const kind = types.kind(a)
    if ((kind !== BTF_KIND.STRUCT && kind !== BTF_KIND.UNION) || kind !== types.kind(b)) return false
    if (depth > MAX_IDENTICAL_DEPTH || this.#state.stepsLeft-- <= 0 || !areLayoutsEqual(types, a, b))
      return false
    return types.typeWords(a).every((n) => {
      const [first, second] = [types.word(a, n), types.word(b, n)]
      return (
        first === second ||
        this.#areArraysEqual(first, second) ||
        this.#areStructsIdentical(first, second, depth + 1)
      )
    })
  }
}

const ARRAY_TYPES: readonly number[] = [3, 4]

/** What a declaration says that its type is. */
export const declaredKind = (types: TypeTable, forward: number): number =>
  types.flag(forward) ? BTF_KIND.UNION : BTF_KIND.STRUCT

/** Whether all words are equal but those of the given indexes, which rise. */
function areEqualBut(types: TypeTable, a: number, b: number, but: readonly number[]): boolean {
  const count = types.wordCount(a)
  if (types.word(a, 1) !== types.word(b, 1)) return false
  let skip = 0
  for (let n = 0; n < count; n++) {
    if (n === but[skip]) skip++
    else if (types.word(a, n) !== types.word(b, n)) return false
  }
  return true
}

/** Names, offsets and sizes of two structs, whatever the members' types. */
export const areLayoutsEqual = (types: TypeTable, a: number, b: number): boolean =>
  types.word(a, 1) === types.word(b, 1) && areEqualBut(types, a, b, types.typeWords(a))
