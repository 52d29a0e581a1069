/**
 * Locks in map values and allocated objects: taken and given back in order, by the same pointer.
 *
 * Source: process_spin_lock in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BASE } from '../domain/kinds.ts'
import type { Proof } from '../proof.ts'
import { hasField } from '../records/records.ts'
import { EINVAL } from '../refusal.ts'
import { acquireLock, findLock, forgetNonOwning, releaseLock } from '../state/references.ts'

export interface LockOperation {
  readonly isLock: boolean
  /** bpf_res_spin_lock. */
  readonly isResilient: boolean
  readonly savesInterrupts: boolean
}

export function checkLock(
  p: Proof,
  n: number,
  { isLock, isResilient, savesInterrupts }: LockOperation,
): void {
  const r = p.reg(n)
  const { state } = p
  const name = isResilient ? 'bpf_res_spin' : 'bpf_spin'
  if (r.mask !== 0n) {
    throw p.refuse(
      EINVAL,
      `R${n} doesn't have constant offset. ${name}_lock has to be at the constant offset`,
    )
  }
  const map = r.kind === BASE.MAP_VALUE ? r.map : undefined
  if (map !== undefined && map.btf === undefined) {
    throw p.refuse(EINVAL, `map '${map.name}' has to have BTF in order to use ${name}_lock`)
  }
  const record = p.records.of(r)
  const kind = isResilient ? 'res_spin_lock' : 'spin_lock'
  if (!hasField(record, kind)) {
    const what = map !== undefined ? 'map' : 'local'
    throw p.refuse(EINVAL, `${what} '${map?.name ?? 'kptr'}' has no valid ${name}_lock`)
  }
  const field = record?.fields.find((f) => f.kind === kind)
  const at = BigInt(r.off) + BigInt.asIntN(64, r.value)
  if (field === undefined || BigInt(field.offset) !== at) {
    throw p.refuse(EINVAL, `off ${at} doesn't point to 'struct ${name}_lock' that is at ${field?.offset}`)
  }
  const owner = map ?? r.btf
  if (isLock) {
    if (state.activeLocks > 0) {
      if (!isResilient && state.references.some((f) => f.kind === 'lock')) {
        throw p.refuse(EINVAL, 'Locking two bpf_spin_locks are not allowed')
      }
      if (isResilient && findLock(state, ['resLock', 'resLockIrq'], r.id, owner) !== undefined) {
        throw p.refuse(EINVAL, 'Acquiring the same lock again, AA deadlock detected')
      }
    }
    acquireLock(p, isResilient ? (savesInterrupts ? 'resLockIrq' : 'resLock') : 'lock', r.id, owner)
    return
  }
  if (state.activeLocks === 0) throw p.refuse(EINVAL, `${name}_unlock without taking a lock`)
  const held = findLock(
    state,
    [isResilient ? (savesInterrupts ? 'resLockIrq' : 'resLock') : 'lock'],
    r.id,
    owner,
  )
  if (held === undefined) throw p.refuse(EINVAL, `${name}_unlock of different lock`)
  if (r.id !== state.activeLockId || owner !== state.activeLockOwner) {
    throw p.refuse(EINVAL, `${name}_unlock cannot be out of order`)
  }
  releaseLock(state, held)
  forgetNonOwning(p)
}
