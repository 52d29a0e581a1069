/**
 * Which paths still have to be walked, and which need not be.
 *
 * At a prune point the current state is compared with the saved ones: if one covers it, the path ends here. Otherwise
 * it may be saved in turn. A saved state counts as proven once all paths from it ended (`branches` is 0); in a loop,
 * a state may be matched with one that is still open, and precision marks are then carried around the loop when the
 * whole loop has been walked.
 *
 * Source: is_state_visited, update_branch_counts, push_stack, pop_stack, propagate_backedges of Linux 6.18.
 */

import { BASE, BYTE } from '../domain/kinds.ts'
import type { Register } from '../domain/register.ts'
import { type BackEdge, BRANCH_LIMIT, type LoopVisit, type PendingBranch, type Proof } from '../proof.ts'
import { E2BIG, EINVAL } from '../refusal.ts'
import { covers, frameInstruction, iteratorDepthsDiffer, mayBeLooping } from '../state/equal.ts'
import { inheritPrecision, markAllImprecise, markAllPrecise, note } from '../state/precision.ts'
import { EMPTY_REGISTER, EMPTY_SLOT, type Frame, type State } from '../state/state.ts'
import { isMayGoto } from './graph.ts'

/**
 * Where states saved at an instruction are kept. Linux's hash, collisions and all: the number of states looked at is
 * part of its log.
 */
export const bucketOf = (p: Proof, state: State, instruction: number): number =>
  ((instruction ^ state.current.callsite) >>> 0) % p.length

/** As many states as are held in memory at once. */
function countPeak(p: Proof): void {
  const held = p.exploredCount + p.evictedCount + p.backEdgeCount
  if (held > p.peakStates) p.peakStates = held
}

function sameCallsites(a: State, b: State): boolean {
  if (a.frames.length !== b.frames.length) return false
  for (let f = 0; f < a.frames.length; f++) {
    if ((a.frames[f] as Frame).callsite !== (b.frames[f] as Frame).callsite) return false
  }
  return true
}

/** The loop that `state` is in, with the calls that led there; undefined outside of loops. */
function loopKey(p: Proof, state: State): string | undefined {
  const { component, callsCallback } = p.notes
  for (let f = 0; f < state.frames.length; f++) {
    const at = frameInstruction(state, f)
    const number = component[at] as number
    // A helper that calls back goes round as a loop does. (Linux cuts later rounds at states whose marks are not final.)
    if (number === 0 && callsCallback[at] !== 1) continue
    const loop = number !== 0 ? `${number}` : `@${at}`
    if (f === 0) return loop
    const calls = state.frames.slice(1, f + 1).map(({ callsite }) => callsite)
    return `${calls.join()},${loop}`
  }
  return undefined
}

/** The loop that `state` is in, if it has open back edges: marks in `state` may still grow. */
function unfinishedLoop(p: Proof, state: State): string | undefined {
  // Asked of every state that is looked at: most programs have no back edge open.
  if (p.backEdgeCount === 0) return undefined
  const key = loopKey(p, state)
  if (key === undefined) return undefined
  return (p.loops.get(key)?.backEdges.length ?? 0) > 0 ? key : undefined
}

const isUnfinished = (p: Proof, state: State): boolean => unfinishedLoop(p, state) !== undefined

const isCallbackLoop = (key: string): boolean => key.includes('@')

/** After so many rounds of a loop it goes by ranges, as other loops do: a guard against walking on and on, not a measured optimum. */
const MAX_RESUMPTIONS = 8

/**
 * In loops of callbacks, paths end at states whose marks are not final, and are taken up again if the final ones say so.
 * Linux 6.18 ends them without a second look. The loops of the control flow graph go by ranges at once, as in Linux.
 */
const endsProvisionally = (p: Proof, key: string): boolean =>
  isCallbackLoop(key) && (p.loops.get(key) as LoopVisit).resumptions < MAX_RESUMPTIONS

function logLoop(p: Proof, what: string, key: string): void {
  // Loops around a helper's callback are no loops to Linux.
  if ((p.log.level & 2) !== 0 && !isCallbackLoop(key)) p.say(`SCC ${what} (${key})\n`)
}

function enterLoop(p: Proof, state: State): void {
  const key = loopKey(p, state)
  if (key === undefined) return
  let visit = p.loops.get(key)
  if (visit === undefined) {
    visit = { entry: undefined, backEdges: [], resumptions: 0 }
    p.loops.set(key, visit)
  }
  if (visit.entry !== undefined) return
  visit.entry = state
  logLoop(p, 'enter', key)
}

const MAX_ROUNDS = 64

