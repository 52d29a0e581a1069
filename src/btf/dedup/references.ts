/**
 * Third step: types that refer to others (pointers, arrays, prototypes, ...). What they refer to is settled first and
 * written into their words; then they are the same where their words are.
 */
import { BtfError } from '../error.ts'
import { type DedupState, hashWords, ON_THE_WAY, UNKNOWN } from './state.ts'

export function settleReferences(state: DedupState): BtfError | undefined {
  for (let id = 1; id < state.types.count; id++) {
    const error = settleReference(state, id)
    if (error !== undefined) return error
  }
  return undefined
}

/** A type whose references are settled from the first on. */
interface Step {
  readonly id: number
  readonly words: readonly number[]
  next: number
}

function settleReference(state: DedupState, root: number): BtfError | undefined {
  const { types, canonical } = state
  if (state.isKnown(root)) return undefined
  const begin = (id: number): Step => {
    canonical[id] = ON_THE_WAY
    return { id, words: types.typeWords(id), next: 0 }
  }
  const steps = [begin(root)]
  for (let step = steps[0]; step !== undefined; step = steps.at(-1)) {
    const { id } = step
    const n = step.words[step.next]
    if (n === undefined) {
      state.settleBy(id, hashWords(types, id), (candidate) => types.areWordsEqual(id, candidate))
      steps.pop()
      continue
    }
    const target = types.word(id, n)
    if (canonical[target] === UNKNOWN) {
      steps.push(begin(target))
    } else if (canonical[target] === ON_THE_WAY) {
      const place = { section: '.BTF', offset: 0, typeId: id }
      return new BtfError('bad-type', place, 'no cycle of types but through a struct', `type ${target} again`)
    } else {
      types.setWord(id, n, state.resolve(target))
      step.next++
    }
  }
  return undefined
}
