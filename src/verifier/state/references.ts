/**
 * What a path holds and must give back: references to objects, locks, saved interrupt flags.
 *
 * Source: acquire_reference, release_reference, acquire_lock_state and the like in Linux 6.18.
 */
import { isDynptrSliceOfPacket } from '../checks/dynptr.ts'
import { BASE } from '../domain/kinds.ts'
import { type Register, unknownScalar } from '../domain/register.ts'
import { isNonOwning, isPacketPointer, type Proof } from '../proof.ts'
import type { Reference, ReferenceKind, State } from './state.ts'

export function acquireReference(p: Proof, instruction: number): number {
  const id = p.newId()
  p.state.references = [...p.state.references, { kind: 'pointer', id, instruction }]
  return id
}

/** Takes the reference off the list; false: it is not held. */
export function releaseReference(state: State, id: number): boolean {
  const { references } = state
  const at = references.findIndex((r) => r.kind === 'pointer' && r.id === id)
  if (at < 0) return false
  state.references = references.filter((_, i) => i !== at)
  return true
}

export const holdsReference = (state: State, id: number): boolean => state.references.some((r) => r.id === id)

/** Nothing is known any more of registers for which `isGone` holds. */
export function invalidate(state: State, isGone: (register: Register) => boolean): void {
  state.mapRegisters((r) => (r.kind !== BASE.NOT_INIT && isGone(r) ? unknownScalar() : r))
}

/** Gives the reference back and forgets every pointer that depended on it; false: it was not held. */
export function release(p: Proof, id: number): boolean {
  if (!releaseReference(p.state, id)) return false
  invalidate(p.state, (r) => r.refObjId === id)
  return true
}

export const forgetNonOwning = (p: Proof): void => invalidate(p.state, (r) => isNonOwning(r.kind))

/** The packet may have moved. */
export const forgetPacketPointers = (p: Proof): void =>
  invalidate(p.state, (r) => isPacketPointer(r) || r.kind === BASE.PACKET_END || isDynptrSliceOfPacket(r))

export function acquireLock(p: Proof, kind: ReferenceKind, id: number, owner: unknown): void {
  const { state } = p
  state.references = [...state.references, { kind, id, instruction: p.index, owner }]
  state.activeLocks++
  state.activeLockId = id
  state.activeLockOwner = owner
}

export const findLock = (
  state: State,
  kinds: readonly ReferenceKind[],
  id: number,
  owner: unknown,
): Reference | undefined =>
  state.references.find((r) => kinds.includes(r.kind) && r.id === id && r.owner === owner)

const LOCKS: ReadonlySet<ReferenceKind> = new Set(['lock', 'resLock', 'resLockIrq'])

export function releaseLock(state: State, held: Reference): void {
  const rest = state.references.filter((r) => r !== held)
  const last = rest.findLast((r) => LOCKS.has(r.kind))
  state.references = rest
  state.activeLocks--
  state.activeLockId = last?.id ?? 0
  state.activeLockOwner = last?.owner
}

export function saveInterrupts(p: Proof): number {
  const id = p.newId()
  p.state.references = [...p.state.references, { kind: 'irq', id, instruction: p.index }]
  p.state.activeIrqId = id
  return id
}

/** False: another save came after this one. */
export function restoreInterrupts(state: State, id: number): boolean {
  if (id !== state.activeIrqId) return false
  state.references = state.references.filter((r) => r.kind !== 'irq' || r.id !== id)
  state.activeIrqId = state.references.findLast((r) => r.kind === 'irq')?.id ?? 0
  return true
}
