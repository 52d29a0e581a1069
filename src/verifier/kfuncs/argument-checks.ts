/** Checks of single arguments of kernel functions, by what the parameter is. */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import { BTF_KIND, type Btf, type BtfId, type BtfType } from '../../btf/index.ts'
import { DYNPTR_TYPE, dynptrFlagOf, markObjectRead } from '../checks/dynptr.ts'
import { checkDynptrArgument, dynptrBehind } from '../checks/dynptr-arguments.ts'
import { isProjection } from '../checks/global-functions.ts'
import { asIfNotNull, checkSizedMemory } from '../checks/helper-memory.ts'
import { IRQ_CLASS, restoreFlags, saveFlags } from '../checks/irq-flags.ts'
import {
  createIterator,
  destroyIterator,
  initialisedIterator,
  isUninitialisedIterator,
  iteratorPlace,
} from '../checks/iterators.ts'
import { checkMemory } from '../checks/memory.ts'
import { typesMatch } from '../checks/struct-access.ts'
import { BASE, baseOf, FLAG, kindName } from '../domain/kinds.ts'
import { isNull, isRcu, type Proof } from '../proof.ts'
import { hasField } from '../records/records.ts'
import { EFAULT, EINVAL, Refusal } from '../refusal.ts'
import { markPrecise } from '../state/precision.ts'
import type { Slot } from '../state/state.ts'
import type { KfuncFacts } from './facts.ts'
import { isSizeOf, nameOf, resolved, SOCKET_STRUCTS, wordOf } from './parameter-kind.ts'
import type { Kfunc, Parameter } from './table.ts'

const TRUSTED_FLAGS = FLAG.ALLOC | FLAG.TRUSTED | FLAG.NON_OWNING

/** A pointer to the right struct. */
export function checkObject(
  p: Proof,
  kfunc: Kfunc,
  index: number,
  wanted: { btf: Btf; id: BtfId; type: BtfType },
): void {
  const r = p.reg(index + 1)
  const base = baseOf(r.kind)
  const socket = SOCKET_STRUCTS.get(base)
  const hasUnsafe = (r.kind & ~0xff & ~TRUSTED_FLAGS) !== 0
  if ((base !== BASE.BTF_ID || (hasUnsafe && !isRcu(r))) && socket === undefined) {
    throw p.refuse(
      EINVAL,
      `arg#${index} is ${kindName(r.kind)} expected ${kindName(base | (r.kind & TRUSTED_FLAGS))} or socket`,
    )
  }
  let btf: Btf
  let id: BtfId | undefined
  if (base === BASE.BTF_ID) {
    btf = r.btf as Btf
    id = btf.resolve(r.btfId as BtfId)
  } else {
    btf = p.kernel as Btf
    id = btf.find(socket ?? '', BTF_KIND.STRUCT)
  }
  if (id === undefined) throw p.refuse(EFAULT, 'verifier bug: no such socket type')
  const have = btf.typeById(id)
  const haveName = nameOf(have)
  const wantedName = nameOf(wanted.type)
  const isAlias = haveName === `${wantedName}___init` || wantedName === `${haveName}___init`
  const strict = (kfunc.flags.has('RELEASE') && r.refObjId !== 0) || isAlias
  if (typesMatch(p, btf, id, r.off, wanted.btf, wanted.id, strict)) return
  if (isProjection(wantedName, haveName)) return
  throw p.refuse(
    EINVAL,
    `kernel function ${kfunc.name} args#${index} expected pointer to ${wordOf(wanted.type)} ${wantedName} but R${index + 1} has a pointer to ${wordOf(have)} ${haveName}`,
  )
}

