/** A dynptr that is passed to a helper or kfunc. Source: process_dynptr_func of Linux 6.18. */
import { BASE } from '../domain/kinds.ts'
import type { Proof } from '../proof.ts'
import { EINVAL } from '../refusal.ts'
import {
  createDynptr,
  dynptrBehind,
  dynptrSlot,
  dynptrTypeName,
  dynptrTypeOf,
  isInitialisedDynptr,
  isUninitialisedDynptr,
  markObjectRead,
} from './dynptr.ts'
import { checkMemory } from './memory.ts'

export interface DynptrArgument {
  /** `FLAG.DYNPTR_*`; 0: any. */
  readonly flags: number
  readonly uninitialised: boolean
  readonly readOnly: boolean
  /** Reference that a clone shares. */
  readonly cloneOf: number
}

export function checkDynptrArgument(p: Proof, n: number, argument: DynptrArgument): void {
  const r = p.reg(n)
  if (r.kind !== BASE.STACK && r.kind !== BASE.DYNPTR) {
    throw p.refuse(EINVAL, `arg#${n - 1} expected pointer to stack or const struct bpf_dynptr`)
  }
  if (argument.uninitialised) {
    if (!isUninitialisedDynptr(p, r)) {
      throw p.refuse(EINVAL, 'Dynptr has to be an uninitialized dynptr')
    }
    for (let i = 0; i < 16; i += 8) checkMemory(p, n, i, { isWrite: true, size: 8, value: -1 })
    createDynptr(p, r, dynptrTypeOf(argument.flags), argument.cloneOf)
    return
  }
  if (r.kind === BASE.DYNPTR && !argument.readOnly) {
    throw p.refuse(EINVAL, 'cannot pass pointer to const bpf_dynptr, the helper mutates it')
  }
  if (!isInitialisedDynptr(p, r)) {
    throw p.refuse(EINVAL, `Expected an initialized dynptr as arg #${n - 1}`)
  }
  const type = dynptrTypeOf(argument.flags)
  if (argument.flags !== 0 && dynptrBehind(p, r)?.dynptrType !== type) {
    throw p.refuse(EINVAL, `Expected a dynptr of type ${dynptrTypeName(type)} as arg #${n - 1}`)
  }
  if (r.kind !== BASE.STACK) return
  const place = dynptrSlot(p, r)
  if (place.ok) markObjectRead(p, r.frame, place.index, 2)
}

export { dynptrBehind }
