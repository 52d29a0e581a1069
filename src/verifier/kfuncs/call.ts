/**
 * Calls of the kernel's functions.
 *
 * Source: check_kfunc_call, check_special_kfunc, fetch_kfunc_meta in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BTF_KIND, type BtfId, type BtfType } from '../../btf/index.ts'
import type { Instruction } from '../../isa/index.ts'
import { pushCallback, taskWorkCallback, timerCallback } from '../checks/calls.ts'
import { dynptrFlagOf } from '../checks/dynptr.ts'
import { nextElement } from '../checks/iterators.ts'
import { mayAccessPacket } from '../checks/region.ts'
import { checkReturnValue } from '../checks/return-value.ts'
import { syncBounds } from '../domain/bounds.ts'
import { BASE, BYTE, byteAt, FLAG } from '../domain/kinds.ts'
import { knownScalar, pointer, type Register, unknownScalar } from '../domain/register.ts'
import { pushBranch } from '../flow/paths.ts'
import type { Proof } from '../proof.ts'
import type { RecordField } from '../records/records.ts'
import { EACCES, EFAULT, EINVAL } from '../refusal.ts'
import { acquireReference, forgetPacketPointers, release } from '../state/references.ts'
import { EMPTY_REGISTER, type Frame, isSpill, Slot, type State } from '../state/state.ts'
import { checkKfuncArguments } from './arguments.ts'
import type { KfuncFacts } from './facts.ts'
import { giveAway, makeNonOwning, nodePointer, treeOrderCallback } from './graph.ts'
import { KERNEL_CONTEXTS } from './kernel-contexts.ts'
import { CHANGES_PACKET, INSERTS, TAKES_RESILIENT_LOCK, TASK_WORK, WORK_QUEUE_CALLBACK } from './names.ts'
import { isScalarStruct, isScalarType } from './parameter-kind.ts'
import { isAllowed } from './restrictions.ts'
import type { Kfunc } from './table.ts'

export { isAllowedUnderLock } from './names.ts'

const MAX_ERRNO = 4095
const MAX_CPU_OBJECT = 512

function find(p: Proof, insn: Instruction): Kfunc {
  const kfunc = p.kfuncs.find(insn.imm, insn.offset)
  if (kfunc === undefined) throw p.refuse(EINVAL, '')
  if (!isAllowed(p, kfunc)) throw p.refuse(EACCES, `calling kernel function ${kfunc.name} is not allowed`)
  return kfunc
}

/** The path on which the lock was not obtained. */
function queueFailedLock(p: Proof): void {
  const { regs } = pushBranch(p, p.index + 1, p.index).current
  for (let i = 0; i <= 5; i++) regs[i] = EMPTY_REGISTER
  const r = unknownScalar()
  r.s32min = -MAX_ERRNO
  r.s32max = -1
  r.smin = BigInt(-MAX_ERRNO)
  r.smax = -1n
  syncBounds(r)
  regs[0] = r
}

/** What RCU protected may be gone. */
function leaveRcu(state: State): void {
  const change = (r: Register): Register => {
    if ((r.kind & FLAG.RCU) === 0) return r
    const copy = r.copy()
    copy.kind = (copy.kind & ~(FLAG.RCU | FLAG.MAYBE_NULL)) | FLAG.UNTRUSTED
    return copy
  }
  for (const frame of state.frames) {
    frame.regs = frame.regs.map(change)
    frame.stack = frame.stack.map((slot) => {
      if (!isSpill(slot) && byteAt(slot.bytes, 7) !== BYTE.ITER) return slot
      const r = change(slot.register)
      return r === slot.register ? slot : new Slot(slot.bytes, r)
    })
  }
}

