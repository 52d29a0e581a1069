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

interface Candidates {
  readonly ids: number[]
  /** How often the table had grown when they were put in order. */
  growths: number
}

export class DedupState {
  readonly types: TypeTable
  /** What each type is the same as: itself, another, or one of the two above. */
  readonly canonical: Uint32Array
  stepsLeft = MAX_STEPS
  /** Canonical types by hash. */
  readonly #candidates = new Map<number, Candidates>()
  #candidateCount = 0
  #capacity = 0
  #growths = 0

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

  /** The first canonical type of this hash of which `isSame` holds. */
  findCandidate(hash: number, isSame: (candidate: number) => boolean): number | undefined {
    const ids = this.#inOrder(hash)?.ids ?? []
    for (let i = ids.length - 1; i >= 0 && this.stepsLeft > 0; i--) {
      this.stepsLeft--
      if (isSame(ids[i] as number)) return ids[i]
    }
    return undefined
  }

  /**
   * What is of one hash, to be tried from the end. The order matters where a declaration fits two definitions. The
   * newest comes first, but libbpf's table turns its chains around whenever it grows; this does so, too, so that both
   * choose the same.
   */
  #inOrder(hash: number): Candidates | undefined {
    const candidates = this.#candidates.get(hash)
    if (candidates === undefined) return undefined
    if ((this.#growths - candidates.growths) % 2 === 1) candidates.ids.reverse()
    candidates.growths = this.#growths
    return candidates
  }

  /** Notes what a type is the same as; one that is itself becomes a candidate for others. */
  settle(id: number, same: number, hash: number): void {
    this.canonical[id] = same
    if (same !== id) return
    if (Math.floor(((this.#candidateCount + 1) * 4) / 3) > this.#capacity) {
      this.#capacity = Math.max(4, this.#capacity * 2)
      this.#growths++
    }
    this.#candidateCount++
    const others = this.#inOrder(hash)
    if (others === undefined) this.#candidates.set(hash, { ids: [id], growths: this.#growths })
    else others.ids.push(id)
  }

  /** Settles a type as the same as the first candidate of which `isSame` holds, or as itself. */
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
