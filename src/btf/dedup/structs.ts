/** Second step: structs and unions, by their graphs; then declarations of those whose name is theirs alone. */
import { BTF_KIND } from '../kinds.ts'
import type { TypeTable } from '../type-table.ts'
import { areLayoutsEqual, declaredKind, GraphComparison } from './graph.ts'
import { combine, type DedupState } from './state.ts'

const isStruct = (types: TypeTable, id: number): boolean =>
  types.kind(id) === BTF_KIND.STRUCT || types.kind(id) === BTF_KIND.UNION

export function settleStructs(state: DedupState): void {
  for (let id = 1; id < state.types.count; id++) {
    if (isStruct(state.types, id) && !state.isKnown(id)) settleStruct(state, id)
  }
}

function settleStruct(state: DedupState, id: number): void {
  state.settleBy(id, hashLayout(state.types, id), (candidate) => {
    if (!areLayoutsEqual(state.types, id, candidate)) return false
    const comparison = new GraphComparison(state)
    if (!comparison.areSame(id, candidate)) return false
    keepAssumptions(state, comparison.assumed)
    return true
  })
}

/** Of graphs that are the same, declarations become what the other side has, and structs what is settled there. */
function keepAssumptions(state: DedupState, assumed: ReadonlyMap<number, number>): void {
  const { types, canonical } = state
  for (const [one, other] of assumed) {
    const theirs = state.resolve(other)
    const ours = state.resolve(one)
    const isTheirsDeclared = types.kind(theirs) === BTF_KIND.FWD
    if (types.kind(ours) === BTF_KIND.FWD) {
      if (!isTheirsDeclared) canonical[ours] = theirs
    } else if (
      isTheirsDeclared ||
      (isStruct(types, theirs) && state.isKnown(ours) && !state.isKnown(theirs))
    ) {
      canonical[theirs] = ours
    }
  }
}

/** Of everything but the members' types, which are not settled yet. */
function hashLayout(types: TypeTable, id: number): number {
  let hash = combine(combine(combine(0, types.word(id, 0)), types.word(id, 1)), types.word(id, 2))
  for (let n = 3, count = types.wordCount(id); n < count; n += 3) {
    hash = combine(combine(hash, types.word(id, n)), types.word(id, n + 2))
  }
  return hash
}

/** A declaration is the struct or union of its name, where there is one such type. */
export function settleDeclarations(state: DedupState): void {
  const { types, canonical } = state
  const byName = new Map<number, number>()
  for (let id = 1; id < types.count; id++) {
    if (!isStruct(types, id) || canonical[id] !== id) continue
    const name = types.word(id, 0)
    byName.set(name, byName.has(name) ? 0 : id)
  }
  for (let id = 1; id < types.count; id++) {
    if (types.kind(id) !== BTF_KIND.FWD || canonical[id] !== id) continue
    const found = byName.get(types.word(id, 0)) ?? 0
    if (found !== 0 && types.kind(found) === declaredKind(types, id)) canonical[id] = found
  }
}