function carryMarksAround(p: Proof, visit: LoopVisit): void {
  for (let round = 0; ; round++) {
    if (round > MAX_ROUNDS) {
      if ((p.log.level & 2) !== 0) p.say('propagate_backedges: too many iterations\n')
      for (const { covered } of visit.backEdges) markAllPrecise(p, covered)
      break
    }
    let changed = false
    // Newest first, as Linux does.
    for (const { covering, covered } of visit.backEdges.toReversed()) {
      if (inheritPrecision(p, covering, covered)) changed = true
    }
    if (!changed) break
  }
}

/** A path that ended is open again: so are the states it came from. */
function reopen(state: State | undefined): void {
  for (let open = state; open !== undefined; open = open.parent) {
    open.branches++
    if (open.branches > 1) break
  }
}

/** Takes up the paths again that final marks show not to have been covered; true if there were any. */
function resumeUncovered(p: Proof, visit: LoopVisit): boolean {
  const isUncovered = (edge: BackEdge) =>
    edge.isProvisional && !covers(p, edge.covering, edge.covered, 'precise values only')
  const uncovered = visit.backEdges.filter(isUncovered)
  if (uncovered.length === 0) return false
  visit.backEdges = visit.backEdges.filter((edge) => !uncovered.includes(edge))
  visit.resumptions++
  for (const { covered, history, previous } of uncovered) {
    covered.history = history
    p.observer?.uncovers(covered)
    queue(p, { state: covered, instruction: covered.instruction, previous, logPosition: p.log.position })
    reopen(covered.parent)
  }
  return true
}

function leaveLoop(p: Proof, state: State): void {
  if (p.loops.size === 0) return
  const key = loopKey(p, state)
  if (key === undefined) return
  const visit = p.loops.get(key)
  if (visit === undefined || visit.entry !== state) return
  logLoop(p, 'exit', key)
  const before = visit.backEdges.length
  carryMarksAround(p, visit)
  if (!resumeUncovered(p, visit)) {
    visit.entry = undefined
    visit.backEdges = []
    visit.resumptions = 0
  }
  p.backEdgeCount += visit.backEdges.length - before
}

/** An evicted state is kept for as long as paths lead on from it, or its marks may grow. */
function releaseEvicted(p: Proof, state: State): void {
  if (!state.isEvicted || state.branches > 0 || isUnfinished(p, state)) return
  state.isEvicted = false
  p.evictedCount--
}

/** A path ended: its state and those it came from have one open branch less. */
export function endPath(p: Proof, ended: State): void {
  let state: State | undefined = ended
  while (state !== undefined) {
    state.branches--
    if (state.branches > 0) break
    leaveLoop(p, state)
    if (state.branches > 0) break
    releaseEvicted(p, state)
    state = state.parent
  }
}

/** Queues a copy of the current state to be walked later from `instruction`. */
export function pushBranch(p: Proof, instruction: number, previous: number): State {
  const copy = p.state.copy()
  pushState(p, copy, instruction, previous)
  return copy
}

export function pushState(p: Proof, state: State, instruction: number, previous: number): void {
  queue(p, { state, instruction, previous, logPosition: p.log.position })
  if (state.parent !== undefined) state.parent.branches++
  p.observer?.queues(state)
}

function queue(p: Proof, branch: PendingBranch): void {
  p.pending.push(branch)
  if (p.pending.length > BRANCH_LIMIT) {
    throw p.refuse(E2BIG, `The sequence of ${p.pending.length} jumps is too complex.`)
  }
}

/** Goes on with the branch that was queued last; false: none is left. */
export function popBranch(p: Proof): boolean {
  const next = p.pending.pop()
  if (next === undefined) return false
  p.state = next.state
  p.index = next.instruction
  p.previous = next.previous
  p.observer?.resumes(next.state)
  if ((p.log.level & 2) === 0) p.log.rewind(next.logPosition)
  return true
}

/** Forgets what is not read any more, so that later states compare equal more often. */
function clean(p: Proof, state: State): void {
  state.cleaned = true
  p.stackLiveness.ask(state)
  for (let f = 0; f < state.frames.length; f++) {
    const frame = state.frames[f] as Frame
    const at = frameInstruction(state, f)
    const live = p.notes.liveRegisters[at] as number
    for (let i = 0; i < 10; i++) if ((live & (1 << i)) === 0) frame.regs[i] = EMPTY_REGISTER
    for (let i = 0; i < frame.stack.length; i++) {
      if (frame.stack[i] !== EMPTY_SLOT && !p.stackLiveness.isLive(f, i)) frame.stack[i] = EMPTY_SLOT
    }
  }
}

const sameIterator = (p: Proof, current: State): boolean => {
  const register = current.current.regs[1] as Register
  if (register.kind !== BASE.STACK) return false
  const offset = register.off + Number(BigInt.asIntN(32, register.value))
  const slot = (current.frames[register.frame] as Frame).stack[Math.trunc((-offset - 1) / 8)]
  return (
    slot !== undefined && (slot.bytes & 0xf) === BYTE.ITER && slot.register.iterState === 1 && p !== undefined
  )
}

