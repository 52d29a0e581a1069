/** First step: types that refer to no others, which are the same where their words are. */
import { BTF_KIND } from '../kinds.ts'
import type { TypeTable } from '../type-table.ts'
import { combine, type DedupState, hashWords } from './state.ts'

export function settlePrimitives(state: DedupState): void {
  const { types } = state
  for (let id = 1; id < types.count; id++) {
    switch (types.kind(id)) {
      case BTF_KIND.INT:
      case BTF_KIND.FWD:
      case BTF_KIND.FLOAT:
        state.settleBy(id, hashWords(types, id), (candidate) => types.areWordsEqual(id, candidate))
        break
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
        settleEnum(state, id)
        break
      // Nothing is the same as a variable or a section: each has a place of its own.
      case BTF_KIND.VAR:
      case BTF_KIND.DATASEC:
        state.canonical[id] = id
        break
    }
  }
}

/** An enum that is only declared is the same as one of its name that is defined, whichever comes first. */
function settleEnum(state: DedupState, id: number): void {
  const { types } = state
  const hash = combine(0, types.word(id, 0))
  const same = state.findCandidate(hash, (candidate) => {
    if (types.areWordsEqual(id, candidate)) return true
    if (!areEnumsCompatible(types, id, candidate)) return false
    if (types.vlen(id) === 0) return true
    state.canonical[candidate] = id
    return false
  })
  state.settle(id, same ?? id, hash)
}

const isEnum = (types: TypeTable, id: number): boolean =>
  types.kind(id) === BTF_KIND.ENUM || types.kind(id) === BTF_KIND.ENUM64

/** Equal, or of one name and at least one of them only declared. */
export function areEnumsCompatible(types: TypeTable, a: number, b: number): boolean {
  if (!isEnum(types, a) || !isEnum(types, b)) return false
  if (types.vlen(a) !== 0 && types.vlen(b) !== 0) return types.areWordsEqual(a, b)
  return types.word(a, 0) === types.word(b, 0)
}
