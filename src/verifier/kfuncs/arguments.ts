/**
 * Arguments of the kernel's functions: what each may be follows from its type, and from how its name ends.
 *
 * Source: check_kfunc_args, get_kfunc_ptr_arg_type in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import { BTF_KIND, type Btf, type BtfId, type BtfType } from '../../btf/index.ts'
import { checkArgumentOffset, checkConstantString, checkMapField } from '../checks/arguments.ts'
import { DYNPTR_TYPE, dynptrFlagOf } from '../checks/dynptr.ts'
import { checkDynptrArgument, dynptrBehind } from '../checks/dynptr-arguments.ts'
import { isContextPointer, isProjection, KIND_WORDS } from '../checks/global-functions.ts'
import { asIfNotNull, checkFixedMemory, checkSizedMemory } from '../checks/helper-memory.ts'
import { IRQ_CLASS, restoreFlags, saveFlags } from '../checks/irq-flags.ts'
import {
  createIterator,
  destroyIterator,
  type IteratorPlace,
  initialisedIterator,
  isUninitialisedIterator,
  iteratorPlace,
} from '../checks/iterators.ts'
import { checkLock } from '../checks/locks.ts'
import { checkMemory } from '../checks/memory.ts'
import { typesMatch } from '../checks/struct-access.ts'
import { BASE, baseOf, FLAG, kindName } from '../domain/kinds.ts'
import type { Register } from '../domain/register.ts'
import type { MapSpec } from '../program.ts'
import { isAllocatedObject, isNonOwning, isNull, isRcu, isTrusted, mayBeNull, type Proof } from '../proof.ts'
import { hasField, type Pointee, type RecordField } from '../records/records.ts'
import { EACCES, EFAULT, EINVAL, Refusal } from '../refusal.ts'
import { markPrecise } from '../state/precision.ts'
import type { Slot } from '../state/state.ts'
import { checkGraphNode, checkGraphRoot } from './graph.ts'
import { RESILIENT_LOCKS } from './names.ts'
import type { Kfunc, Parameter } from './table.ts'

/** What the arguments of one call say. */
export interface KfuncFacts {
  constant: bigint | undefined
  map: MapSpec | undefined
  mapUid: number
  refObjId: number
  /** Register of the reference that the call gives back; 0: none. */
  released: number
  /** Bytes behind the pointer that is returned; 0: its type says. */
  returnSize: number
  returnReadOnly: boolean
  dynptr: { id: number; type: number; refObjId: number } | undefined
  iterator: IteratorPlace | undefined
  subprogram: number
  root: RecordField | undefined
  object: Pointee | undefined
  isOwning: boolean
}

export const newKfuncFacts = (): KfuncFacts => ({
  constant: undefined,
  map: undefined,
  mapUid: 0,
  refObjId: 0,
  released: 0,
  returnSize: 0,
  returnReadOnly: false,
  dynptr: undefined,
  iterator: undefined,
  subprogram: 0,
  root: undefined,
  object: undefined,
  isOwning: false,
})

type PointerKind =
  | 'null'
  | 'context'
  | 'allocated'
  | 'refcounted'
  | 'dynptr'
  | 'iterator'
  | 'list head'
  | 'list node'
  | 'tree root'
  | 'tree node'
  | 'string'
  | 'map'
  | 'work queue'
  | 'task work'
  | 'irq flag'
  | 'resilient lock'
  | 'object'
  | 'callback'
  | 'sized memory'
  | 'memory'

/** Structs that say what an argument is. */
const STRUCT_KINDS: Readonly<Record<string, PointerKind>> = {
  bpf_dynptr: 'dynptr',
  bpf_list_head: 'list head',
  bpf_list_node: 'list node',
  bpf_rb_root: 'tree root',
  bpf_rb_node: 'tree node',
  bpf_wq: 'work queue',
  bpf_task_work: 'task work',
  bpf_res_spin_lock: 'resilient lock',
}

/** Kernel structs of pointers that programs know by another kind. */
const SOCKET_STRUCTS: ReadonlyMap<number, string> = new Map([
  [BASE.SOCKET, 'sock'],
  [BASE.SOCK_COMMON, 'sock_common'],
  [BASE.TCP_SOCK, 'tcp_sock'],
  [BASE.CONST_MAP, 'bpf_map'],
])

export const isScalarType = (type: BtfType): boolean =>
  type.kind === BTF_KIND.INT || type.kind === BTF_KIND.ENUM || type.kind === BTF_KIND.ENUM64
export const isStructType = (type: BtfType): boolean =>
  type.kind === BTF_KIND.STRUCT || type.kind === BTF_KIND.UNION
const nameOf = (type: BtfType): string => ('name' in type ? type.name : '')
const wordOf = (type: BtfType): string => KIND_WORDS[type.kind] ?? 'UNKNOWN'

const resolved = (btf: Btf, id: BtfId): BtfType => btf.typeById(btf.resolve(id))

