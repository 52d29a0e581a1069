/**
 * The shape of the program, before any value is known: which instructions can be reached, where paths meet, which
 * loops there are.
 *
 * Rules: every instruction must be reachable; paths are compared (and cut) at prune points, which are jump targets,
 * conditional jumps, and the places around calls; loops are strongly connected components of each function.
 *
 * Source: check_cfg, compute_postorder, compute_scc of Linux 6.18.
 */
import { helperPrototypes } from '../../helpers/index.ts'
import {
  CALL_SOURCE,
  CLASS,
  classOf,
  codeOf,
  type Instruction,
  OPCODE,
  SOURCE,
  sourceOf,
} from '../../isa/index.ts'
import type { Proof } from '../proof.ts'
import { EINVAL } from '../refusal.ts'
import { isFunctionPointer, isHelperCall, isKfuncCall, jumpDistance } from './subprograms.ts'

export const SYNC_CALLBACK_HELPERS: ReadonlySet<number> = new Set([164, 180, 181, 209])
export const ASYNC_CALLBACK_HELPER = 170

export const isWideLoad = (insn: Instruction): boolean => insn.opcode === OPCODE.LD_IMM64
export const isMayGoto = (insn: Instruction): boolean => insn.opcode === OPCODE.JCOND && insn.src === 0

export function callsSyncCallback(p: Proof, insn: Instruction): boolean {
  if (isHelperCall(insn)) return SYNC_CALLBACK_HELPERS.has(insn.imm)
  return isKfuncCall(insn) && p.kfuncs.nameOf(insn.imm, insn.offset) === 'bpf_rbtree_add_impl'
}

/** Whatever type of program calls them: an extension's is not known yet. */
const CHANGES_PACKET: ReadonlySet<number> = new Set(
  helperPrototypes.filter((row) => row.changesPacket).map((row) => row.id),
)

const ASYNC_KFUNCS = new Set([
  'bpf_wq_set_callback_impl',
  'bpf_task_work_schedule_signal_impl',
  'bpf_task_work_schedule_resume_impl',
])

export function callsAsyncCallback(p: Proof, insn: Instruction): boolean {
  if (isHelperCall(insn)) return insn.imm === ASYNC_CALLBACK_HELPER
  return isKfuncCall(insn) && ASYNC_KFUNCS.has(p.kfuncs.nameOf(insn.imm, insn.offset) ?? '')
}

const UNSEEN = 0
const DISCOVERED = 1
const EXPLORED = 2

export function checkGraph(p: Proof): void {
  const { notes, length } = p
  const state = new Uint8Array(length)
  /** How many of an instruction's edges were followed. */
  const edges = new Uint8Array(length)
  const mergeEffects = (from: number, to: number): void => {
    const caller = p.subprograms[p.subprogramContaining(from)]!
    const callee = p.subprograms[p.subprogramContaining(to)]!
    caller.changesPacket ||= callee.changesPacket
    caller.mightSleep ||= callee.mightSleep
  }
  const stack: number[] = []
  /** Follows edge number `edge` of `from`; true if the target has to be walked first. */
  const follow = (from: number, to: number, edge: 1 | 2): boolean => {
    if (edges[from]! >= edge) return false
    if (to < 0 || to >= length) throw p.refuse(EINVAL, `jump out of range from insn ${from} to ${to}`)
    if (edge === 2) {
      notes.prunePoint[to] = 1
      notes.jumpPoint[to] = 1
    }
    if (state[to] === UNSEEN) {
      edges[from] = edge
      state[to] = DISCOVERED
      stack.push(to)
      return true
    }
    if (state[to] === EXPLORED) edges[from] = edge
    return false
  }
  const visitCall = (i: number, insn: Instruction, visitCallee: boolean): boolean => {
    const size = isWideLoad(insn) ? 2 : 1
    if (follow(i, i + size, 1)) return true
    notes.prunePoint[i + size] = 1
    notes.jumpPoint[i + size] = 1
    if (!visitCallee) return false
    const target = i + insn.imm + 1
    notes.prunePoint[i] = 1
    const waits = follow(i, target, 2)
    mergeEffects(i, target)
    return waits
  }
  const visit = (i: number): boolean => {
    const insn = p.insn(i)
    if (isFunctionPointer(insn)) return visitCall(i, insn, true)
    const kind = classOf(insn.opcode)
    if (kind !== CLASS.JMP && kind !== CLASS.JMP32) return follow(i, i + (isWideLoad(insn) ? 2 : 1), 1)
    switch (codeOf(insn.opcode)) {
      case 0x90:
        return false
      case 0x80: {
        if (callsAsyncCallback(p, insn)) notes.prunePoint[i] = 1
        if (callsSyncCallback(p, insn)) {
          notes.callsCallback[i] = 1
          notes.forceCheckpoint[i] = 1
          notes.prunePoint[i] = 1
          notes.jumpPoint[i] = 1
        }
        const own = p.subprograms[p.subprogramContaining(i)]!
        if (isHelperCall(insn)) {
          const helper = p.helpers.get(insn.imm)
          if (helper?.mightSleep) own.mightSleep = true
          if (CHANGES_PACKET.has(insn.imm)) own.changesPacket = true
        } else if (insn.src === CALL_SOURCE.KFUNC) {
          const kfunc = p.kfuncs.find(insn.imm, insn.offset)
          if (kfunc?.isIteratorNext) {
            notes.isIteratorNext[i] = 1
            notes.prunePoint[i] = 1
            notes.forceCheckpoint[i] = 1
          }
          if (kfunc?.isSleepable) own.mightSleep = true
          if (kfunc?.name === 'bpf_xdp_pull_data') own.changesPacket = true
        }
        return visitCall(i, insn, insn.src === CALL_SOURCE.LOCAL)
      }
      case 0x00: {
        const target = i + jumpDistance(insn) + 1
        if (sourceOf(insn.opcode) !== SOURCE.K) throw p.refuse(EINVAL, '')
        if (follow(i, target, 1)) return true
        notes.prunePoint[target] = 1
        notes.jumpPoint[target] = 1
        return false
      }
      default:
        notes.prunePoint[i] = 1
        if (isMayGoto(insn)) notes.forceCheckpoint[i] = 1
        if (follow(i, i + 1, 1)) return true
        return follow(i, i + insn.offset + 1, 2)
    }
  }
  const walk = (start: number): void => {
    if (state[start] !== UNSEEN) return
    state[start] = DISCOVERED
    stack.push(start)
    while (stack.length > 0) {
      const i = stack[stack.length - 1] as number
      if (visit(i)) continue
      state[i] = EXPLORED
      stack.pop()
    }
  }
  walk(0)
  if (p.exceptionCallback > 0) walk(p.subprograms[p.exceptionCallback]!.start)
  for (let i = 0; i < length; i++) {
    if (state[i] !== EXPLORED) throw p.refuse(EINVAL, `unreachable insn ${i}`)
    if (!isWideLoad(p.insn(i))) continue
    if (state[i + 1] !== UNSEEN) throw p.refuse(EINVAL, `jump into the middle of ldimm64 insn ${i}`)
    i++
  }
}

