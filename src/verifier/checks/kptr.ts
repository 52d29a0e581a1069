/**
 * Pointers to kernel objects in map values.
 *
 * Source: map_kptr_match_type, btf_ld_kptr_type in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BTF_KIND, type BtfId } from '../../btf/index.ts'
import { BASE, baseOf, FLAG, kindName } from '../domain/kinds.ts'
import { pointer, type Register } from '../domain/register.ts'
import type { Proof } from '../proof.ts'
import { GRAPH_NODES, type Pointee, type RecordField } from '../records/records.ts'
import { EINVAL } from '../refusal.ts'
import { checkUnmodified } from './region.ts'
import { loadedPointer, typesMatch } from './struct-access.ts'

const RCU_PROTECTED: ReadonlySet<string> = new Set([
  'prog_test_ref_kfunc',
  'cgroup',
  'bpf_cpumask',
  'task_struct',
  'bpf_crypto_ctx',
])

export function isRcuProtected(p: Proof, { btf, btfId }: Pointee): boolean {
  return btf !== p.kernel || RCU_PROTECTED.has(btf.nameOf(btfId as BtfId))
}

/** May this pointer be stored there? Throws if not. */
export function kptrMatches(p: Proof, field: RecordField, r: Register, n: number): void {
  const { btf, btfId } = field.pointee as Pointee
  const isLoose = field.kind === 'kptr_unref'
  let allowed: number = FLAG.MAYBE_NULL
  if (r.btf === p.kernel) {
    allowed |= FLAG.TRUSTED | FLAG.RCU
    if (isLoose) allowed |= FLAG.UNTRUSTED
  } else {
    allowed |= FLAG.ALLOC
    if (field.kind === 'kptr_percpu') allowed |= FLAG.PERCPU
  }
  const target = btf.nameOf(btfId as BtfId)
  const refuse = (name: string) => {
    const loose = isLoose ? ` or ${kindName(BASE.BTF_ID | FLAG.UNTRUSTED)}${target}` : ''
    return p.refuse(
      EINVAL,
      `invalid kptr access, R${n} type=${kindName(r.kind)}${name} expected=${kindName(BASE.BTF_ID)}${target}${loose}`,
    )
  }
  if (baseOf(r.kind) !== BASE.BTF_ID || (r.kind & ~0xff & ~allowed) !== 0 || r.btf === undefined)
    throw refuse('')
  checkUnmodified(p, r, n, true)
  if (!typesMatch(p, r.btf, r.btfId, r.off, btf, btfId, !isLoose)) {
    throw refuse(r.btf.nameOf(r.btfId as BtfId))
  }
}

/** What a load of the field gives. */
export function loadKptr(p: Proof, field: RecordField): Register {
  const { btf, btfId } = field.pointee as Pointee
  if (field.kind === 'uptr') {
    const r = pointer(BASE.MEM | FLAG.MAYBE_NULL)
    const type = btf.typeById(btfId as BtfId)
    r.memSize = type.kind === BTF_KIND.STRUCT || type.kind === BTF_KIND.UNION ? type.size : 0
    r.id = p.newId()
    return r
  }
  let flags: number = FLAG.MAYBE_NULL
  const isSafe =
    field.kind === 'kptr_percpu' || (field.kind === 'kptr_ref' && isRcuProtected(p, { btf, btfId }))
  if (isSafe && p.inRcuSection) {
    flags |= FLAG.RCU
    if (field.kind === 'kptr_percpu') flags |= FLAG.PERCPU
    else if (btf !== p.kernel) flags |= FLAG.ALLOC
    const record = p.records.ofStruct(btf, btfId)
    if (record?.fields.some((f) => GRAPH_NODES.has(f.kind))) flags |= FLAG.NON_OWNING
  } else flags |= FLAG.UNTRUSTED
  return loadedPointer(p, btf, btfId, flags)
}
