/**
 * Deduplication: of types that several files have, one each is kept.
 *
 * Types that refer to no others come first, then structs with all that they lead to, then what refers to these; a
 * struct that is only declared becomes the one that is defined. The types that stay keep their order.
 *
 * Source: libbpf's documentation of btf__dedup, and https://nakryiko.com/posts/btf-dedup/.
 */
import type { BtfError } from '../error.ts'
import type { TypeTable } from '../type-table.ts'
import { settlePrimitives } from './primitives.ts'
import { settleReferences } from './references.ts'
import { DedupState } from './state.ts'
import { settleDeclarations, settleStructs } from './structs.ts'

/**
 * Deduplicates the types of a table, in which equal strings must have one offset. Returns the new id of each old one;
 * an error where types go in a circle without a struct.
 */
export function deduplicate(types: TypeTable): Uint32Array | BtfError {
  const state = new DedupState(types)
  settlePrimitives(state)
  settleStructs(state)
  settleDeclarations(state)
  const error = settleReferences(state)
  if (error !== undefined) return error

  const oldCount = types.count
  const newIds = new Uint32Array(oldCount)
  const kept: number[] = []
  for (let id = 1; id < oldCount; id++) {
    if (state.canonical[id] === id) newIds[id] = kept.push(id)
  }
  for (let id = 1; id < oldCount; id++) newIds[id] = newIds[state.resolve(id)] as number
  types.keep(kept)
  for (let id = 1; id < types.count; id++) {
    for (const n of types.typeWords(id)) types.setWord(id, n, newIds[types.word(id, n)] as number)
  }
  return newIds
}
