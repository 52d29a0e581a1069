/** What deduplication knows while it runs. */
import type { TypeTable } from '../type-table.ts'

/** In `canonical`: nothing is known of the type yet. */
export const UNKNOWN = 0xffff_ffff
/** In `canonical`: the type is on the way; to meet it again is a cycle that C cannot make. */
export const ON_THE_WAY = 0xffff_fffe

/**
 * Steps that comparisons may take in all. Objects take thousands; input that is made to take longer
 * keeps its duplicates.
 */
const MAX_STEPS = 4_000_000

export class DedupState {
  readonly types: TypeTable
  /** What each type is the same as: itself, another, or one of the two above. */
  readonly canonical: Uint32Array
  stepsLeft = MAX_STEPS
  /** Canonical types by hash, the oldest first. */
  readonly #candidates = new Map<number, number[]>()

  constructor(types: TypeTable) {
    this.types = types
    this.canonical = new Uint32Array(types.count).fill(UNKNOWN)
    this.canonical[0] = 0
  }

  isKnown(id: number): boolean {
    return (this.canonical[id] as number) < ON_THE_WAY
  }

  /** What a type is in the end the same as, as far as that is known. */
  resolve(id: number): number {
    for (let left = this.types.count; left > 0 && this.isKnown(id); left--) {
      const next = this.canonical[id] as number
      if (next === id) return id
      id = next
    }
    return id
  }

  /** The newest canonical type of this hash of which `isSame` holds. */
  findCandidate(hash: number, isSame: (candidate: number) => boolean): number | undefined {
    const candidates = this.#candidates.get(hash) ?? []
    for (let i = candidates.length - 1; i >= 0 && this.stepsLeft > 0; i--) {
      this.stepsLeft--
      if (isSame(candidates[i] as number)) return candidates[i]
    }
    return undefined
  }

  /** Notes what a type is the same as; one that is itself becomes a candidate for others. */
  settle(id: number, same: number, hash: number): void {
    this.canonical[id] = same
    if (same !== id) return
    const others = this.#candidates.get(hash)
    if (others === undefined) this.#candidates.set(hash, [id])
    else others.push(id)
  }

  /** Settles a type as the same as the newest candidate of which `isSame` holds, or as itself. */
  settleBy(id: number, hash: number, isSame: (candidate: number) => boolean): void {
    this.settle(id, this.findCandidate(hash, isSame) ?? id, hash)
  }
}

/** Hash of all words of a type. */
export function hashWords(types: TypeTable, id: number): number {
  let hash = 0
  for (let n = 0, count = types.wordCount(id); n < count; n++) hash = combine(hash, types.word(id, n))
  return hash
}

export const combine = (hash: number, word: number): number => (Math.imul(hash, 31) + word) | 0