/** RCU and preemption sections, and what may not be called in them. */
function checkSections(p: Proof, { name, isSleepable }: Kfunc): void {
  const { state } = p
  const enters = name === 'bpf_rcu_read_lock'
  const leaves = name === 'bpf_rcu_read_unlock'
  if (state.activeRcuLocks > 0) {
    if (p.inTreeCallback && (enters || leaves)) {
      throw p.refuse(EACCES, 'Calling bpf_rcu_read_{lock,unlock} in unnecessary rbtree callback')
    }
    if (enters) throw p.refuse(EINVAL, `nested rcu read lock (kernel function ${name})`)
    if (leaves) {
      leaveRcu(state)
      state.activeRcuLocks = 0
    } else if (isSleepable) {
      throw p.refuse(EACCES, `kernel func ${name} is sleepable within rcu_read_lock region`)
    }
  } else if (enters) state.activeRcuLocks = 1
  else if (leaves) throw p.refuse(EINVAL, `unmatched rcu read unlock (kernel function ${name})`)
  const disables = name === 'bpf_preempt_disable'
  const enables = name === 'bpf_preempt_enable'
  if (disables) state.activePreemptLocks++
  else if (state.activePreemptLocks > 0) {
    if (enables) state.activePreemptLocks--
    else if (isSleepable) {
      throw p.refuse(EACCES, `kernel func ${name} is sleepable within non-preemptible region`)
    }
  } else if (enables) {
    throw p.refuse(EINVAL, `unmatched attempt to enable preemption (kernel function ${name})`)
  }
  if (state.activeIrqId !== 0 && isSleepable) {
    throw p.refuse(EACCES, `kernel func ${name} is sleepable within IRQ-disabled region`)
  }
}

function newObject(p: Proof, isPerCpu: boolean, facts: KfuncFacts): Register {
  const id = facts.constant ?? 0n
  if (id > 0xffff_ffffn) {
    throw p.refuse(EINVAL, 'local type ID argument must be in range [0, U32_MAX]')
  }
  const { btf } = p.input
  if (btf === undefined) throw p.refuse(EINVAL, 'bpf_obj_new/bpf_percpu_obj_new requires prog BTF')
  const typeId = btf.id(Number(id))
  const type = typeId === undefined ? undefined : btf.typeById(typeId)
  if (type?.kind !== BTF_KIND.STRUCT) {
    throw p.refuse(EINVAL, 'bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct')
  }
  if (isPerCpu) {
    if (type.size > MAX_CPU_OBJECT) {
      throw p.refuse(EINVAL, `bpf_percpu_obj_new type size (${type.size}) is greater than ${MAX_CPU_OBJECT}`)
    }
    if (!isScalarStruct(p, btf, type)) {
      throw p.refuse(EINVAL, 'bpf_percpu_obj_new type ID argument must be of a struct of scalars')
    }
    if (p.records.ofStruct(btf, type.id) !== undefined) {
      throw p.refuse(EINVAL, 'bpf_percpu_obj_new type ID argument must not contain special fields')
    }
  }
  p.notes.kfuncCalls.set(p.index, { allocated: { btf, btfId: type.id, isPerCpu } })
  const r = pointer(BASE.BTF_ID | FLAG.ALLOC | (isPerCpu ? FLAG.PERCPU : 0))
  r.btf = btf
  r.btfId = type.id
  return r
}

function readOnlyCast(p: Proof, kfunc: Kfunc, facts: KfuncFacts): Register {
  const wanted = facts.constant ?? 0n
  const id = wanted <= 0xffff_ffffn ? kfunc.btf.id(Number(wanted)) : undefined
  if (wanted === 0n) return pointer(BASE.MEM | FLAG.RDONLY | FLAG.UNTRUSTED)
  const type = id === undefined ? undefined : kfunc.btf.typeById(id)
  if (id === undefined || type === undefined) {
    throw p.refuse(EINVAL, `Unknown type ID ${wanted} passed to kfunc bpf_rdonly_cast`)
  }
  if (type.kind !== BTF_KIND.STRUCT && type.kind !== BTF_KIND.UNION) {
    throw p.refuse(EINVAL, 'kfunc bpf_rdonly_cast type ID argument must be of a struct or void')
  }
  const r = pointer(BASE.BTF_ID | FLAG.UNTRUSTED)
  r.btf = kfunc.btf
  r.btfId = id
  return r
}

