/**
 * Conditional jumps: one path becomes two, and each knows which way the comparison went.
 *
 * What is learnt of a register holds for all that are linked with it by a scalar id; a null check of one pointer holds
 * for all with its id; a comparison with the end of a packet says how much of it may be read.
 *
 * Source: check_cond_jmp_op and its parts in kernel/bpf/verifier.c of Linux 6.18.
 */
import { CLASS, classOf, codeOf, type Instruction, OPCODE, SOURCE, sourceOf } from '../../isa/index.ts'
import { addDistance } from '../domain/arithmetic.ts'
import { syncBounds } from '../domain/bounds.ts'
import { constOf, decide, isConst, JUMP, oppositeOf, refine, swappedOf } from '../domain/comparison.ts'
import { BASE, baseOf, FLAG } from '../domain/kinds.ts'
import {
  ADD_CONST,
  ADD_CONST32,
  AT_PACKET_END,
  BEYOND_PACKET_END,
  type Register,
  unlink,
} from '../domain/register.ts'
import { isMayGoto } from '../flow/graph.ts'
import { pushBranch } from '../flow/paths.ts'
import { isNotNull, isPacketPointer, mayBeNull, type Proof } from '../proof.ts'
import { EINVAL } from '../refusal.ts'
import { frameInstruction } from '../state/equal.ts'
import { markPrecise, note } from '../state/precision.ts'
import { releaseReference } from '../state/references.ts'
import { isSpill, type LinkedPlace, Slot, type State } from '../state/state.ts'
import { settleBounds } from './invariants.ts'
import { widenAtLoopHead } from './iterators.ts'
import { notNull } from './null.ts'

const MAX_PACKET_OFFSET = 0xffff
const MAX_LINKED = 6

function packetDecision(a: Register, b: Register, code: number): boolean | undefined {
  let packet: Register
  let operation = code
  if (b.kind === BASE.PACKET_END) packet = a
  else if (a.kind === BASE.PACKET_END) {
    packet = b
    operation = swappedOf(code)
  } else return undefined
  if (packet.range >= 0) return undefined
  switch (operation) {
    case JUMP.LE:
    case JUMP.GT:
      return packet.range === BEYOND_PACKET_END ? operation === JUMP.GT : undefined
    case JUMP.LT:
    case JUMP.GE:
      return operation === JUMP.GE
    default:
      return undefined
  }
}

const isAnyPacketPointer = (r: Register): boolean => isPacketPointer(r) || r.kind === BASE.PACKET_END

function decideBranch(a: Register, b: Register, code: number, is32: boolean): boolean | undefined {
  if (isAnyPacketPointer(a) && isAnyPacketPointer(b) && !is32) return packetDecision(a, b, code)
  if (a.kind !== BASE.SCALAR || b.kind !== BASE.SCALAR) {
    let operation = code
    let [pointer, scalar] = [a, b]
    const isConstScalar = (r: Register): boolean => r.kind === BASE.SCALAR && isConst(r, is32)
    if (!isConstScalar(scalar)) {
      operation = swappedOf(code)
      ;[pointer, scalar] = [b, a]
    }
    if (!isConstScalar(scalar) || !isNotNull(pointer)) return undefined
    if (constOf(scalar, is32) !== 0n) return undefined
    if (operation === JUMP.EQ) return false
    if (operation === JUMP.NE) return true
    return undefined
  }
  return decide(code, a, b, is32)
}

/** Registers and slots that share `id`; those beyond the limit lose it. */
function collectLinked(p: Proof, id: number, into: LinkedPlace[]): void {
  const wanted = id & ~ADD_CONST
  const { frames } = p.state
  for (let f = frames.length - 1; f >= 0; f--) {
    const frame = frames[f]!
    const live = p.notes.liveRegisters[frameInstruction(p.state, f)] as number
    for (let i = 0; i < 10; i++) {
      if ((live & (1 << i)) === 0) continue
      const r = frame.regs[i] as Register
      if (r.kind !== BASE.SCALAR || (r.id & ~ADD_CONST) !== wanted) continue
      if (into.length < MAX_LINKED) into.push({ frame: f, isRegister: true, place: i })
      else {
        const copy = r.copy()
        unlink(copy)
        frame.regs[i] = copy
      }
    }
    for (let i = 0; i < frame.stack.length; i++) {
      const slot = frame.stack[i] as Slot
      if (!isSpill(slot)) continue
      const r = slot.register
      if (r.kind !== BASE.SCALAR || (r.id & ~ADD_CONST) !== wanted) continue
      if (into.length < MAX_LINKED) into.push({ frame: f, isRegister: false, place: i })
      else {
        const copy = r.copy()
        unlink(copy)
        frame.stack[i] = new Slot(slot.bytes, copy)
      }
    }
  }
}