function dropHoles(list: (State | undefined)[]): void {
  let to = 0
  for (const state of list) if (state !== undefined) list[to++] = state
  list.length = to
}

/** Is the rest of this path known to be safe? Saves the state if it is worth it. */
export function isVisited(p: Proof): boolean {
  const { state: current, notes, index } = p
  const isCheckpoint = notes.forceCheckpoint[index] === 1
  const forced = p.prunesEverywhere || isCheckpoint || (current.history?.count ?? 0) > 40
  let save = forced || (p.jumps - p.jumpsAtLastState >= 2 && p.processed - p.processedAtLastState >= 8)
  const key = bucketOf(p, current, index)
  const list = p.explored.get(key)
  if (list !== undefined) {
    for (const old of list) {
      if (old.branches > 0 || old.cleaned || old.instruction !== index || !sameCallsites(old, current))
        continue
      if (isUnfinished(p, old)) continue
      clean(p, old)
    }
    let kept = 0
    let count = 0
    const length = list.length
    for (let n = length - 1; n >= 0; n--) {
      const old = list[n] as State
      count++
      if (old.instruction !== index) continue
      let found = false
      let isLoop = false
      let isProvisional = false
      if (old.branches > 0) {
        const frame = old.current
        let skipsCheck = false
        if (frame.inAsyncCallback && frame.asyncEntries !== current.current.asyncEntries) skipsCheck = true
        else if (notes.isIteratorNext[index]) {
          if (covers(p, old, current, 'within ranges') && sameIterator(p, current)) {
            found = true
            isLoop = true
          }
          skipsCheck = true
        } else {
          if (isMayGoto(p.insn(index)) && old.mayGotoDepth !== current.mayGotoDepth) {
            if (covers(p, old, current, 'within ranges')) {
              found = true
              isLoop = true
              skipsCheck = true
            }
          }
          if (!found && notes.callsCallback[index]) {
            if (covers(p, old, current, 'within ranges')) {
              found = true
              isLoop = true
            }
            skipsCheck = true
          }
        }
        if (!found && !skipsCheck) {
          if (
            mayBeLooping(old, current) &&
            covers(p, old, current, 'exact') &&
            !iteratorDepthsDiffer(old, current) &&
            old.mayGotoDepth === current.mayGotoDepth &&
            old.callbackUnrollDepth === current.callbackUnrollDepth
          ) {
            p.logSource()
            p.say(`infinite loop detected at insn ${index}\ncur state:`)
            p.say(p.printer.state(current, current.currentIndex, true))
            throw p.refuse(EINVAL, `old state:${p.printer.state(old, current.currentIndex, true).trimEnd()}`)
          }
        }
        if (
          !found &&
          !forced &&
          p.jumps - p.jumpsAtLastState < 20 &&
          p.processed - p.processedAtLastState < 100
        ) {
          save = false
        }
      } else {
        const loop = unfinishedLoop(p, old)
        isLoop = loop !== undefined
        isProvisional = loop !== undefined && endsProvisionally(p, loop)
        found = covers(p, old, current, isLoop && !isProvisional ? 'within ranges' : 'precise values only')
      }
      if (found) {
        old.hits++
        const { history } = current
        if (notes.jumpPoint[index]) note(p)
        inheritPrecision(p, old, current)
        const covered = isLoop ? current.copy() : undefined
        p.observer?.prunes(old, isProvisional ? covered : undefined)
        if (covered !== undefined) {
          covered.instruction = index
          const loop = loopKey(p, old)
          const visit = loop === undefined ? undefined : p.loops.get(loop)
          if (visit !== undefined) {
            logLoop(p, 'backedge', loop as string)
            visit.backEdges.push({ covering: old, covered, isProvisional, history, previous: p.previous })
            p.backEdgeCount++
            countPeak(p)
          }
        }
        if (kept > 0) dropHoles(list)
        return true
      }
      if (save) old.misses++
      const patience = isCheckpoint && old.branches > 0 ? 64 : 3
      if (old.misses > old.hits * patience + patience) {
        list[n] = undefined as unknown as State
        kept++
        p.exploredCount--
        old.isEvicted = true
        p.evictedCount++
        releaseEvicted(p, old)
      }
    }
    if (kept > 0) dropHoles(list)
    if (p.mostStatesAtOne < count) p.mostStatesAtOne = count
  }
  if (!save) return false
  p.totalStates++
  p.exploredCount++
  countPeak(p)
  p.jumpsAtLastState = p.jumps
  p.processedAtLastState = p.processed
  markAllImprecise(current)
  const saved = current.copy()
  saved.instruction = index
  enterLoop(p, saved)
  current.parent = saved
  p.observer?.saves(saved)
  current.firstInstruction = index
  current.depth = saved.depth + 1
  current.history = undefined
  if (list === undefined) p.explored.set(key, [saved])
  else list.push(saved)
  return false
}