function kernelContext(p: Proof, kfunc: Kfunc): Register {
  const name = KERNEL_CONTEXTS[p.input.programType]
  const id = name === undefined ? undefined : kfunc.btf.find(name, BTF_KIND.STRUCT)
  if (id === undefined) throw p.refuse(EINVAL, '')
  const r = pointer(BASE.BTF_ID | FLAG.TRUSTED)
  r.btf = kfunc.btf
  r.btfId = id
  return r
}

function slice(p: Proof, isWritable: boolean, facts: KfuncFacts): Register {
  const { dynptr, constant } = facts
  if (constant === undefined) {
    throw p.refuse(EFAULT, 'verifier bug: bpf_dynptr_slice(_rdwr) no constant size')
  }
  if (dynptr === undefined || dynptr.id === 0) throw p.refuse(EFAULT, 'verifier bug: no dynptr id')
  const r = pointer(BASE.MEM | dynptrFlagOf(dynptr.type))
  r.memSize = Number(BigInt.asUintN(32, constant))
  if (!isWritable) r.kind |= FLAG.RDONLY
  else if (!mayAccessPacket(p, true)) {
    throw p.refuse(EINVAL, 'the prog does not allow writes to packet data')
  }
  r.dynptrId = dynptr.id
  return r
}

const isNode = (kfunc: Kfunc, type: BtfType): boolean =>
  type.kind === BTF_KIND.STRUCT &&
  kfunc.btf.id(type.id) !== undefined &&
  (type.name === 'bpf_list_node' || type.name === 'bpf_rb_node')

/** What a function of the kernel itself gives that its type does not say. */
function special(p: Proof, kfunc: Kfunc, target: BtfType, facts: KfuncFacts): Register | undefined {
  if (kfunc.btf !== p.kernel) return undefined
  switch (kfunc.name) {
    case 'bpf_obj_new_impl':
      return newObject(p, false, facts)
    case 'bpf_percpu_obj_new_impl':
      return newObject(p, true, facts)
    case 'bpf_refcount_acquire_impl': {
      const r = pointer(BASE.BTF_ID | FLAG.ALLOC)
      r.btf = facts.object?.btf
      r.btfId = facts.object?.btfId ?? 0
      return r
    }
    case 'bpf_cast_to_kern_ctx':
      return kernelContext(p, kfunc)
    case 'bpf_rdonly_cast':
      return readOnlyCast(p, kfunc, facts)
    case 'bpf_dynptr_slice':
      return slice(p, false, facts)
    case 'bpf_dynptr_slice_rdwr':
      return slice(p, true, facts)
    default:
      return isNode(kfunc, target) ? nodePointer(facts.root as RecordField) : undefined
  }
}

function pointerResult(p: Proof, kfunc: Kfunc, targetId: BtfId, facts: KfuncFacts): Register {
  const { btf, name, flags } = kfunc
  const target = btf.typeById(targetId)
  let r = special(p, kfunc, target, facts)
  if (r === undefined) {
    if (target.kind === BTF_KIND.UNKN) r = unknownScalar()
    else if (target.kind !== BTF_KIND.STRUCT && target.kind !== BTF_KIND.UNION) {
      if (name === 'bpf_session_cookie') facts.returnSize = 8
      else if (facts.returnSize === 0) {
        facts.returnSize = btf.sizeOf(targetId) ?? 0
        facts.returnReadOnly = true
      }
      if (facts.returnSize === 0) {
        throw p.refuse(EINVAL, `kernel function ${name} returns pointer type that is not supported`)
      }
      r = pointer(BASE.MEM | (facts.returnReadOnly ? FLAG.RDONLY : 0))
      r.memSize = facts.returnSize
      if (facts.refObjId !== 0) r.refObjId = facts.refObjId
    } else {
      r = pointer(BASE.BTF_ID)
      r.btf = btf
      r.btfId = targetId
      if (name === 'bpf_get_kmem_cache') r.kind |= FLAG.UNTRUSTED
      if (flags.has('ITER_NEXT') && facts.iterator !== undefined) {
        const { frame, slot } = facts.iterator
        const iterator = ((p.state.frames[frame] as Frame).stack[slot] as Slot).register
        r.kind |= iterator.kind & FLAG.RCU ? FLAG.RCU : FLAG.TRUSTED
      }
    }
  }
  const mayBeNull = flags.has('RET_NULL') && !(name === 'bpf_refcount_acquire_impl' && facts.isOwning)
  if (mayBeNull) {
    r.kind |= FLAG.MAYBE_NULL
    r.id = p.newId()
  }
  if (flags.has('ACQUIRE')) {
    const id = acquireReference(p, p.index)
    if (mayBeNull) r.id = id
    r.refObjId = id
  } else if (kfunc.btf === p.kernel && isNode(kfunc, target)) makeNonOwning(p, r)
  if (r.id === 0 && p.records.mayHoldLock(r)) r.id = p.newId()
  return r
}

