/**
 * Lists and trees of allocated objects: their heads and nodes as arguments, and what becomes of ownership.
 *
 * Source: process_kf_arg_ptr_to_graph_root, _node, ref_set_non_owning, ref_convert_owning_non_owning,
 * set_rbtree_add_callback_state in kernel/bpf/verifier.c of Linux 6.18.
 */
import type { Btf, BtfId } from '../../btf/index.ts'
import { RETURN_0_OR_1 } from '../checks/calls.ts'
import { typesMatch } from '../checks/struct-access.ts'
import { BASE, FLAG } from '../domain/kinds.ts'
import { pointer, type Register } from '../domain/register.ts'
import type { Proof } from '../proof.ts'
import { FIELD_NAMES, type FieldKind, fieldAt, type Pointee, type RecordField } from '../records/records.ts'
import { EFAULT, EINVAL } from '../refusal.ts'
import { findLock, releaseReference } from '../state/references.ts'
import { EMPTY_REGISTER, type Frame } from '../state/state.ts'
import { LIST_API, TREE_API, TREE_NODE_API } from './names.ts'
import type { Kfunc } from './table.ts'

function constantOffset(p: Proof, r: Register, n: number, what: string): number {
  if (r.mask !== 0n) {
    throw p.refuse(EINVAL, `R${n} doesn't have constant offset. ${what} has to be at the constant offset`)
  }
  return r.off + Number(BigInt.asIntN(32, r.value))
}

/** The lock that guards the allocation must be held. */
function isLocked(p: Proof, r: Register): boolean {
  const { state } = p
  if (state.activeLocks === 0) return false
  const owner = r.kind === BASE.MAP_VALUE ? r.map : r.btf
  if (findLock(state, ['lock', 'resLock', 'resLockIrq'], r.id, owner) !== undefined) return true
  p.say('held lock and object are not in the same allocation\n')
  return false
}

/** A list head or tree root; returns its field. */
export function checkGraphRoot(
  p: Proof,
  n: number,
  kfunc: Kfunc,
  kind: 'list_head' | 'rb_root',
): RecordField {
  const r = p.reg(n)
  if (r.kind !== BASE.MAP_VALUE && r.kind !== (BASE.BTF_ID | FLAG.ALLOC)) {
    throw p.refuse(EINVAL, `arg#${n - 1} expected pointer to map value or allocated object`)
  }
  if (r.kind !== BASE.MAP_VALUE && r.refObjId === 0) {
    throw p.refuse(EINVAL, 'allocated object must be referenced')
  }
  const isKnown = kind === 'list_head' ? LIST_API.has(kfunc.name) : TREE_API.has(kfunc.name)
  const name = FIELD_NAMES[kind]
  if (!isKnown) {
    throw p.refuse(EFAULT, `verifier internal error: ${name} head arg for unknown kfunc`)
  }
  const at = constantOffset(p, r, n, name)
  const record = p.records.of(r)
  const field = fieldAt(record, at, new Set<FieldKind>([kind]))
  if (field === undefined) throw p.refuse(EINVAL, `${name} not found at offset=${at >>> 0}`)
  if (!isLocked(p, r)) {
    const lock = record?.fields.find((f) => f.kind === 'spin_lock')
    throw p.refuse(EINVAL, `bpf_spin_lock at off=${lock?.offset ?? -22} must be held for ${name}`)
  }
  return field
}

