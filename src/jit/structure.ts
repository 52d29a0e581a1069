/**
 * Structured control flow from a graph of blocks.
 *
 * A block is placed inside its immediate dominator. One that two or more forward edges reach follows a WebAssembly
 * `block` whose end is its label; a loop head opens a `loop`; every other block stands where its only predecessor
 * goes to it. The code of a block never falls off its end. So that the nesting stays shallow however long a program
 * is, the last of a block's successors is not nested but follows in sequence.
 *
 * A graph that is not reducible becomes one loop over a `br_table`: right, and up to twice as slow.
 *
 * Source: Ramsey, "Beyond Relooper: Recursive Translation of Unstructured Control Flow to Structured Control Flow"
 * (2022).
 */
import {
  block,
  br,
  brIf,
  brTable,
  type Code,
  i32,
  type Label,
  type Local,
  label,
  loop,
  seq,
  unreachable,
  when,
} from '../wasm/index.ts'
import type { Block, ControlFlow } from './control-flow.ts'
import { type CountedLoop, copiesOf } from './counted-loop.ts'

/** What the structure asks of the translator of instructions. */
export interface BlockTranslator {
  /** The instructions of a block, without its exit; of an iteration of a counted loop, if it is one. */
  body(block: Block, iteration?: Iteration): Code
  /** How often the loop of one block that begins there runs, where that is known and of use. */
  counted(head: Block): CountedLoop | undefined
  /** A local that takes the low word of the counting register before a number of iterations. */
  countFrom(loop: CountedLoop): { readonly before: Code; readonly origin: Local<'i32'> }
  /** Whether the jump at the end of the block is taken. */
  condition(block: Block): Code<'i32'>
  /** What stands at the head of a loop: the budget. */
  loopHead(block: Block): Code
  /** A local for the number of the block that is next, where the graph is not reducible. */
  dispatchLocal(): Local<'i32'>
}

/** An iteration of a counted loop: how often it has run before, or how often since the register was taken down. */
export type Iteration =
  | { readonly loop: CountedLoop; readonly number: number }
  | {
      readonly loop: CountedLoop
      readonly origin: Local<'i32'>
      /** The first iteration that may begin with the register as it was taken down. */
      readonly first: number
      readonly since: number
    }

/** The code of the whole graph; it does not fall through, since every way out is an instruction of its own. */
export function structured(flow: ControlFlow, translator: BlockTranslator): Code {
  return flow.isReducible ? new Structure(flow, translator).tree(0) : dispatched(flow, translator)
}

class Structure {
  readonly #flow: ControlFlow
  readonly #translator: BlockTranslator
  readonly #labels = new Map<number, Label>()

  constructor(flow: ControlFlow, translator: BlockTranslator) {
    this.#flow = flow
    this.#translator = translator
  }

