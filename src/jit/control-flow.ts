/**
 * The control flow of one subprogram: its basic blocks in reverse postorder, their dominators, and its loops.
 *
 * A subprogram is what can be reached from its first slot, so that code which two of them share is compiled twice.
 * Blocks are named by their number in reverse postorder: the entry is 0, an edge to a number that is not greater
 * is a back edge, and where every back edge goes to a dominator of its source the graph is reducible.
 */
import type { DecodedProgram, Slot } from './program.ts'

export interface Block {
  readonly number: number
  readonly slots: readonly Slot[]
  readonly exit: BlockExit
  readonly predecessors: readonly number[]
  /** The closest block that is on every way here; -1 for the entry. */
  readonly dominator: number
  /** Whether a back edge comes here. */
  readonly isLoopHead: boolean
  /** Whether two or more forward edges come here. */
  readonly isMerge: boolean
}

/** How a block ends. */
export type BlockExit =
  /** By an instruction that leaves the subprogram or faults: the last of its slots. */
  | { readonly kind: 'none' }
  | { readonly kind: 'goto'; readonly to: number }
  /** By the conditional jump `slot`, or a `may_goto`. */
  | { readonly kind: 'branch'; readonly slot: Slot; readonly taken: number; readonly otherwise: number }

export interface ControlFlow {
  /** By number. */
  readonly blocks: readonly Block[]
  readonly isReducible: boolean
  /** For each block, the blocks that it dominates immediately, by number. */
  readonly dominated: readonly (readonly number[])[]
}

/** A block before it has a number. */
interface Draft {
  readonly slots: Slot[]
  readonly successors: readonly number[]
  readonly branch: Slot | undefined
}

export function controlFlowOf(program: DecodedProgram, entry: number): ControlFlow {
  const drafts = new Map<number, Draft>()
  const order = postorder(program, entry, drafts).reverse()
  const numberOf = new Map(order.map((pc, number) => [pc, number]))
  const numbered = (pc: number) => numberOf.get(pc) as number
  const successors = order.map((pc) => (drafts.get(pc) as Draft).successors.map(numbered))
  const predecessors: number[][] = order.map(() => [])
  for (const [number, targets] of successors.entries()) {
    for (const target of targets) predecessors[target]?.push(number)
  }
  const dominators = immediateDominators(predecessors)
  const dominates = (above: number, below: number) => {
    let at = below
    while (at > above) at = dominators[at] as number
    return at === above
  }
  let isReducible = true
  const blocks = order.map((pc, number): Block => {
    const draft = drafts.get(pc) as Draft
    const [first, second] = successors[number] as number[]
    const entering = predecessors[number] as number[]
    const back = entering.filter((from) => from >= number)
    if (!back.every((from) => dominates(number, from))) isReducible = false
    const exit: BlockExit =
      first === undefined
        ? { kind: 'none' }
        : second === undefined || draft.branch === undefined
          ? { kind: 'goto', to: first }
          : { kind: 'branch', slot: draft.branch, taken: second, otherwise: first }
    return {
      number,
      slots: draft.slots,
      exit,
      predecessors: entering,
      dominator: number === 0 ? -1 : (dominators[number] as number),
      isLoopHead: back.length > 0,
      isMerge: entering.length - back.length > 1,
    }
  })
  const dominated: number[][] = blocks.map(() => [])
  for (const { number, dominator } of blocks) if (dominator >= 0) dominated[dominator]?.push(number)
  return { blocks, isReducible, dominated }
}

/** The first slots of all reachable blocks in postorder; fills `drafts`. */
function postorder(program: DecodedProgram, entry: number, drafts: Map<number, Draft>): number[] {
  const done: number[] = []
  const leaders = program.targets
  drafts.set(entry, draftAt(program, entry, leaders))
  const stack = [{ pc: entry, next: 0 }]
  while (stack.length > 0) {
    const top = stack[stack.length - 1] as { pc: number; next: number }
    const { successors } = drafts.get(top.pc) as Draft
    // The taken target first: the fall-through then comes right after its block in reverse postorder.
    const successor = successors[successors.length - 1 - top.next++]
    if (successor === undefined) {
      done.push(top.pc)
      stack.pop()
    } else if (!drafts.has(successor)) {
      drafts.set(successor, draftAt(program, successor, leaders))
      stack.push({ pc: successor, next: 0 })
    }
  }
  return done
}

/** The block that begins at slot `start`; of a branch, the fall-through comes first. */
function draftAt({ slots }: DecodedProgram, start: number, leaders: ReadonlySet<number>): Draft {
  const taken: Slot[] = []
  for (let pc = start; ; ) {
    const slot = slots[pc] as Slot
    switch (slot.row?.kind) {
      case undefined:
      case 'exit':
        taken.push(slot)
        return { slots: taken, successors: [], branch: undefined }
      case 'goto':
        return { slots: taken, successors: [slot.target], branch: undefined }
      case 'jump':
      case 'may_goto':
        if (slot.target === slot.next && slot.row.kind === 'jump') {
          return { slots: taken, successors: [slot.next], branch: undefined }
        }
        return { slots: taken, successors: [slot.next, slot.target], branch: slot }
    }
    taken.push(slot)
    pc = slot.next
    if (leaders.has(pc)) return { slots: taken, successors: [pc], branch: undefined }
  }
}

/**
 * The immediate dominator of each block; the entry's is itself.
 *
 * Source: Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm" (2001).
 */
function immediateDominators(predecessors: readonly (readonly number[])[]): Int32Array {
  const dominators = new Int32Array(predecessors.length).fill(-1)
  dominators[0] = 0
  for (let changed = true; changed; ) {
    changed = false
    for (let number = 1; number < predecessors.length; number++) {
      let common = -1
      for (const from of predecessors[number] as readonly number[]) {
        if (dominators[from] === -1) continue
        common = common === -1 ? from : intersect(dominators, common, from)
      }
      if (dominators[number] === common) continue
      dominators[number] = common
      changed = true
    }
  }
  return dominators
}

function intersect(dominators: Int32Array, a: number, b: number): number {
  while (a !== b) {
    while (a > b) a = dominators[a] as number
    while (b > a) b = dominators[b] as number
  }
  return a
}