/** Gives what is known of `known` to all that are linked with it. */
function syncLinked(state: State, known: Register, places: readonly LinkedPlace[]): void {
  for (const { frame: f, isRegister, place } of places) {
    const frame = state.frames[f]!
    const slot = frame.stack[place]
    const r = isRegister ? (frame.regs[place] as Register) : (slot as Slot).register
    if (r.kind !== BASE.SCALAR || r === known) continue
    if ((r.id & ~ADD_CONST) !== (known.id & ~ADD_CONST)) continue
    // Distances of different widths do not add up.
    if (((r.id ^ known.id) & ADD_CONST) === ADD_CONST) continue
    let result: Register
    if (((r.id & ADD_CONST) === 0 && (known.id & ADD_CONST) === 0) || r.off === known.off) {
      result = known
    } else {
      result = known.copy()
      addDistance(result, (r.off | 0) - (known.off | 0), ((r.id | known.id) & ADD_CONST32) !== 0)
      result.off = r.off
      result.id = r.id
    }
    if (isRegister) frame.regs[place] = result
    else frame.stack[place] = new Slot((slot as Slot).bytes, result)
  }
}

/** After a null check: every pointer with this id is null (a scalar 0), or is not. */
function settleNull(p: Proof, state: State, n: number, isNull: boolean): void {
  const checked = state.current.regs[n] as Register
  const { id, refObjId } = checked
  if (refObjId !== 0 && refObjId === id && isNull) releaseReference(state, id)
  state.mapRegisters((r) => {
    if (!mayBeNull(r.kind) || r.id !== id || (id === 0 && (r.kind & FLAG.RCU) === 0)) return r
    if (r.smin !== 0n || r.smax !== 0n || r.mask !== 0n || r.value !== 0n) return r
    if (isNull) {
      const scalar = r.copy()
      scalar.kind = BASE.SCALAR
      scalar.id = 0
      scalar.refObjId = 0
      return scalar
    }
    const pointer = notNull(p, r)
    if (!p.records.mayHoldLock(pointer)) pointer.id = 0
    return pointer
  })
}

function goodPacketRange(state: State, pointer: Register, kind: number, isOpen: boolean): void {
  if (pointer.off < 0 || (pointer.off === 0 && isOpen)) return
  if (
    pointer.umax > BigInt(MAX_PACKET_OFFSET) ||
    pointer.umax + BigInt(pointer.off) > BigInt(MAX_PACKET_OFFSET)
  ) {
    return
  }
  const range = pointer.off + (isOpen ? 1 : 0)
  state.mapRegisters((r) => {
    if (r.kind !== kind || r.id !== pointer.id || r.range >= range) return r
    const copy = r.copy()
    copy.range = range
    return copy
  })
}

function markPacketEnd(state: State, n: number, isOpen: boolean): void {
  const { regs } = state.current
  const r = regs[n] as Register
  if (r.kind !== BASE.PACKET) return
  const copy = r.copy()
  copy.range = isOpen ? BEYOND_PACKET_END : AT_PACKET_END
  regs[n] = copy
}

const isPacketStart = (r: Register): boolean =>
  r.kind === BASE.PACKET && r.off === 0 && r.mask === 0n && r.value === 0n && r.id === 0

/** Comparisons of packet pointers; true if this was one. */
function matchPackets(insn: Instruction, dst: Register, src: Register, here: State, there: State): boolean {
  if (sourceOf(insn.opcode) !== SOURCE.X || classOf(insn.opcode) === CLASS.JMP32) return false
  const isForward =
    (dst.kind === BASE.PACKET && src.kind === BASE.PACKET_END) ||
    (dst.kind === BASE.PACKET_META && isPacketStart(src))
  const isBackward =
    (dst.kind === BASE.PACKET_END && src.kind === BASE.PACKET) ||
    (isPacketStart(dst) && src.kind === BASE.PACKET_META)
  if (!isForward && !isBackward) return false
  const code = codeOf(insn.opcode)
  if (code !== JUMP.GT && code !== JUMP.LT && code !== JUMP.GE && code !== JUMP.LE) return false
  // In terms of `pointer op end`.
  const operation = isForward ? code : swappedOf(code)
  const pointer = isForward ? dst : src
  const n = isForward ? insn.dst : insn.src
  switch (operation) {
    case JUMP.GT:
      goodPacketRange(here, pointer, pointer.kind, false)
      markPacketEnd(there, n, true)
      return true
    case JUMP.LT:
      goodPacketRange(there, pointer, pointer.kind, true)
      markPacketEnd(here, n, false)
      return true
    case JUMP.GE:
      goodPacketRange(here, pointer, pointer.kind, true)
      markPacketEnd(there, n, false)
      return true
    default:
      goodPacketRange(there, pointer, pointer.kind, false)
      markPacketEnd(here, n, true)
      return true
  }
}