  /** The block and all that it dominates. */
  tree(number: number): Code {
    const out: Code[] = []
    // The block that follows in sequence; a loop ends the sequence, since it needs a label of its own.
    let next: number | undefined = number
    while (next !== undefined) {
      const block = this.#block(next)
      const counted =
        block.isLoopHead && this.#merges(block).length === 0 ? this.#translator.counted(block) : undefined
      if (counted !== undefined) {
        this.#repeat(counted, out)
        next = this.#go(next, counted.exit, out)
        continue
      }
      if (block.isLoopHead) {
        const at = label(`loop ${next}`)
        this.#labels.set(next, at)
        out.push(loop(at, seq(this.#translator.loopHead(block), this.#node(block))))
        return seq(...out, unreachable())
      }
      const last: number | undefined = this.#merges(block).at(-1)
      if (last !== undefined) out.push(this.#upToLastMerge(block))
      next = last ?? this.#leaf(block, out)
    }
    return seq(...out)
  }

  /** The iterations of a counted loop: the odd ones first, then as many at a time as are worth it. */
  #repeat(counted: CountedLoop, out: Code[]): void {
    const translator = this.#translator
    const { head, iterations } = counted
    const copies = copiesOf(counted)
    const odd = iterations % copies
    for (let number = 0; number < odd; number++) out.push(translator.body(head, { loop: counted, number }))
    const rounds = (iterations - odd) / copies
    if (rounds === 1) {
      for (let n = 0; n < copies; n++) out.push(translator.body(head, { loop: counted, number: odd + n }))
      return
    }
    const { before, origin } = translator.countFrom(counted)
    const at = label(`counted ${head.number}`)
    const inside: Code[] = [before]
    for (let since = 0; since < copies; since++) {
      inside.push(translator.body(head, { loop: counted, origin, first: odd, since }))
    }
    const { exit } = head
    const isTakenOut = exit.kind === 'branch' && exit.taken === counted.exit
    const condition = translator.condition(head)
    inside.push(brIf(at, isTakenOut ? i32.eqz(condition) : condition))
    out.push(loop(at, seq(...inside)))
  }

  /** A block, then the merge blocks that it dominates, each after a `block` that ends where it begins. */
  #node(block_: Block): Code {
    const last = this.#merges(block_).at(-1)
    const code = this.#upToLastMerge(block_)
    return last === undefined ? code : seq(code, this.tree(last))
  }

  /** The same without the last merge block, which follows in sequence: its code is not nested in anything. */
  #upToLastMerge(block_: Block): Code {
    const merges = this.#merges(block_)
    for (const merge of merges) this.#labels.set(merge, label(`block ${merge}`))
    const out: Code[] = []
    const next = this.#leaf(block_, out)
    if (next !== undefined) out.push(this.tree(next))
    let code = seq(...out)
    for (const [n, merge] of merges.entries()) {
      code = block(this.#labels.get(merge) as Label, code)
      if (n < merges.length - 1) code = seq(code, this.tree(merge))
    }
    return code
  }

  /** A block's instructions and its exit; the block that goes on in sequence, if there is one. */
  #leaf(block_: Block, out: Code[]): number | undefined {
    out.push(this.#translator.body(block_))
    const { exit, number } = block_
    switch (exit.kind) {
      case 'none':
        return undefined
      case 'goto':
        return this.#go(number, exit.to, out)
      case 'branch': {
        const condition = this.#translator.condition(block_)
        const takenLabel = this.#jumpLabel(number, exit.taken)
        if (takenLabel !== undefined) {
          out.push(brIf(takenLabel, condition))
          return this.#go(number, exit.otherwise, out)
        }
        const otherLabel = this.#jumpLabel(number, exit.otherwise)
        if (otherLabel !== undefined) {
          out.push(brIf(otherLabel, i32.eqz(condition)))
          return this.#go(number, exit.taken, out)
        }
        out.push(when(condition, this.tree(exit.taken)))
        return exit.otherwise
      }
    }
  }

  /** Goes to a block: by a jump, or by letting it follow. */
  #go(from: number, to: number, out: Code[]): number | undefined {
    const at = this.#jumpLabel(from, to)
    if (at === undefined) return to
    out.push(br(at))
    return undefined
  }

  /** The label of a block that is jumped to; undefined for one that stands where its predecessor goes to it. */
  #jumpLabel(from: number, to: number): Label | undefined {
    return to <= from || this.#block(to).isMerge ? (this.#labels.get(to) as Label) : undefined
  }

  /** The merge blocks whose immediate dominator this is, in the order in which they stand: innermost first. */
  #merges(block_: Block): number[] {
    const children = this.#flow.dominated[block_.number] as readonly number[]
    return children.filter((child) => this.#block(child).isMerge)
  }

  #block(number: number): Block {
    return this.#flow.blocks[number] as Block
  }
}

function dispatched({ blocks }: ControlFlow, translator: BlockTranslator): Code {
  const next = translator.dispatchLocal()
  const again = label('dispatch')
  const labels = blocks.map(({ number }) => label(`block ${number}`))
  const head = translator.loopHead(blocks[0] as Block)
  const goTo = (number: number) => seq(next.set(i32.const(number)), br(again))
  let code: Code = brTable(next.get, labels, labels[0] as Label)
  for (const each of blocks) {
    const { exit } = each
    // Before the condition, which goes on from where the instructions have left the registers.
    const body = translator.body(each)
    const leave =
      exit.kind === 'none'
        ? seq()
        : exit.kind === 'goto'
          ? goTo(exit.to)
          : seq(when(translator.condition(each), goTo(exit.taken)), goTo(exit.otherwise))
    code = seq(block(labels[each.number] as Label, code), body, leave)
  }
  return seq(next.set(i32.const(0)), loop(again, seq(head, code)), unreachable())
}
