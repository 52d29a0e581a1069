/**
 * Functions that are verified on their own: what their BTF says of their arguments is all that may be relied on, inside
 * and by callers.
 *
 * Source: btf_prepare_func_args in kernel/bpf/btf.c, btf_check_func_arg_match in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import { BTF_KIND, type Btf, type BtfId, type BtfType, essentialName } from '../../btf/index.ts'
import { BASE, FLAG } from '../domain/kinds.ts'
import { pointer, type Register, unknownScalar } from '../domain/register.ts'
import type { Subprogram } from '../flow/subprograms.ts'
import { isNull, type Proof } from '../proof.ts'
import { EFAULT, EINVAL, EOPNOTSUPP } from '../refusal.ts'
import { type ArgumentKind, checkKind, newFacts } from './argument-kinds.ts'
import { checkArgumentOffset } from './arguments.ts'
import { DYNPTR_TYPE } from './dynptr.ts'
import { checkDynptrArgument } from './dynptr-arguments.ts'
import { checkFixedMemory } from './helper-memory.ts'

export type FunctionArgument =
  | { readonly kind: 'scalar' }
  | { readonly kind: 'context' }
  | { readonly kind: 'dynptr' }
  | { readonly kind: 'arena' }
  | {
      readonly kind: 'memory'
      readonly size: number
      readonly maybeNull: boolean
      readonly untrusted: boolean
    }
  | {
      readonly kind: 'object'
      readonly btfId: number
      readonly maybeNull: boolean
      readonly untrusted: boolean
    }

const T = BPF_PROG_TYPE
const SKB_TYPES: readonly number[] = [
  T.BPF_PROG_TYPE_SOCKET_FILTER,
  T.BPF_PROG_TYPE_SCHED_CLS,
  T.BPF_PROG_TYPE_SCHED_ACT,
  T.BPF_PROG_TYPE_CGROUP_SKB,
  T.BPF_PROG_TYPE_LWT_IN,
  T.BPF_PROG_TYPE_LWT_OUT,
  T.BPF_PROG_TYPE_LWT_XMIT,
  T.BPF_PROG_TYPE_LWT_SEG6LOCAL,
  T.BPF_PROG_TYPE_SK_SKB,
  T.BPF_PROG_TYPE_FLOW_DISSECTOR,
]

/** Struct that programs of a type see as their context. */
export const CONTEXT_STRUCTS: Readonly<Record<number, string>> = {
  ...Object.fromEntries(SKB_TYPES.map((type) => [type, '__sk_buff'])),
  [T.BPF_PROG_TYPE_XDP]: 'xdp_md',
  [T.BPF_PROG_TYPE_CGROUP_SOCK]: 'bpf_sock',
  [T.BPF_PROG_TYPE_CGROUP_SOCK_ADDR]: 'bpf_sock_addr',
  [T.BPF_PROG_TYPE_PERF_EVENT]: 'bpf_perf_event_data',
  [T.BPF_PROG_TYPE_RAW_TRACEPOINT]: 'bpf_raw_tracepoint_args',
  [T.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE]: 'bpf_raw_tracepoint_args',
  [T.BPF_PROG_TYPE_SOCK_OPS]: 'bpf_sock_ops',
  [T.BPF_PROG_TYPE_SK_MSG]: 'sk_msg_md',
  [T.BPF_PROG_TYPE_CGROUP_DEVICE]: 'bpf_cgroup_dev_ctx',
  [T.BPF_PROG_TYPE_CGROUP_SYSCTL]: 'bpf_sysctl',
  [T.BPF_PROG_TYPE_CGROUP_SOCKOPT]: 'bpf_sockopt',
  [T.BPF_PROG_TYPE_SK_REUSEPORT]: 'sk_reuseport_md',
  [T.BPF_PROG_TYPE_SK_LOOKUP]: 'bpf_sk_lookup',
  [T.BPF_PROG_TYPE_NETFILTER]: 'bpf_nf_ctx',
  [T.BPF_PROG_TYPE_KPROBE]: 'bpf_user_pt_regs_t',
}

/** What the kernel has where programs see the first. */
const PROJECTIONS: Readonly<Record<string, string>> = { __sk_buff: 'sk_buff', xdp_md: 'xdp_buff' }
export const isProjection = (wanted: string, have: string): boolean => PROJECTIONS[wanted] === have