/**
 * Instructions of every function, each after those it leads to, as far as loops allow, and as far as Linux has it: what
 * was pushed once is not pushed again, so that the order is not quite a postorder. The log shows it.
 */
export function postorder(p: Proof): Int32Array {
  const { length } = p
  const { first, second } = p.edges
  const order = new Int32Array(length)
  const stack = new Int32Array(length)
  const isPushed = new Uint8Array(length)
  const isExplored = new Uint8Array(length)
  let count = 0
  let depth = 0
  const push = (i: number): void => {
    if (i < 0 || isPushed[i] === 1) return
    isPushed[i] = 1
    stack[depth++] = i
  }
  for (const { start } of p.subprograms) {
    push(start)
    while (depth > 0) {
      const top = stack[depth - 1] as number
      if (isExplored[top] === 1) {
        order[count++] = top
        depth--
        continue
      }
      push(first[top] as number)
      push(second[top] as number)
      isExplored[top] = 1
    }
  }
  return order.subarray(0, count)
}

/** Numbers the loops: 0 for an instruction in none. */
export function findLoops(p: Proof): void {
  const { notes, length } = p
  const { first, second } = p.edges
  const lows = new Int32Array(length)
  const order = new Int32Array(length)
  /** The path that is walked, and how many edges of its instructions were followed. */
  const path = new Int32Array(length)
  const followed = new Uint8Array(length)
  const onStack = new Int32Array(length)
  let depth = 0
  let held = 0
  let counter = 1
  let component = 1
  const DONE = 0x7fff_ffff
  const begin = (i: number): void => {
    order[i] = counter
    lows[i] = counter
    counter++
    onStack[held++] = i
    path[depth++] = i
  }
  for (let start = 0; start < length; start++) {
    if (order[start] !== 0) continue
    if (start > 0 && isWideLoad(p.insn(start - 1)) && p.insn(start).opcode === 0) continue
    begin(start)
    while (depth > 0) {
      const at = path[depth - 1] as number
      const edge = followed[at] as number
      if (edge < 2) {
        followed[at] = edge + 1
        const target = (edge === 0 ? first[at] : second[at]) as number
        if (target < 0) continue
        if (order[target] === 0) begin(target)
        else if (lows[target]! < lows[at]!) lows[at] = lows[target]!
        continue
      }
      depth--
      if (lows[at]! < order[at]!) {
        const parent = path[depth - 1] as number
        if (depth > 0 && lows[at]! < lows[parent]!) lows[parent] = lows[at]!
        continue
      }
      // `at` is the first of its component: all above it on the stack belong to it.
      const isLoop = onStack[held - 1] !== at || first[at] === at || second[at] === at
      for (;;) {
        const member = onStack[--held] as number
        lows[member] = DONE
        if (isLoop) notes.component[member] = component
        if (member === at) break
      }
      if (isLoop) component++
    }
  }
}