/** Nothing but numbers, four levels deep at most. */
export function isScalarStruct(p: Proof, btf: Btf, type: BtfType, depth = 0): boolean {
  if (type.kind !== BTF_KIND.STRUCT && type.kind !== BTF_KIND.UNION) return false
  for (const member of type.members) {
    let inner = resolved(btf, member.type)
    if (isStructType(inner)) {
      if (depth >= 3) {
        p.say('max struct nesting depth exceeded\n')
        return false
      }
      if (!isScalarStruct(p, btf, inner, depth + 1)) return false
      continue
    }
    if (inner.kind === BTF_KIND.ARRAY) {
      if (inner.count === 0) return false
      inner = resolved(btf, inner.element)
    }
    if (!isScalarType(inner)) return false
  }
  return true
}

const isSizeOf = (
  btf: Btf,
  parameter: Parameter | undefined,
  r: Register,
): 'size' | 'constant' | undefined => {
  if (parameter === undefined || r.kind !== BASE.SCALAR) return undefined
  if (!isScalarType(resolved(btf, parameter.type))) return undefined
  if (parameter.name.endsWith('__szk')) return 'constant'
  return parameter.name.endsWith('__sz') ? 'size' : undefined
}

const isIteratorFunction = ({ flags }: Kfunc): boolean =>
  flags.has('ITER_NEW') || flags.has('ITER_NEXT') || flags.has('ITER_DESTROY')

function pointerKind(
  p: Proof,
  kfunc: Kfunc,
  index: number,
  type: { readonly type: BtfId },
  target: BtfType,
): PointerKind {
  const { btf, parameters, name } = kfunc
  const parameter = parameters[index] as Parameter
  const r = p.reg(index + 1)
  const ends = (suffix: string): boolean => parameter.name.endsWith(suffix)
  if (name === 'bpf_cast_to_kern_ctx' || isContextPointer(p, btf, type.type)) return 'context'
  if (ends('__nullable') && isNull(r)) return 'null'
  if (ends('__alloc')) return 'allocated'
  if (ends('__refcounted_kptr')) return 'refcounted'
  const struct = target.kind === BTF_KIND.STRUCT && btf === p.kernel ? STRUCT_KINDS[target.name] : undefined
  if (struct === 'dynptr') return struct
  if (isIteratorFunction(kfunc) ? index === 0 : ends('__iter')) return 'iterator'
  if (struct === 'list head' || struct === 'list node' || struct === 'tree root' || struct === 'tree node') {
    return struct
  }
  if (ends('__str')) return 'string'
  if (ends('__map')) return 'map'
  if (struct === 'work queue' || struct === 'task work') return struct
  if (ends('__irq_flag')) return 'irq flag'
  if (struct === 'resilient lock') return struct
  const base = baseOf(r.kind)
  if (base === BASE.BTF_ID || SOCKET_STRUCTS.has(base)) {
    if (!isStructType(target)) {
      throw p.refuse(
        EINVAL,
        `kernel function ${name} args#${index} pointer type ${wordOf(target)} ${nameOf(target)} is not supported`,
      )
    }
    return 'object'
  }
  if (target.kind === BTF_KIND.FUNC_PROTO) return 'callback'
  const isSized =
    index + 1 < parameters.length && isSizeOf(btf, parameters[index + 1], p.reg(index + 2)) !== undefined
  const isMemory =
    isScalarType(target) || isScalarStruct(p, btf, target) || (isSized && target.kind === BTF_KIND.UNKN)
  if (!isMemory) {
    throw p.refuse(
      EINVAL,
      `arg#${index} pointer type ${wordOf(target)} ${nameOf(target)} must point to ${isSized ? 'void, ' : ''}scalar, or struct with scalar`,
    )
  }
  return isSized ? 'sized memory' : 'memory'
}

const TRUSTED_FLAGS = FLAG.ALLOC | FLAG.TRUSTED | FLAG.NON_OWNING

/** A pointer to the right struct. */
function checkObject(
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
  if (isProjection(wantedName, haveName)) return
  if (typesMatch(btf, id, r.off, wanted.btf, wanted.id, strict)) return
  throw p.refuse(
    EINVAL,
    `kernel function ${kfunc.name} args#${index} expected pointer to ${wordOf(wanted.type)} ${wantedName} but R${index + 1} has a pointer to ${wordOf(have)} ${haveName}`,
  )
}

function checkIterator(p: Proof, kfunc: Kfunc, index: number, facts: KfuncFacts): void {
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
  facts.iterator = place
  facts.refObjId = (p.frameOf(r).stack[place.slot] as Slot).register.refObjId
  if (flags.has('ITER_DESTROY')) destroyIterator(p, r, count)
}

function checkDynptr(p: Proof, kfunc: Kfunc, index: number, facts: KfuncFacts): void {
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

function checkScalar(p: Proof, kfunc: Kfunc, index: number, facts: KfuncFacts): void {
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

function checkMap(p: Proof, n: number, facts: KfuncFacts): void {
  const r = p.reg(n)
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

function checkSizedArgument(p: Proof, kfunc: Kfunc, index: number, facts: KfuncFacts): void {
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

function checkIrqFlag(p: Proof, kfunc: Kfunc, n: number): void {
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
