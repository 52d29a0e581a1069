/**
 * The shape of the program, before any value is known: which instructions can be reached, where paths meet, which
 * loops there are, which registers matter where.
 *
 * Rules: every instruction must be reachable; paths are compared (and cut) at prune points, which are jump targets,
 * conditional jumps, and the places around calls; loops are strongly connected components of each function.
 *
 * Source: check_cfg, compute_postorder, compute_scc, compute_live_registers of Linux 6.18.
 */
import { helperPrototypes } from '../../helpers/index.ts'
import {
  CALL_SOURCE,
  CLASS,
  classOf,
  codeOf,
  type Instruction,
  MODE,
  modeOf,
  OPCODE,
  SIZE,
  SOURCE,
  sizeFieldOf,
  sourceOf,
} from '../../isa/index.ts'
import { isAllowed } from '../kfuncs/restrictions.ts'
import type { Proof } from '../proof.ts'
import { EINVAL } from '../refusal.ts'
import { isFunctionPointer, isHelperCall, isKfuncCall, isLocalCall, jumpDistance } from './subprograms.ts'

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

/** Where control can go from slot `i`; calls go on behind the call. */
export function successors(p: Proof, i: number): number[] {
  const insn = p.insn(i)
  const kind = classOf(insn.opcode)
  if (kind !== CLASS.JMP && kind !== CLASS.JMP32) return [i + (isWideLoad(insn) ? 2 : 1)]
  const code = codeOf(insn.opcode)
  if (code === 0x90) return []
  if (code === 0x80) return [i + 1]
  if (code === 0x00) return [i + jumpDistance(insn) + 1]
  const target = i + insn.offset + 1
  return target === i + 1 ? [target] : [i + 1, target]
}

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
export function postorder(p: Proof): number[] {
  const order: number[] = []
  const isPushed = new Uint8Array(p.length)
  const isExplored = new Uint8Array(p.length)
  for (const s of p.subprograms) {
    const stack = [s.start]
    isPushed[s.start] = 1
    while (stack.length > 0) {
      const top = stack[stack.length - 1] as number
      if (isExplored[top] === 1) {
        order.push(top)
        stack.pop()
        continue
      }
      for (const next of successors(p, top)) {
        if (isPushed[next] === 1) continue
        isPushed[next] = 1
        stack.push(next)
      }
      isExplored[top] = 1
    }
  }
  return order
}

/** Numbers the loops: 0 for an instruction in none. */
export function findLoops(p: Proof): void {
  const { notes, length } = p
  const lows = new Int32Array(length)
  const order = new Int32Array(length)
  const onStack: number[] = []
  let counter = 1
  let component = 1
  const NONE = 0x7fff_ffff
  const walk: { at: number; next: number; targets: number[] }[] = []
  for (let start = 0; start < length; start++) {
    if (order[start] !== 0) continue
    if (start > 0 && isWideLoad(p.insn(start - 1)) && p.insn(start).opcode === 0) continue
    const begin = (i: number): void => {
      order[i] = counter
      lows[i] = counter
      counter++
      onStack.push(i)
      walk.push({ at: i, next: 0, targets: successors(p, i) })
    }
    begin(start)
    while (walk.length > 0) {
      const top = walk[walk.length - 1]!
      if (top.next < top.targets.length) {
        const target = top.targets[top.next++] as number
        if (order[target] === 0) begin(target)
        else if (lows[target]! < lows[top.at]!) lows[top.at] = lows[target]!
        continue
      }
      walk.pop()
      const parent = walk[walk.length - 1]
      if (lows[top.at]! < order[top.at]!) {
        if (parent !== undefined && lows[top.at]! < lows[parent.at]!) lows[parent.at] = lows[top.at]!
        continue
      }
      // `top` is the first of its component: all above it on the stack belong to it.
      const isLoop = onStack[onStack.length - 1] !== top.at || top.targets.includes(top.at)
      for (;;) {
        const member = onStack.pop() as number
        lows[member] = NONE
        if (isLoop) notes.component[member] = component
        if (member === top.at) break
      }
      if (isLoop) component++
    }
  }
}

const CALLER_SAVED = 0x3f

/** Registers that an instruction reads and writes, as bit masks. */
function useAndDefinition(p: Proof, insn: Instruction): [use: number, def: number] {
  const src = 1 << insn.src
  const dst = 1 << insn.dst
  switch (classOf(insn.opcode)) {
    case CLASS.LD:
      if (modeOf(insn.opcode) === MODE.IMM && sizeFieldOf(insn.opcode) === SIZE.DW) return [0, dst]
      return [0xffff, 0]
    case CLASS.LDX:
      if (modeOf(insn.opcode) === MODE.MEM || modeOf(insn.opcode) === MODE.MEMSX) return [src, dst]
      return [0xffff, 0]
    case CLASS.ST:
      return modeOf(insn.opcode) === MODE.MEM ? [dst, 0] : [0xffff, 0]
    case CLASS.STX:
      if (modeOf(insn.opcode) === MODE.MEM) return [dst | src, 0]
      if (modeOf(insn.opcode) !== MODE.ATOMIC) return [0xffff, 0]
      switch (insn.imm) {
        case 0xf1:
          return [1 | dst | src, 1]
        case 0x100:
          return [src, dst]
        case 0x110:
          return [dst | src, 0]
        default:
          return [dst | src, insn.imm & 1 ? src : 0]
      }
    case CLASS.ALU:
    case CLASS.ALU64:
      switch (codeOf(insn.opcode)) {
        case 0xd0:
          return [dst, dst]
        case 0xb0:
          return [sourceOf(insn.opcode) === SOURCE.K ? 0 : src, dst]
        default:
          return [sourceOf(insn.opcode) === SOURCE.K ? dst : dst | src, dst]
      }
    default:
      switch (codeOf(insn.opcode)) {
        case 0x00:
        case 0xe0:
          return [0, 0]
        case 0x90:
          return [1, 0]
        case 0x80: {
          const count = argumentCount(p, insn)
          return [count === undefined ? CALLER_SAVED & ~1 : ((1 << (count + 1)) - 1) & ~1, CALLER_SAVED]
        }
        default:
          return [sourceOf(insn.opcode) === SOURCE.K ? dst : dst | src, 0]
      }
  }
}

function argumentCount(p: Proof, insn: Instruction): number | undefined {
  if (isHelperCall(insn)) return p.helpers.get(insn.imm)?.arguments.length
  if (isKfuncCall(insn)) {
    const kfunc = p.kfuncs.find(insn.imm, insn.offset)
    return kfunc !== undefined && isAllowed(p, kfunc) ? kfunc.parameters.length : undefined
  }
  if (isLocalCall(insn)) return undefined
  return undefined
}

export function computeLiveRegisters(p: Proof, order: readonly number[]): void {
  const { length } = p
  const use = new Uint16Array(length)
  const def = new Uint16Array(length)
  const live = p.notes.liveRegisters
  for (let i = 0; i < length; i++) {
    const [u, d] = useAndDefinition(p, p.insn(i))
    use[i] = u
    def[i] = d
  }
  const targets = order.map((i) => successors(p, i))
  let changed = true
  while (changed) {
    changed = false
    for (let n = 0; n < order.length; n++) {
      const i = order[n] as number
      let out = 0
      for (const next of targets[n]!) out |= live[next] as number
      const before = (out & ~def[i]!) | use[i]!
      if (before === live[i]) continue
      live[i] = before
      changed = true
    }
  }
}
