/**
 * Dynptrs on the stack: two slots that only helpers may touch.
 *
 * Source: mark_stack_slots_dynptr and its kin in kernel/bpf/verifier.c of Linux 6.18.
 */
import { allBytes, BASE, BYTE, baseOf, byteAt, FLAG } from '../domain/kinds.ts'
import { pointer, type Register } from '../domain/register.ts'
import type { Proof } from '../proof.ts'
import { EINVAL } from '../refusal.ts'
import { acquireReference, invalidate, releaseReference } from '../state/references.ts'
import { EMPTY_SLOT, type Frame, Slot } from '../state/state.ts'

export const DYNPTR_TYPE = { INVALID: 0, LOCAL: 1, RINGBUF: 2, SKB: 3, XDP: 4, SKB_META: 5 } as const

const TYPE_FLAGS: readonly (readonly [number, number])[] = [
  [FLAG.DYNPTR_LOCAL, DYNPTR_TYPE.LOCAL],
  [FLAG.DYNPTR_RINGBUF, DYNPTR_TYPE.RINGBUF],
  [FLAG.DYNPTR_SKB, DYNPTR_TYPE.SKB],
  [FLAG.DYNPTR_XDP, DYNPTR_TYPE.XDP],
  [FLAG.DYNPTR_SKB_META, DYNPTR_TYPE.SKB_META],
]

export const dynptrTypeOf = (flags: number): number => TYPE_FLAGS.find(([flag]) => flags & flag)?.[1] ?? 0
export const dynptrFlagOf = (type: number): number => TYPE_FLAGS.find(([, t]) => t === type)?.[0] ?? 0
export const dynptrTypeName = (type: number): string =>
  ['invalid', 'local', 'ringbuf', 'skb', 'xdp', 'skb_meta'][type] ?? '<unknown>'

/** A slice of a dynptr that stands for packet data. */
export const isDynptrSliceOfPacket = (r: Register): boolean =>
  baseOf(r.kind) === BASE.MEM && (r.kind & (FLAG.DYNPTR_SKB | FLAG.DYNPTR_XDP | FLAG.DYNPTR_SKB_META)) !== 0

const isDynptrByte = (slot: Slot): boolean => byteAt(slot.bytes, 0) === BYTE.DYNPTR

export type SlotPlace =
  | { readonly ok: true; readonly index: number }
  /** `range`: beyond what is allocated so far, which is fine for something new. */
  | { readonly ok: false; readonly range: boolean }

/** The slot at which an object of `count` slots begins that register points to; says why not. */
export function objectSlot(p: Proof, register: Register, what: string, count: number): SlotPlace {
  if (register.mask !== 0n) {
    p.say(`${what} has to be at a constant offset\n`)
    return { ok: false, range: false }
  }
  const offset = register.off + Number(BigInt.asIntN(32, register.value))
  if (offset >= 0 || offset % 8 !== 0) {
    p.say(`cannot pass in ${what} at an offset=${offset}\n`)
    return { ok: false, range: false }
  }
  const index = Math.trunc((-offset - 1) / 8)
  if (index + 1 < count) {
    p.say(`cannot pass in ${what} at an offset=${offset}\n`)
    return { ok: false, range: false }
  }
  if (index >= p.frameOf(register).stack.length) return { ok: false, range: true }
  return { ok: true, index }
}

export const dynptrSlot = (p: Proof, register: Register): SlotPlace => objectSlot(p, register, 'dynptr', 2)

/** Both slots of a dynptr. */
function setSlots(p: Proof, frame: Frame, index: number, first: Slot, second: Slot): void {
  p.setSlot(frame, index, first)
  p.setSlot(frame, index - 1, second)
  p.stackLiveness.write(frame.index, index)
  p.stackLiveness.write(frame.index, index - 1)
}

/** The slots of something on the stack that a call was given matter. */
export function markObjectRead(p: Proof, frame: number, index: number, count: number): void {
  for (let i = 0; i < count; i++) {
    p.stackLiveness.read(frame, index - i)
    p.scratchedSlots.add(index - i)
  }
}

