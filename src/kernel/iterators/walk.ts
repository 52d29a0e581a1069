/**
 * Walks of iterators: what there is to be shown, one after the other.
 *
 * A walk remembers how far it has come by a name of what is next (an id, an index, a key), never by the object: what has
 * ended in between is passed over.
 */
import type { SeqText } from '../../helpers/index.ts'
import type { KernelCore } from '../core.ts'
import type { MapObject } from '../map-object.ts'
import { StructView } from './struct-view.ts'

/** What of all that there is a link walks. */
export interface IteratorScope {
  readonly map?: MapObject
  /** One task; 0: all, or those of `pid`. */
  readonly tid?: number
  /** The threads of one process. */
  readonly pid?: number
}

export interface Walk extends Disposable {
  /** The program's arguments for what is next; undefined: there is nothing more. */
  current(): readonly bigint[] | undefined
  /** What was next has been shown. */
  advance(): void
  /** The arguments when all have been shown. */
  readonly atEnd: readonly bigint[]
}

/** Memory that a walk shows to its program; disposing gives it all back. */
export class WalkMemory implements Disposable {
  readonly core: KernelCore
  readonly #views: StructView[] = []
  readonly #blocks: number[] = []

  constructor(core: KernelCore) {
    this.core = core
  }

  struct(name: string): StructView | undefined {
    const types = this.core.kernelBtf?.types
    const view = types === undefined ? undefined : StructView.make(this.core.arena, types, name)
    if (view !== undefined) this.#views.push(view)
    return view
  }

  /** Offset; undefined: there is no memory. */
  block(sizeBytes: number, access: 'read' | 'write'): number | undefined {
    const offset = this.core.arena.allocate(sizeBytes, { access })
    if (offset !== undefined) this.#blocks.push(offset)
    return offset
  }

  [Symbol.dispose](): void {
    const [views, blocks] = [this.#views.splice(0), this.#blocks.splice(0)]
    this.core.grace.defer(() => {
      for (const view of views) view[Symbol.dispose]()
      for (const block of blocks) this.core.arena.free(block)
    })
  }
}

export type Seq = { readonly address: bigint; readonly text: SeqText }

/** A walk through objects in the order of their ids. */
export class IdWalk<T> implements Walk {
  readonly atEnd = [0n]
  #next = 0
  readonly #find: (id: number) => { readonly id: number; readonly object: T } | undefined
  readonly #show: (object: T) => bigint
  readonly #leave: (() => void) | undefined

  /** `find`: the first whose id is not below; `show`: its struct's address. */
  constructor(
    find: (id: number) => { readonly id: number; readonly object: T } | undefined,
    show: (object: T) => bigint,
    leave?: () => void,
  ) {
    this.#find = find
    this.#show = show
    this.#leave = leave
  }

  current(): readonly bigint[] | undefined {
    this.#leave?.()
    const found = this.#find(this.#next)
    if (found === undefined) return undefined
    this.#next = found.id
    return [this.#show(found.object)]
  }

  advance(): void {
    this.#next++
  }

  [Symbol.dispose](): void {
    this.#leave?.()
  }
}
