/**
 * Loops whose end the verifier takes on trust: open-coded iterators, callbacks, may_goto.
 *
 * On the way round such a loop, scalars that changed and whose exact values did not matter are forgotten (widened), so
 * that the state of the next round equals the one before.
 *
 * Source: process_iter_next_call, widen_imprecise_scalars, mark_stack_slots_iter in Linux 6.18.
 */
import type { Btf } from '../../btf/index.ts'
import { allBytes, BASE, BYTE, FLAG } from '../domain/kinds.ts'
import { knownScalar, pointer, type Register, unknownScalar } from '../domain/register.ts'
import { bucketOf, pushBranch } from '../flow/paths.ts'
import type { Proof } from '../proof.ts'
import { EFAULT, EINVAL } from '../refusal.ts'
import { exactMatcher } from '../state/equal.ts'
import { acquireReference, release } from '../state/references.ts'
import { EMPTY_SLOT, type Frame, isSpill, Slot, type State } from '../state/state.ts'
import { objectSlot, type SlotPlace } from './dynptr.ts'
import { notNull } from './null.ts'

export const ITERATOR = { INVALID: 0, ACTIVE: 1, DRAINED: 2 } as const

const sameCallsites = (a: State, b: State): boolean =>
  a.frames.length === b.frames.length &&
  a.frames.every((frame, i) => frame.callsite === (b.frames[i] as Frame).callsite)

/** The nearest state before `current`, on its own path, that stopped at the same place. */
export function previousEntry(p: Proof, current: State | undefined, instruction: number): State | undefined {
  if (current === undefined) return undefined
  const list = p.explored.get(bucketOf(p, p.state, instruction))
  return list?.findLast(
    (s) =>
      s.instruction === instruction && s.branches > 0 && sameCallsites(s, current) && s.depth < current.depth,
  )
}

type Matcher = (old: Register, current: Register) => boolean

function widenRegister(old: Register, current: Register, isSame: Matcher): Register {
  if (old.kind !== BASE.SCALAR || current.kind !== BASE.SCALAR) return current
  if (old.precise || current.precise || isSame(old, current)) return current
  return unknownScalar()
}

export function widen(p: Proof, old: State, current: State): void {
  const isSame = exactMatcher(p)
  for (let f = old.frames.length - 1; f >= 0; f--) {
    const a = old.frames[f] as Frame
    const b = current.frames[f] as Frame
    for (let i = 0; i < 11; i++)
      b.regs[i] = widenRegister(a.regs[i] as Register, b.regs[i] as Register, isSame)
    for (let i = 0; i < a.stack.length; i++) {
      const x = a.stack[i] as Slot
      const y = b.stack[i]
      if (y === undefined || !isSpill(x) || !isSpill(y)) continue
      const r = widenRegister(x.register, y.register, isSame)
      if (r !== y.register) b.stack[i] = new Slot(y.bytes, r)
    }
  }
}

/** may_goto: the round that is queued. */
export function widenAtLoopHead(p: Proof, queued: State, instruction: number): void {
  const before = previousEntry(p, p.state.parent, instruction)
  if (before !== undefined) widen(p, before, queued)
}

const iteratorSlot = (p: Proof, register: Register, count: number): SlotPlace =>
  objectSlot(p, register, 'iter', count)

export function isUninitialisedIterator(p: Proof, register: Register, count: number): boolean {
  const place = iteratorSlot(p, register, count)
  if (!place.ok) return place.range
  const { stack } = p.frameOf(register)
  for (let i = 0; i < count; i++) {
    const { bytes } = stack[place.index - i] as Slot
    for (let j = 0; j < 32; j += 4) if (((bytes >>> j) & 0xf) === BYTE.ITER) return false
  }
  return true
}

export type IteratorProblem = 'none' | 'uninitialised' | 'no rcu'