const isStructPointer = (kfunc: Kfunc, type: BtfType): boolean => {
  if (type.kind !== BTF_KIND.PTR) return false
  const target = kfunc.btf.typeById(kfunc.btf.resolve(type.type))
  return target.kind === BTF_KIND.STRUCT || target.kind === BTF_KIND.UNION
}

const ACQUIRES_OWN_TYPE: ReadonlySet<string> = new Set([
  'bpf_obj_new_impl',
  'bpf_percpu_obj_new_impl',
  'bpf_refcount_acquire_impl',
])

/** True: the program ends here (bpf_throw). */
export function checkKfuncCall(p: Proof, insn: Instruction): boolean {
  // A call that the loader left unresolved must not be reachable: that is checked at the end.
  if (insn.imm === 0) {
    p.index++
    return false
  }
  const kfunc = find(p, insn)
  const { name, btf, flags, isSleepable } = kfunc
  if (insn.offset === 0 && TAKES_RESILIENT_LOCK.has(name)) queueFailedLock(p)
  else if (insn.offset === 0 && name === '__bpf_trap') {
    throw p.refuse(EFAULT, 'unexpected __bpf_trap() due to uninitialized variable?')
  }
  if (isSleepable && !p.inSleepable) {
    throw p.refuse(EACCES, `program must be sleepable to call sleepable kfunc ${name}`)
  }
  const facts = checkKfuncArguments(p, kfunc)
  if (name === 'bpf_rbtree_add_impl') {
    pushCallback(p, facts.subprogram, false, false, treeOrderCallback(p, facts.root as RecordField))
  }
  if (WORK_QUEUE_CALLBACK.has(name)) pushCallback(p, facts.subprogram, true, true, timerCallback)
  if (TASK_WORK.has(name)) pushCallback(p, facts.subprogram, true, true, taskWorkCallback)
  checkSections(p, kfunc)
  if (facts.released !== 0 && !release(p, p.reg(facts.released).refObjId)) {
    throw p.refuse(EINVAL, `kfunc ${name}#${kfunc.id} reference has not been acquired before`)
  }
  if (INSERTS.has(name)) {
    p.notes.kfuncCalls.set(p.index, { nodeOffset: facts.root?.nodeOffset ?? 0 })
    giveAway(p, p.reg(2).refObjId)
  }
  if (name === 'bpf_throw') {
    p.seenException = true
    if (p.exceptionCallback === 0) checkReturnValue(p, 1)
    return true
  }
  for (let i = 0; i <= 5; i++) p.setReg(i, EMPTY_REGISTER)
  const result = btf.typeById(btf.resolve(kfunc.prototype.returns))
  if (flags.has('ACQUIRE') && !isStructPointer(kfunc, result) && !ACQUIRES_OWN_TYPE.has(name)) {
    throw p.refuse(EINVAL, 'acquire kernel function does not return PTR_TO_BTF_ID')
  }
  if (isScalarType(result)) p.setReg(0, TAKES_RESILIENT_LOCK.has(name) ? knownScalar(0n) : unknownScalar())
  else if (result.kind === BTF_KIND.PTR) {
    p.setReg(0, pointerResult(p, kfunc, btf.resolve(result.type), facts))
  }
  if (CHANGES_PACKET.has(name)) forgetPacketPointers(p)
  if (kfunc.isIteratorNext) {
    if (facts.iterator === undefined) throw p.refuse(EFAULT, 'verifier bug: no iterator')
    nextElement(p, facts.iterator)
  }
  p.index++
  return false
}
