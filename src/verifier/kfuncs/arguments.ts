/**
 * Arguments of the kernel's functions: what each may be follows from its type, and from how its name ends.
 *
 * Source: check_kfunc_args, get_kfunc_ptr_arg_type in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BTF_KIND, type Btf } from '../../btf/index.ts'
import { checkArgumentOffset, checkConstantString, checkMapField } from '../checks/arguments.ts'
import { checkFixedMemory } from '../checks/helper-memory.ts'
import { checkLock } from '../checks/locks.ts'
import { BASE, FLAG, kindName } from '../domain/kinds.ts'
import { isAllocatedObject, isNonOwning, isNull, isRcu, isTrusted, mayBeNull, type Proof } from '../proof.ts'
import { EACCES, EFAULT, EINVAL } from '../refusal.ts'
import {
  checkDynptr,
  checkIrqFlag,
  checkIterator,
  checkMap,
  checkObject,
  checkScalar,
  checkSizedArgument,
} from './argument-checks.ts'
import { type KfuncFacts, newKfuncFacts } from './facts.ts'
import { checkGraphNode, checkGraphRoot } from './graph.ts'
import { RESILIENT_LOCKS } from './names.ts'
import { isScalarType, nameOf, pointerKind, resolved, wordOf } from './parameter-kind.ts'
import type { Kfunc, Parameter } from './table.ts'

/** Returns how many arguments were dealt with. */
function checkPointer(p: Proof, kfunc: Kfunc, index: number, facts: KfuncFacts): number {
  const { btf, flags, name, parameters } = kfunc
  const n = index + 1
  const r = p.reg(n)
  const parameter = parameters[index] as Parameter
  const type = resolved(btf, parameter.type)
  if (type.kind !== BTF_KIND.PTR) {
    throw p.refuse(EINVAL, `Unrecognized arg#${index} type ${wordOf(type)}`)
  }
  const isRelease = flags.has('RELEASE')
  const needsTrust = isRelease || flags.has('TRUSTED_ARGS')
  const needsRcu = flags.has('RCU')
  if (
    (needsTrust || needsRcu) &&
    (isNull(r) || mayBeNull(r.kind)) &&
    !parameter.name.endsWith('__nullable')
  ) {
    throw p.refuse(EACCES, `Possibly NULL pointer passed to trusted arg${index}`)
  }
  if (r.refObjId !== 0) {
    if (isRelease && facts.refObjId !== 0) {
      throw p.refuse(
        EFAULT,
        `verifier bug: more than one arg with ref_obj_id R${n} ${r.refObjId} ${facts.refObjId}`,
      )
    }
    facts.refObjId = r.refObjId
    if (isRelease) facts.released = n
  }
  const targetId = btf.resolve(type.type)
  const target = btf.typeById(targetId)
  const kind = pointerKind(p, kfunc, index, type, target)
  if (kind === 'null') return 1
  if (kind === 'map') checkMap(p, n, facts)
  if (kind === 'map' || kind === 'allocated' || kind === 'object') {
    if ((needsTrust || needsRcu) && !isTrusted(r)) {
      if (!needsRcu) throw p.refuse(EINVAL, `R${n} must be referenced or trusted`)
      if (!isRcu(r)) throw p.refuse(EINVAL, `R${n} must be a rcu pointer`)
    }
  }
  checkArgumentOffset(p, r, n, isRelease && r.refObjId !== 0, false)
  switch (kind) {
    case 'context':
      if (r.kind !== BASE.CTX) {
        throw p.refuse(EINVAL, `arg#${index} expected pointer to ctx, but got ${kindName(r.kind)}`)
      }
      return 1
    case 'allocated':
      if (r.kind === (BASE.BTF_ID | FLAG.ALLOC)) {
        if (name !== 'bpf_obj_drop_impl') {
          throw p.refuse(EINVAL, `arg#${index} expected for bpf_obj_drop_impl()`)
        }
      } else if (r.kind === (BASE.BTF_ID | FLAG.ALLOC | FLAG.PERCPU)) {
        if (name !== 'bpf_percpu_obj_drop_impl') {
          throw p.refuse(EINVAL, `arg#${index} expected for bpf_percpu_obj_drop_impl()`)
        }
      } else throw p.refuse(EINVAL, `arg#${index} expected pointer to allocated object`)
      if (r.refObjId === 0) throw p.refuse(EINVAL, 'allocated object must be referenced')
      facts.object = { btf: r.btf as Btf, btfId: r.btfId }
      return 1
    case 'refcounted': {
      if (!isAllocatedObject(r.kind)) {
        throw p.refuse(EINVAL, `arg#${index} is neither owning or non-owning ref`)
      }
      if (!isNonOwning(r.kind)) facts.isOwning = true
      const record = p.records.of(r)
      if (record === undefined) throw p.refuse(EFAULT, "verifier bug: Couldn't find btf_record")
      if (record.refcountOffset < 0) {
        throw p.refuse(EINVAL, `arg#${index} doesn't point to a type with bpf_refcount field`)
      }
      facts.object = { btf: r.btf as Btf, btfId: r.btfId }
      return 1
    }
    case 'dynptr':
      checkDynptr(p, kfunc, index, facts)
      return 1
    case 'iterator':
      checkIterator(p, kfunc, index, facts)
      return 1
    case 'list head':
      facts.root = checkGraphRoot(p, n, kfunc, 'list_head')
      return 1
    case 'tree root':
      facts.root = checkGraphRoot(p, n, kfunc, 'rb_root')
      return 1
    case 'list node':
      facts.object = checkGraphNode(p, n, kfunc, 'list_node', facts.root)
      return 1
    case 'tree node':
      facts.object = checkGraphNode(p, n, kfunc, 'rb_node', facts.root)
      return 1
    case 'string':
      if (r.kind !== BASE.MAP_VALUE) {
        throw p.refuse(EINVAL, `arg#${index} doesn't point to a const string`)
      }
      checkConstantString(p, r, n)
      return 1
    case 'map': {
      const id = p.kernel?.find('bpf_map', BTF_KIND.STRUCT)
      // A kernel whose types do not tell of maps has no other pointers to them.
      if (id === undefined && r.kind === BASE.CONST_MAP) return 1
      if (p.kernel === undefined || id === undefined) throw p.refuse(EFAULT, 'verifier bug: no bpf_map')
      checkObject(p, kfunc, index, { btf: p.kernel, id, type: p.kernel.typeById(id) })
      return 1
    }
    case 'object':
      checkObject(p, kfunc, index, { btf, id: targetId, type: target })
      return 1
    case 'work queue':
    case 'task work':
      if (r.kind !== BASE.MAP_VALUE) throw p.refuse(EINVAL, `arg#${index} doesn't point to a map value`)
      checkMapField(p, r, n, kind === 'work queue' ? 'wq' : 'task_work', facts)
      return 1
    case 'irq flag':
      checkIrqFlag(p, kfunc, n)
      return 1
    case 'resilient lock':
      if (r.kind !== BASE.MAP_VALUE && r.kind !== (BASE.BTF_ID | FLAG.ALLOC)) {
        throw p.refuse(EINVAL, `arg#${index} doesn't point to map value or allocated object`)
      }
      if (!RESILIENT_LOCKS.has(name)) throw p.refuse(EFAULT, '')
      checkLock(p, n, {
        isLock: name.startsWith('bpf_res_spin_lock'),
        isResilient: true,
        savesInterrupts: name.includes('irq'),
      })
      return 1
    case 'callback':
      if (r.kind !== BASE.FUNC) throw p.refuse(EINVAL, `arg${index} expected pointer to func`)
      facts.subprogram = r.subprogram
      return 1
    case 'memory': {
      const size = btf.sizeOf(targetId)
      if (size === undefined) {
        throw p.refuse(
          EINVAL,
          `arg#${index} reference type('${wordOf(target)} ${nameOf(target)}') size cannot be determined: -22`,
        )
      }
      checkFixedMemory(p, n, size)
      return 1
    }
    case 'sized memory':
      checkSizedArgument(p, kfunc, index, facts)
      return 2
  }
}

export function checkKfuncArguments(p: Proof, kfunc: Kfunc): KfuncFacts {
  const facts = newKfuncFacts()
  const { btf, name, parameters, flags } = kfunc
  if (parameters.length > 5) {
    throw p.refuse(EINVAL, `Function ${name} has ${parameters.length} > 5 args`)
  }
  for (let i = 0; i < parameters.length; ) {
    const parameter = parameters[i] as Parameter
    const ends = (suffix: string): boolean => parameter.name.endsWith(suffix)
    if (ends('__ign') || ends('__prog')) {
      i++
      continue
    }
    if (isScalarType(resolved(btf, parameter.type))) {
      checkScalar(p, kfunc, i, facts)
      i++
    } else i += checkPointer(p, kfunc, i, facts)
  }
  if (flags.has('RELEASE') && facts.released === 0) {
    throw p.refuse(EINVAL, `release kernel function ${name} expects refcounted PTR_TO_BTF_ID`)
  }
  return facts
}