export function checkIterator(p: Proof, kfunc: Kfunc, index: number, facts: KfuncFacts): void {
  const n = index + 1
  const r = p.reg(n)
  const { btf, flags, name } = kfunc
  if (name === 'bpf_iter_css_task_new') {
    const { programType, expectedAttachType } = p.input
    const isAllowed =
      programType === BPF_PROG_TYPE.BPF_PROG_TYPE_LSM ||
      (programType === BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING &&
        expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_ITER) ||
      p.inSleepable
    if (!isAllowed) {
      throw p.refuse(EINVAL, 'css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs')
    }
  }
  if (r.kind !== BASE.STACK) {
    throw p.refuse(EINVAL, `arg#${index} expected pointer to an iterator on stack`)
  }
  const pointerType = resolved(btf, (kfunc.parameters[index] as Parameter).type)
  const id = pointerType.kind === BTF_KIND.PTR ? btf.resolve(pointerType.type) : undefined
  const type = id === undefined ? undefined : btf.typeById(id)
  if (id === undefined || type?.kind !== BTF_KIND.STRUCT || !type.name.startsWith('bpf_iter_')) {
    throw p.refuse(EINVAL, `expected valid iter pointer as arg #${index}`)
  }
  const count = type.size / 8
  const word = `iter_${type.name.slice('bpf_iter_'.length)}`
  if (flags.has('ITER_NEW')) {
    if (!isUninitialisedIterator(p, r, count)) {
      throw p.refuse(EINVAL, `expected uninitialized ${word} as arg #${index}`)
    }
    for (let i = 0; i < count * 8; i += 8) checkMemory(p, n, i, { isWrite: true, size: 8, value: -1 })
    createIterator(p, r, { btf, btfId: id, count, needsRcu: flags.has('RCU_PROTECTED') })
    return
  }
  switch (initialisedIterator(p, r, btf, id, count)) {
    case 'uninitialised':
      throw p.refuse(EINVAL, `expected an initialized ${word} as arg #${index}`)
    case 'no rcu':
      throw p.refuse(71, `expected an RCU CS when using ${name}`)
    default:
  }
  const place = iteratorPlace(p, r, count)
  markObjectRead(p, place.frame, place.slot, count)
  facts.iterator = place
  facts.refObjId = (p.frameOf(r).stack[place.slot] as Slot).register.refObjId
  if (flags.has('ITER_DESTROY')) destroyIterator(p, r, count)
}

export function checkDynptr(p: Proof, kfunc: Kfunc, index: number, facts: KfuncFacts): void {
  const n = index + 1
  const { name } = kfunc
  const uninitialised = (kfunc.parameters[index] as Parameter).name.endsWith('__uninit')
  let flags = 0
  let cloneOf = 0
  if (name === 'bpf_dynptr_from_skb') flags = FLAG.DYNPTR_SKB
  else if (name === 'bpf_dynptr_from_xdp') flags = FLAG.DYNPTR_XDP
  else if (name === 'bpf_dynptr_from_skb_meta') flags = FLAG.DYNPTR_SKB_META
  else if (name === 'bpf_dynptr_clone' && uninitialised) {
    const parent = facts.dynptr
    if (parent === undefined || parent.type === DYNPTR_TYPE.INVALID) {
      throw p.refuse(EFAULT, 'verifier bug: no dynptr type for parent of clone')
    }
    flags = dynptrFlagOf(parent.type)
    cloneOf = parent.refObjId
  } else if (uninitialised) {
    throw p.refuse(EFAULT, `verifier bug: ${name} makes a dynptr of an unknown type`)
  }
  const r = p.reg(n)
  checkDynptrArgument(p, n, { flags, uninitialised, readOnly: r.kind === BASE.DYNPTR, cloneOf })
  if (uninitialised) return
  const behind = dynptrBehind(p, r)
  if (behind === undefined) throw p.refuse(EFAULT, 'verifier bug: failed to obtain dynptr id')
  facts.dynptr = { id: behind.id, type: behind.dynptrType, refObjId: behind.refObjId }
}