/** Checks a conditional jump and moves to where the current path goes on. */
export function checkBranch(p: Proof, insn: Instruction): void {
  const { opcode, dst, src } = insn
  const code = codeOf(opcode)
  if (code > 0xe0) throw p.refuse(EINVAL, `invalid BPF_JMP/JMP32 opcode ${code.toString(16)}`)
  if (code === 0xe0) {
    if (opcode !== OPCODE.JCOND || !isMayGoto(insn) || dst !== 0 || insn.imm !== 0) {
      throw p.refuse(EINVAL, `invalid may_goto imm ${insn.imm}`)
    }
    const index = p.index
    const queued = pushBranch(p, index + 1, index)
    queued.mayGotoDepth++
    widenAtLoopHead(p, queued, index)
    p.index += insn.offset + 1
    return
  }
  let a = p.checkReadable(dst)
  let b: Register
  const isRegisterForm = sourceOf(opcode) === SOURCE.X
  if (isRegisterForm) {
    if (insn.imm !== 0) throw p.refuse(EINVAL, 'BPF_JMP/JMP32 uses reserved fields')
    b = p.checkReadable(src)
  } else {
    if (src !== 0) throw p.refuse(EINVAL, 'BPF_JMP/JMP32 uses reserved fields')
    b = p.constant(true)
  }
  const dstIsStack = a.kind === BASE.STACK
  const srcIsStack = b.kind === BASE.STACK
  if (dstIsStack || srcIsStack) note(p, { dstIsStack, srcIsStack })
  const is32 = classOf(opcode) === CLASS.JMP32
  const taken = decideBranch(a, b, code, is32)
  if (taken !== undefined) {
    if (a.kind === BASE.SCALAR) markPrecise(p, dst)
    if (isRegisterForm && b.kind === BASE.SCALAR) markPrecise(p, src)
    p.logState()
    p.index += taken ? insn.offset + 1 : 1
    return
  }
  const linked: LinkedPlace[] = []
  if (isRegisterForm && b.kind === BASE.SCALAR && b.id !== 0) collectLinked(p, b.id, linked)
  if (a.kind === BASE.SCALAR && a.id !== 0) collectLinked(p, a.id, linked)
  if (linked.length > 1) note(p, { linked })
  // Collecting may have taken an id away.
  a = p.reg(dst)
  if (isRegisterForm) b = p.reg(src)
  const here = p.state
  const there = pushBranch(p, p.index + insn.offset + 1, p.index)
  if (a.kind === BASE.SCALAR && b.kind === BASE.SCALAR) {
    const same = isRegisterForm && dst === src
    const falseA = a.copy()
    const falseB = same ? falseA : b.copy()
    refine(oppositeOf(code), falseA, falseB, is32)
    const trueA = a.copy()
    const trueB = same ? trueA : b.copy()
    refine(code, trueA, trueB, is32)
    for (const r of [falseA, falseB, trueA, trueB]) syncBounds(r)
    settleBounds(p, trueA, 'true_reg1')
    settleBounds(p, trueB, 'true_reg2')
    settleBounds(p, falseA, 'false_reg1')
    settleBounds(p, falseB, 'false_reg2')
    here.current.regs[dst] = falseA
    there.current.regs[dst] = trueA
    p.scratchedRegisters |= 1 << dst
    if (isRegisterForm) {
      here.current.regs[src] = falseB
      there.current.regs[src] = trueB
      p.scratchedRegisters |= 1 << src
      if (b.id !== 0) {
        syncLinked(here, falseB, linked)
        syncLinked(there, trueB, linked)
      }
    }
    if (a.id !== 0) {
      syncLinked(here, here.current.regs[dst] as Register, linked)
      syncLinked(there, there.current.regs[dst] as Register, linked)
    }
  } else {
    if (isRegisterForm && b.kind === BASE.SCALAR && b.id !== 0) {
      syncLinked(here, b, linked)
      syncLinked(there, b, linked)
    }
    if (a.kind === BASE.SCALAR && a.id !== 0) {
      syncLinked(here, a, linked)
      syncLinked(there, a, linked)
    }
  }
  // Equal to a pointer that is not null: not null either.
  if (
    !is32 &&
    isRegisterForm &&
    a.kind !== BASE.SCALAR &&
    b.kind !== BASE.SCALAR &&
    mayBeNull(a.kind) !== mayBeNull(b.kind) &&
    baseOf(a.kind) !== BASE.BTF_ID &&
    baseOf(b.kind) !== BASE.BTF_ID
  ) {
    const equal = code === JUMP.EQ ? there : code === JUMP.NE ? here : undefined
    if (equal !== undefined) {
      const n = mayBeNull(b.kind) ? src : dst
      equal.current.regs[n] = notNull(p, equal.current.regs[n] as Register)
    }
  }
  if (
    !is32 &&
    !isRegisterForm &&
    insn.imm === 0 &&
    (code === JUMP.EQ || code === JUMP.NE) &&
    mayBeNull(a.kind)
  ) {
    settleNull(p, here, dst, code === JUMP.NE)
    settleNull(p, there, dst, code === JUMP.EQ)
    p.scratchedRegisters |= 1 << dst
  } else if (isRegisterForm) {
    matchPackets(insn, a, b, here, there)
  }
  p.logState()
  p.index++
}