/** What overlaps a dynptr destroys it; one that holds a reference must not be lost. */
export function destroyDynptrAt(p: Proof, frame: Frame, index: number): void {
  const slot = frame.stack[index]
  if (slot === undefined || !isDynptrByte(slot)) return
  const first = slot.register.firstSlot ? index : index + 1
  const { register } = frame.stack[first] as Slot
  if (register.dynptrType === DYNPTR_TYPE.RINGBUF) {
    throw p.refuse(EINVAL, 'cannot overwrite referenced dynptr')
  }
  const { id } = register
  setSlots(p, frame, first, EMPTY_SLOT, EMPTY_SLOT)
  invalidate(
    p.state,
    (r) => (baseOf(r.kind) === BASE.MEM || baseOf(r.kind) === BASE.BTF_ID) && r.dynptrId === id,
  )
}

export const isUninitialisedDynptr = (p: Proof, register: Register): boolean => {
  if (register.kind === BASE.DYNPTR) return false
  const place = dynptrSlot(p, register)
  return place.ok || place.range
}

export function isInitialisedDynptr(p: Proof, register: Register): boolean {
  if (register.kind === BASE.DYNPTR) return true
  const place = dynptrSlot(p, register)
  if (!place.ok) return false
  const { stack } = p.frameOf(register)
  const a = stack[place.index] as Slot
  const b = stack[place.index - 1] as Slot
  if (!a.register.firstSlot) return false
  return a.bytes === allBytes(BYTE.DYNPTR) && b.bytes === allBytes(BYTE.DYNPTR)
}

/** What is known of the dynptr that the register points to. */
export function dynptrBehind(p: Proof, register: Register): Register | undefined {
  if (register.kind === BASE.DYNPTR) return register
  const place = dynptrSlot(p, register)
  return place.ok ? (p.frameOf(register).stack[place.index] as Slot).register : undefined
}

export function createDynptr(p: Proof, register: Register, type: number, cloneOf: number): void {
  const place = dynptrSlot(p, register)
  if (!place.ok) throw p.refuse(EINVAL, '')
  const frame = p.frameOf(register)
  destroyDynptrAt(p, frame, place.index)
  destroyDynptrAt(p, frame, place.index - 1)
  if (type === DYNPTR_TYPE.INVALID) throw p.refuse(EINVAL, '')
  const first = pointer(BASE.DYNPTR)
  first.dynptrType = type
  first.firstSlot = true
  first.id = p.newId()
  first.dynptrId = first.id
  if (type === DYNPTR_TYPE.RINGBUF) first.refObjId = cloneOf !== 0 ? cloneOf : acquireReference(p, p.index)
  const second = first.copy()
  second.firstSlot = false
  const slots = [new Slot(allBytes(BYTE.DYNPTR), first), new Slot(allBytes(BYTE.DYNPTR), second)] as const
  setSlots(p, frame, place.index, ...slots)
}

/** Submitted or discarded: all dynptrs of the same reference and all slices of them are gone. */
export function releaseDynptr(p: Proof, register: Register): boolean {
  const place = dynptrSlot(p, register)
  if (!place.ok) return false
  const frame = p.frameOf(register)
  const held = (frame.stack[place.index] as Slot).register
  const wipe = (f: Frame, index: number): void => {
    const { id } = (f.stack[index] as Slot).register
    setSlots(p, f, index, EMPTY_SLOT, EMPTY_SLOT)
    invalidate(
      p.state,
      (r) => (baseOf(r.kind) === BASE.MEM || baseOf(r.kind) === BASE.BTF_ID) && r.dynptrId === id,
    )
  }
  if (held.dynptrType !== DYNPTR_TYPE.RINGBUF) {
    wipe(frame, place.index)
    return true
  }
  const { refObjId } = held
  if (!releaseReference(p.state, refObjId)) return false
  invalidate(p.state, (r) => r.refObjId === refObjId)
  for (const f of p.state.frames) {
    for (let i = 1; i < f.stack.length; i++) {
      const slot = f.stack[i] as Slot
      if (isDynptrByte(slot) && slot.register.firstSlot && slot.register.refObjId === refObjId) wipe(f, i)
    }
  }
  return true
}