/** Is the pointer's target, by name, what programs of this type get? */
export function isContextPointer(programType: number, btf: Btf, target: BtfId): boolean {
  const wanted = CONTEXT_STRUCTS[programType]
  let id = target
  for (let i = 0; i < 32; i++) {
    const type = btf.typeById(id)
    if (type.kind === BTF_KIND.TYPEDEF && type.name === 'bpf_user_pt_regs_t') {
      return programType === T.BPF_PROG_TYPE_KPROBE
    }
    if (
      type.kind === BTF_KIND.TYPEDEF ||
      type.kind === BTF_KIND.CONST ||
      type.kind === BTF_KIND.VOLATILE ||
      type.kind === BTF_KIND.RESTRICT ||
      type.kind === BTF_KIND.TYPE_TAG
    ) {
      id = type.type
      continue
    }
    if (type.kind !== BTF_KIND.STRUCT || type.name === '') return false
    // The register struct of the processor is what the typedef stands for.
    if (programType === T.BPF_PROG_TYPE_KPROBE && type.name === 'pt_regs') return true
    return type.name === wanted || (wanted !== undefined && PROJECTIONS[wanted] === type.name)
  }
  return false
}

/** Types that a tag `arg:ctx` may stand on beside the canonical one. */
function isAlternativeContext(p: Proof, type: BtfType): boolean {
  const { programType, expectedAttachType } = p.input
  const isWord = type.kind === BTF_KIND.INT && type.size === 8
  switch (programType) {
    case T.BPF_PROG_TYPE_KPROBE:
      return type.kind === BTF_KIND.STRUCT && type.name === 'pt_regs'
    case T.BPF_PROG_TYPE_PERF_EVENT:
      return type.kind === BTF_KIND.STRUCT && type.name === 'pt_regs'
    case T.BPF_PROG_TYPE_RAW_TRACEPOINT:
    case T.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE:
    case T.BPF_PROG_TYPE_LSM:
    case T.BPF_PROG_TYPE_STRUCT_OPS:
      return isWord
    case T.BPF_PROG_TYPE_TRACING:
      if (expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_RAW_TP) {
        return isWord || (type.kind === BTF_KIND.STRUCT && type.name === 'bpf_raw_tracepoint_args')
      }
      if (expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_ITER) {
        return type.kind === BTF_KIND.STRUCT && type.name.startsWith('bpf_iter__')
      }
      return isWord
    case T.BPF_PROG_TYPE_TRACEPOINT:
    case T.BPF_PROG_TYPE_SYSCALL:
    case T.BPF_PROG_TYPE_EXT:
      return true
    default:
      return false
  }
}

/** Names of type kinds in messages. */
export const KIND_WORDS: Readonly<Record<number, string>> = {
  0: 'UNKNOWN',
  1: 'INT',
  2: 'PTR',
  3: 'ARRAY',
  4: 'STRUCT',
  5: 'UNION',
  6: 'ENUM',
  7: 'FWD',
  12: 'FUNC',
  13: 'FUNC_PROTO',
  16: 'FLOAT',
  19: 'ENUM64',
}

function tagsOf(p: Proof, btf: Btf, functionId: number, parameter: number, isGlobal: boolean): Set<string> {
  const tags = new Set<string>()
  for (const id of btf.declTags) {
    const tag = btf.typeById(id)
    if (tag.kind !== BTF_KIND.DECL_TAG || tag.type !== functionId || tag.component !== parameter) continue
    if (!tag.name.startsWith('arg:')) continue
    if (!isGlobal) {
      throw p.refuse(EOPNOTSUPP, `arg#${parameter} type tag is not supported in static functions`)
    }
    const word = tag.name.slice(4)
    if (!['ctx', 'trusted', 'untrusted', 'nonnull', 'nullable', 'arena'].includes(word)) {
      throw p.refuse(EOPNOTSUPP, `arg#${parameter} has unsupported set of tags`)
    }
    tags.add(word)
  }
  return tags
}