/** A node that is put into, taken out of or looked at in the graph behind `root`. */
export function checkGraphNode(
  p: Proof,
  n: number,
  kfunc: Kfunc,
  kind: 'list_node' | 'rb_node',
  root: RecordField | undefined,
): Pointee {
  const r = p.reg(n)
  const isAdded = kind === 'list_node' || kfunc.name === 'bpf_rbtree_add_impl'
  if (isAdded) {
    if (r.kind !== (BASE.BTF_ID | FLAG.ALLOC)) {
      throw p.refuse(EINVAL, `arg#${n - 1} expected pointer to allocated object`)
    }
    if (r.refObjId === 0) throw p.refuse(EINVAL, 'allocated object must be referenced')
  } else {
    const isNonOwning =
      (r.kind & (FLAG.ALLOC | FLAG.NON_OWNING)) === (FLAG.ALLOC | FLAG.NON_OWNING) &&
      (r.kind & FLAG.UNTRUSTED) === 0
    if (!isNonOwning && r.refObjId === 0) {
      throw p.refuse(EINVAL, `${kfunc.name} can only take non-owning or refcounted bpf_rb_node pointer`)
    }
    if (p.inTreeCallback) throw p.refuse(EINVAL, `${kfunc.name} not allowed in rbtree cb`)
  }
  const name = FIELD_NAMES[kind]
  const isKnown =
    kind === 'list_node' ? kfunc.name.startsWith('bpf_list_push_') : TREE_NODE_API.has(kfunc.name)
  if (!isKnown) throw p.refuse(EFAULT, `verifier internal error: ${name} node arg for unknown kfunc`)
  const at = constantOffset(p, r, n, name)
  if (fieldAt(p.records.of(r), at, new Set<FieldKind>([kind])) === undefined) {
    throw p.refuse(EINVAL, `${name} not found at offset=${at >>> 0}`)
  }
  if (root?.pointee === undefined || r.btf === undefined)
    throw p.refuse(EFAULT, 'verifier bug: no graph root')
  const { btf, btfId } = root.pointee
  const element = btf.nameOf(btfId as BtfId)
  if (!typesMatch(p, r.btf, r.btfId, 0, btf, btfId, true)) {
    throw p.refuse(
      EINVAL,
      `operation on ${FIELD_NAMES[root.kind]} expects arg#1 ${name} at offset=${root.nodeOffset} in struct ${element}, but arg is at offset=${at} in struct ${r.btf.nameOf(r.btfId as BtfId)}`,
    )
  }
  if (at !== root.nodeOffset) {
    throw p.refuse(
      EINVAL,
      `arg#1 offset=${at}, but expected ${name} at offset=${root.nodeOffset} in struct ${element}`,
    )
  }
  return { btf: r.btf, btfId: r.btfId }
}

/** A pointer to the node inside an element of the graph. */
export function nodePointer(root: RecordField): Register {
  const r = pointer(BASE.BTF_ID | FLAG.ALLOC)
  r.btf = root.pointee?.btf as Btf
  r.btfId = root.pointee?.btfId ?? 0
  r.off = root.nodeOffset ?? 0
  return r
}

/** In place, for a register that nobody shares yet: it may be used only as long as the lock is held. */
export function makeNonOwning(p: Proof, r: Register): void {
  if (p.state.activeLocks === 0) throw p.refuse(EFAULT, 'verifier bug: ref_set_non_owning w/o active lock')
  const record = p.records.of(r)
  r.kind |= FLAG.NON_OWNING
  if ((record?.refcountOffset ?? -1) >= 0) r.kind |= FLAG.RCU
}

/** The object now belongs to the graph. */
export function giveAway(p: Proof, id: number): void {
  if (!releaseReference(p.state, id)) throw p.refuse(EFAULT, 'verifier bug: ref state missing for ref_obj_id')
  p.state.mapRegisters((r) => {
    if (r.refObjId !== id) return r
    const copy = r.copy()
    copy.refObjId = 0
    makeNonOwning(p, copy)
    return copy
  })
}

/** `less(a, b)` of bpf_rbtree_add: two nodes of the tree. */
export const treeOrderCallback =
  (p: Proof, root: RecordField) =>
  (_caller: Frame, callee: Frame): void => {
    for (let i = 1; i <= 2; i++) {
      const r = nodePointer(root)
      makeNonOwning(p, r)
      callee.regs[i] = r
    }
    for (let i = 3; i <= 5; i++) callee.regs[i] = EMPTY_REGISTER
    callee.inCallback = true
    callee.callbackReturn = RETURN_0_OR_1
  }