export function checkScalar(p: Proof, kfunc: Kfunc, index: number, facts: KfuncFacts): void {
  const n = index + 1
  const r = p.reg(n)
  const { name } = kfunc.parameters[index] as Parameter
  if (r.kind !== BASE.SCALAR) throw p.refuse(EINVAL, `R${n} is not a scalar`)
  if (name.endsWith('__k')) {
    if (facts.constant !== undefined) {
      throw p.refuse(EFAULT, 'verifier bug: only one constant argument permitted')
    }
    if (r.mask !== 0n) throw p.refuse(EINVAL, `R${n} must be a known constant`)
    markPrecise(p, n)
    facts.constant = r.value
    return
  }
  if (name !== 'rdonly_buf_size' && name !== 'rdwr_buf_size') return
  if (name === 'rdonly_buf_size') facts.returnReadOnly = true
  if (facts.returnSize !== 0) {
    throw p.refuse(EINVAL, '2 or more rdonly/rdwr_buf_size parameters for kfunc')
  }
  if (r.mask !== 0n) throw p.refuse(EINVAL, `R${n} is not a const`)
  facts.returnSize = Number(BigInt.asUintN(32, r.value))
  markPrecise(p, n)
}

export function checkMap(p: Proof, n: number, facts: KfuncFacts): void {
  const r = p.reg(n)
  // The kernel's own `struct bpf_map` will do where the map does not have to be that of another argument.
  if (r.map === undefined && facts.map === undefined && baseOf(r.kind) === BASE.BTF_ID) return
  if (r.map === undefined) throw p.refuse(EINVAL, `pointer in R${n} isn't map pointer`)
  const record = p.records.ofMap(r.map)
  if (facts.map !== undefined && hasField(record, 'wq', 'task_work')) {
    if (facts.map !== r.map || facts.mapUid !== r.mapUid) {
      const text = hasField(record, 'task_work')
        ? `bpf_task_work pointer in R2 map_uid=${facts.mapUid} doesn't match map pointer in R3 map_uid=${r.mapUid}`
        : `workqueue pointer in R1 map_uid=${facts.mapUid} doesn't match map pointer in R2 map_uid=${r.mapUid}`
      throw p.refuse(EINVAL, text)
    }
  }
  facts.map = r.map
  facts.mapUid = r.mapUid
}

export function checkSizedArgument(p: Proof, kfunc: Kfunc, index: number, facts: KfuncFacts): void {
  const n = index + 1
  const { btf, parameters } = kfunc
  const parameter = parameters[index] as Parameter
  const size = p.reg(n + 1)
  if (!isNull(p.reg(n)) || !parameter.name.endsWith('__opt')) {
    try {
      asIfNotNull(p, n, () => {
        checkSizedMemory(p, n + 1, { isWrite: false, zeroAllowed: true })
        checkSizedMemory(p, n + 1, { isWrite: true, zeroAllowed: true })
      })
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      if (error.message !== '') p.say(`${error.message}\n`)
      throw p.refuse(
        error.errno,
        `arg#${index} arg#${index + 1} memory, len pair leads to invalid memory access`,
      )
    }
  }
  if (isSizeOf(btf, parameters[index + 1], size) !== 'constant') return
  if (facts.constant !== undefined) {
    throw p.refuse(EFAULT, 'verifier bug: only one constant argument permitted')
  }
  if (size.mask !== 0n) throw p.refuse(EINVAL, `R${n + 1} must be a known constant`)
  facts.constant = size.value
}

export function checkIrqFlag(p: Proof, kfunc: Kfunc, n: number): void {
  if (p.reg(n).kind !== BASE.STACK) {
    throw p.refuse(EINVAL, `arg#${n - 1} doesn't point to an irq flag on stack`)
  }
  switch (kfunc.name) {
    case 'bpf_local_irq_save':
      saveFlags(p, n, IRQ_CLASS.NATIVE)
      break
    case 'bpf_res_spin_lock_irqsave':
      saveFlags(p, n, IRQ_CLASS.LOCK)
      break
    case 'bpf_local_irq_restore':
      restoreFlags(p, n, IRQ_CLASS.NATIVE)
      break
    case 'bpf_res_spin_unlock_irqrestore':
      restoreFlags(p, n, IRQ_CLASS.LOCK)
      break
    default:
      throw p.refuse(EFAULT, 'verifier bug: unknown irq flags kfunc')
  }
}