/** The kernel's type of this name: what a trusted or untrusted pointer argument points to. */
function kernelTypeOf(p: Proof, btf: Btf, target: BtfId, n: number): number {
  const type = btf.typeById(btf.resolve(target))
  const name = essentialName(type.name)
  const id =
    type.kind === BTF_KIND.STRUCT || type.kind === BTF_KIND.UNION || type.kind === BTF_KIND.FWD
      ? p.kernel?.find(name, type.kind === BTF_KIND.UNION ? BTF_KIND.UNION : BTF_KIND.STRUCT)
      : undefined
  if (id === undefined) {
    throw p.refuse(EINVAL, `arg#${n} reference type('${KIND_WORDS[type.kind]} ${type.name}') has no matches`)
  }
  return id
}

/** Arguments of a function, from its BTF. Throws a refusal with the message that Linux logs. */
export function describeArguments(p: Proof, index: number): readonly FunctionArgument[] {
  const s = p.subprograms[index] as Subprogram
  const known = p.functionArguments.get(index)
  if (known !== undefined) return known
  const btf = p.input.btf
  const { isGlobal, name } = s
  if (btf === undefined || p.input.functions.length === 0) throw p.refuse(EFAULT, 'Verifier bug')
  const fn = btf.typeById(s.typeId as BtfId)
  const prototype = fn.kind === BTF_KIND.FUNC ? btf.typeById(fn.type) : undefined
  if (prototype?.kind !== BTF_KIND.FUNC_PROTO) throw p.refuse(EFAULT, `Invalid type of function ${name}()`)
  const { parameters } = prototype
  if (parameters.length > 5) {
    if (!isGlobal) throw p.refuse(EINVAL, '')
    throw p.refuse(EINVAL, `Global function ${name}() with ${parameters.length} > 5 args. Buggy compiler.`)
  }
  const isScalar = (type: BtfType): boolean =>
    type.kind === BTF_KIND.INT || type.kind === BTF_KIND.ENUM || type.kind === BTF_KIND.ENUM64
  if (!isScalar(btf.typeById(btf.resolve(prototype.returns)))) {
    if (!isGlobal) throw p.refuse(EINVAL, '')
    throw p.refuse(EINVAL, `Global function ${name}() doesn't return scalar. Only those are supported.`)
  }
  const found = parameters.map((parameter, n): FunctionArgument => {
    const tags = tagsOf(p, btf, s.typeId, n, isGlobal)
    const combination = () => p.refuse(EINVAL, `arg#${n} has invalid combination of tags`)
    const type = btf.typeById(btf.resolve(parameter.type))
    if (type.kind === BTF_KIND.PTR) {
      const targetId = btf.resolve(type.type)
      const target = btf.typeById(targetId)
      const isContextType = isContextPointer(p.input.programType, btf, type.type)
      if (tags.has('ctx') || isContextType) {
        if (tags.size > (tags.has('ctx') ? 1 : 0)) throw combination()
        const isContext = targetId === 0 || isContextType || isAlternativeContext(p, target)
        if (tags.has('ctx') && !isContext) {
          throw p.refuse(EINVAL, `arg#${n} arg:ctx is not a pointer to the program's context`)
        }
        return { kind: 'context' }
      }
      if (
        target.kind === BTF_KIND.STRUCT &&
        (target.name === 'bpf_dynptr' || target.name === 'bpf_dynptr_kern')
      ) {
        if (tags.size > 0) throw combination()
        return { kind: 'dynptr' }
      }
      if (tags.has('trusted')) {
        if (tags.has('nonnull')) throw combination()
        return {
          kind: 'object',
          btfId: kernelTypeOf(p, btf, type.type, n),
          maybeNull: tags.has('nullable'),
          untrusted: false,
        }
      }
      if (tags.has('untrusted')) {
        if (tags.size > 1) {
          throw p.refuse(EINVAL, `arg#${n} untrusted cannot be combined with any other tags`)
        }
        const isPrimitive = targetId === 0 || isScalar(target) || target.kind === BTF_KIND.FLOAT
        if (isPrimitive) return { kind: 'memory', size: 0, maybeNull: false, untrusted: true }
        return {
          kind: 'object',
          btfId: kernelTypeOf(p, btf, type.type, n),
          maybeNull: false,
          untrusted: true,
        }
      }
      if (tags.has('arena')) {
        if (tags.size > 1) {
          throw p.refuse(EINVAL, `arg#${n} arena cannot be combined with any other tags`)
        }
        return { kind: 'arena' }
      }
      if (isGlobal) {
        if (tags.has('nullable')) throw combination()
        const size = btf.sizeOf(targetId)
        if (size === undefined) {
          const word = KIND_WORDS[target.kind] ?? 'UNKNOWN'
          const targetName = target.kind === BTF_KIND.UNKN ? '' : target.name
          throw p.refuse(
            EINVAL,
            `arg#${n} reference type('${word} ${targetName}') size cannot be determined: -22`,
          )
        }
        return { kind: 'memory', size, maybeNull: !tags.has('nonnull'), untrusted: false }
      }
    }
    if (tags.size > 0) throw p.refuse(EINVAL, `arg#${n} has pointer tag, but is not a pointer type`)
    if (isScalar(type)) return { kind: 'scalar' }
    if (!isGlobal) throw p.refuse(EINVAL, '')
    throw p.refuse(
      EINVAL,
      `Arg#${n} type ${KIND_WORDS[type.kind] ?? 'UNKNOWN'} in ${name}() is not supported yet.`,
    )
  })
  p.functionArguments.set(index, found)
  return found
}