export function initialisedIterator(
  p: Proof,
  register: Register,
  btf: Btf,
  btfId: number,
  count: number,
): IteratorProblem {
  const place = iteratorSlot(p, register, count)
  if (!place.ok) return 'uninitialised'
  const { stack } = p.frameOf(register)
  for (let i = 0; i < count; i++) {
    const slot = stack[place.index - i] as Slot
    const r = slot.register
    if (r.kind & FLAG.UNTRUSTED) return 'no rcu'
    if ((i === 0) !== (r.refObjId !== 0)) return 'uninitialised'
    if (r.btf !== btf || r.btfId !== btfId) return 'uninitialised'
    if (slot.bytes !== allBytes(BYTE.ITER)) return 'uninitialised'
  }
  return 'none'
}

export function createIterator(
  p: Proof,
  register: Register,
  what: { btf: Btf; btfId: number; count: number; needsRcu: boolean },
): void {
  const place = iteratorSlot(p, register, what.count)
  if (!place.ok) throw p.refuse(EINVAL, '')
  const id = acquireReference(p, p.index)
  const frame = p.frameOf(register)
  for (let i = 0; i < what.count; i++) {
    const r = pointer(BASE.STACK)
    if (what.needsRcu) r.kind |= p.inRcuSection ? FLAG.RCU : FLAG.UNTRUSTED
    r.refObjId = i === 0 ? id : 0
    r.btf = what.btf
    r.btfId = what.btfId
    r.iterState = ITERATOR.ACTIVE
    p.setSlot(frame, place.index - i, new Slot(allBytes(BYTE.ITER), r))
    p.stackLiveness.write(frame.index, place.index - i)
  }
}

export function destroyIterator(p: Proof, register: Register, count: number): void {
  const place = iteratorSlot(p, register, count)
  if (!place.ok) throw p.refuse(EINVAL, '')
  const frame = p.frameOf(register)
  release(p, (frame.stack[place.index] as Slot).register.refObjId)
  for (let i = 0; i < count; i++) {
    p.setSlot(frame, place.index - i, EMPTY_SLOT)
    p.stackLiveness.write(frame.index, place.index - i)
  }
}

export interface IteratorPlace {
  readonly frame: number
  readonly slot: number
}

export function iteratorPlace(p: Proof, register: Register, count: number): IteratorPlace {
  const place = iteratorSlot(p, register, count)
  if (!place.ok) throw p.refuse(EINVAL, '')
  return { frame: register.frame, slot: place.index }
}

function changeIterator(
  state: State,
  { frame: f, slot: i }: IteratorPlace,
  change: (r: Register) => void,
): void {
  const frame = state.frames[f] as Frame
  const slot = frame.stack[i] as Slot
  const r = slot.register.copy()
  change(r)
  frame.stack[i] = new Slot(slot.bytes, r)
}

/** A next call: one path sees the end (null), another, queued, one more element. */
export function nextElement(p: Proof, place: IteratorPlace): void {
  const { state } = p
  const iterator = ((state.frames[place.frame] as Frame).stack[place.slot] as Slot).register
  if (iterator.iterState !== ITERATOR.ACTIVE && iterator.iterState !== ITERATOR.DRAINED) {
    throw p.refuse(EFAULT, 'verifier bug: unexpected iterator state')
  }
  if (iterator.iterState === ITERATOR.ACTIVE) {
    const { parent } = state
    if (parent === undefined || parent.instruction !== p.index || !sameCallsites(parent, state)) {
      throw p.refuse(EFAULT, 'verifier bug: bad parent state for iter next call')
    }
    const before = previousEntry(p, parent, p.index)
    const queued = pushBranch(p, p.index + 1, p.index)
    changeIterator(queued, place, (r) => {
      r.iterState = ITERATOR.ACTIVE
      r.iterDepth++
    })
    if (before !== undefined) widen(p, before, queued)
    const { regs } = queued.current
    regs[0] = notNull(p, regs[0] as Register)
  }
  p.scratchedSlots.add(place.slot)
  changeIterator(state, place, (r) => {
    r.iterState = ITERATOR.DRAINED
  })
  p.setReg(0, knownScalar(0n))
}
