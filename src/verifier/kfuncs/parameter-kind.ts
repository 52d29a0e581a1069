/**
 * What a parameter of a kernel function is, from its type, its name and the register that is passed.
 *
 * Source: get_kfunc_ptr_arg_type in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BTF_KIND, type Btf, type BtfId, type BtfType } from '../../btf/index.ts'
import { isContextPointer, KIND_WORDS } from '../checks/global-functions.ts'
import { BASE, baseOf } from '../domain/kinds.ts'
import type { Register } from '../domain/register.ts'
import { isNull, type Proof } from '../proof.ts'
import { EINVAL } from '../refusal.ts'
import type { Kfunc, Parameter } from './table.ts'

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
export const SOCKET_STRUCTS: ReadonlyMap<number, string> = new Map([
  [BASE.SOCKET, 'sock'],
  [BASE.SOCK_COMMON, 'sock_common'],
  [BASE.TCP_SOCK, 'tcp_sock'],
  [BASE.CONST_MAP, 'bpf_map'],
])

export const isScalarType = (type: BtfType): boolean =>
  type.kind === BTF_KIND.INT || type.kind === BTF_KIND.ENUM || type.kind === BTF_KIND.ENUM64

export const isStructType = (type: BtfType): boolean =>
  type.kind === BTF_KIND.STRUCT || type.kind === BTF_KIND.UNION

export const nameOf = (type: BtfType): string => ('name' in type ? type.name : '')

export const wordOf = (type: BtfType): string => KIND_WORDS[type.kind] ?? 'UNKNOWN'

export const resolved = (btf: Btf, id: BtfId): BtfType => btf.typeById(btf.resolve(id))

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

export const isSizeOf = (
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

export function pointerKind(
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
  if (name === 'bpf_cast_to_kern_ctx' || isContextPointer(p.input.programType, btf, type.type))
    return 'context'
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