/** What a register holds where such a function begins. */
export function argumentRegister(p: Proof, argument: FunctionArgument): Register {
  switch (argument.kind) {
    case 'context':
      return pointer(BASE.CTX)
    case 'dynptr': {
      const r = pointer(BASE.DYNPTR)
      r.dynptrType = DYNPTR_TYPE.LOCAL
      r.firstSlot = true
      r.id = p.newId()
      return r
    }
    case 'memory': {
      const r = pointer(
        BASE.MEM |
          (argument.maybeNull ? FLAG.MAYBE_NULL : 0) |
          (argument.untrusted ? FLAG.UNTRUSTED | FLAG.RDONLY : 0),
      )
      r.memSize = argument.size
      if (argument.maybeNull) r.id = p.newId()
      return r
    }
    case 'object': {
      const r = pointer(
        BASE.BTF_ID |
          (argument.maybeNull ? FLAG.MAYBE_NULL : 0) |
          (argument.untrusted ? FLAG.UNTRUSTED : FLAG.TRUSTED),
      )
      r.btf = p.kernel
      r.btfId = argument.btfId
      r.id = p.newId()
      return r
    }
    default:
      return unknownScalar()
  }
}

const OBJECT: ArgumentKind = {
  type: 'ARG_PTR_TO_BTF_ID',
  maybeNull: false,
  readOnly: false,
  isRelease: false,
  uninitialised: false,
  writes: false,
  fixedSize: 0,
  aligned: false,
  btfType: undefined,
  dynptr: 0,
}

/** Do the caller's registers fit? Throws a refusal if not. */
export function checkGlobalArguments(p: Proof, index: number): void {
  const expected = describeArguments(p, index)
  expected.forEach((argument, i) => {
    const n = i + 1
    const r = p.reg(n)
    switch (argument.kind) {
      case 'scalar':
        if (r.kind !== BASE.SCALAR) throw p.refuse(EINVAL, `R${n} is not a scalar`)
        return
      case 'context':
        checkArgumentOffset(p, r, n, false, false)
        if (r.kind !== BASE.CTX) throw p.refuse(EINVAL, `arg#${i} expects pointer to ctx`)
        return
      case 'memory':
        if (argument.untrusted) return
        checkArgumentOffset(p, r, n, false, false)
        checkFixedMemory(p, n, argument.size)
        // Null itself is no pointer that may be null; Linux lets it pass.
        if (!argument.maybeNull && (r.kind & FLAG.MAYBE_NULL || isNull(r))) {
          throw p.refuse(EINVAL, `arg#${i} is expected to be non-NULL`)
        }
        return
      case 'arena':
        if (r.kind !== BASE.ARENA && r.kind !== BASE.SCALAR) {
          throw p.refuse(EINVAL, `R${n} is not a pointer to arena or scalar.`)
        }
        return
      case 'dynptr':
        checkArgumentOffset(p, r, n, false, true)
        checkDynptrArgument(p, n, { flags: 0, uninitialised: false, readOnly: true, cloneOf: 0 })
        return
      case 'object':
        if (argument.untrusted || (isNull(r) && argument.maybeNull)) return
        checkKind(p, n, { ...OBJECT, maybeNull: argument.maybeNull }, argument.btfId, newFacts(0, false))
        checkArgumentOffset(p, r, n, false, false)
    }
  })
}
