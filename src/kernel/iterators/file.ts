/**
 * What reading an iterator gives: the text that its program writes, for one object after the other.
 *
 * Rules
 * - The text of an object comes whole or not at all: what does not fit is written again on the next read, and where even
 *   one object's text is more than there is room for, -E2BIG.
 * - A program that returns 1 is asked again about the same object, on the next read: -EAGAIN if it was the first.
 * - After the last object the program is run once more, without one; what it writes is the end of the text.
 *
 * Source: bpf_seq_read() of kernel/bpf/bpf_iter.c of Linux.
 */
import { E2BIG, EAGAIN, EFAULT, ENOMEM } from '../../abi/index.ts'
import { SeqText } from '../../helpers/index.ts'
import type { KernelCore } from '../core.ts'
import { OpenFile } from '../open-file.ts'
import type { ProgramObject } from '../program-object.ts'
import type { StructView } from './struct-view.ts'
import type { IteratorTarget } from './targets.ts'
import { type IteratorScope, type Walk, WalkMemory } from './walk.ts'

const WORD_BYTES = 8
/** What one read looks at before it gives up for the time being. */
const MOST_OBJECTS = 1_000_000

/** What a walk is of: kept for as long as the file is open. */
export interface WalkOrigin {
  readonly core: KernelCore
  readonly program: ProgramObject
  readonly target: IteratorTarget
  readonly scope: IteratorScope
}

export class IteratorFile extends OpenFile {
  readonly #origin: WalkOrigin
  readonly #memory: WalkMemory
  readonly #walk: Walk
  readonly #text = new SeqText()
  readonly #seq: StructView
  readonly #meta: StructView
  readonly #context: number
  readonly #session: bigint
  #number = 0n
  /** Bytes of the text that have been read. */
  #from = 0
  #isDone = false

  private constructor(
    origin: WalkOrigin,
    memory: WalkMemory,
    walk: Walk,
    parts: [StructView, StructView, number],
  ) {
    super()
    this.#origin = origin
    this.#memory = memory
    this.#walk = walk
    ;[this.#seq, this.#meta, this.#context] = parts
    this.#session = origin.core.nextIteratorSession()
    origin.program.get()
    origin.scope.map?.takeUserReference()
  }

  /** The file, with one reference, or -errno. */
  static open(origin: WalkOrigin): IteratorFile | number {
    const memory = new WalkMemory(origin.core)
    const walk = origin.target.open(memory, origin.scope)
    const [seq, meta] = [memory.struct('seq_file'), memory.struct('bpf_iter_meta')]
    const words = 1 + (walk?.atEnd.length ?? 0)
    const context = memory.block(words * WORD_BYTES, 'read')
    if (walk === undefined || seq === undefined || meta === undefined || context === undefined) {
      walk?.[Symbol.dispose]()
      memory[Symbol.dispose]()
      return -ENOMEM
    }
    return new IteratorFile(origin, memory, walk, [seq, meta, context])
  }

  override read(length: number): Uint8Array | number {
    if (this.#from === this.#text.count) {
      const error = this.#fill(length)
      if (error !== 0) return error
    }
    const bytes = this.#text.read(this.#from, length)
    this.#from += bytes.length
    return bytes
  }

  /** Text of at least `length` bytes, if there is as much; 0 or -errno. */
  #fill(length: number): number {
    this.#text.truncate(0)
    this.#from = 0
    for (let shown = 0; ; shown++) {
      const words = this.#walk.current()
      if (words === undefined) return this.#finish()
      const before = this.#text.count
      if (shown > 0 && before >= length) return 0
      if (shown >= MOST_OBJECTS) return before === 0 ? -EAGAIN : 0
      const error = this.#show(words)
      if (error !== 0 || this.#text.hasOverflowed) {
        this.#text.truncate(before)
        if (shown > 0 && before > 0) return 0
        return error !== 0 ? error : -E2BIG
      }
      this.#walk.advance()
      this.#number++
    }
  }

  /** The program's last words, once. */
  #finish(): number {
    if (this.#isDone) return 0
    const before = this.#text.count
    if (this.#number > 0n) this.#number--
    this.#show(this.#walk.atEnd)
    if (!this.#text.hasOverflowed) {
      this.#isDone = true
      return 0
    }
    this.#number++
    this.#text.truncate(before)
    return before === 0 ? -E2BIG : 0
  }

  /** 0 or -errno. */
  #show(words: readonly bigint[]): number {
    const { core, program } = this.#origin
    this.#meta.set({ seq: this.#seq.address, session_id: this.#session, seq_num: this.#number })
    const { view } = core.arena
    for (const [i, word] of [this.#meta.address, ...words].entries()) {
      view.setBigUint64(this.#context + i * WORD_BYTES, word, true)
    }
    const result = core.runner.run(program, {
      cpu: 0,
      context: core.arena.address(this.#context),
      seq: { address: this.#seq.address, text: this.#text },
    })
    if (result === undefined) return -EFAULT
    return BigInt.asUintN(32, result) === 0n ? 0 : -EAGAIN
  }

  protected end(): void {
    this.#walk[Symbol.dispose]()
    this.#memory[Symbol.dispose]()
    this.#origin.program.put()
    this.#origin.scope.map?.putUserReference()
  }
}
