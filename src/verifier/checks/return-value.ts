/**
 * What a program must return.
 *
 * Source: check_return_code in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BPF_ATTACH_TYPE as A, BPF_PROG_TYPE as T } from '../../abi/index.ts'
import { BASE } from '../domain/kinds.ts'
import { S32_MAX, S32_MIN } from '../domain/register.ts'
import { lsmReturns } from '../program-types/lsm-hooks.ts'
import type { Proof } from '../proof.ts'
import { EINVAL, ENOTSUPP } from '../refusal.ts'
import { markPrecise } from '../state/precision.ts'
import type { ReturnRange } from '../state/state.ts'
import { outOfRangeText } from './calls.ts'
import { checkUnmodified } from './region.ts'

const ALWAYS_1: readonly number[] = [
  A.BPF_CGROUP_UDP4_RECVMSG,
  A.BPF_CGROUP_UDP6_RECVMSG,
  A.BPF_CGROUP_UNIX_RECVMSG,
  A.BPF_CGROUP_INET4_GETPEERNAME,
  A.BPF_CGROUP_INET6_GETPEERNAME,
  A.BPF_CGROUP_UNIX_GETPEERNAME,
  A.BPF_CGROUP_INET4_GETSOCKNAME,
  A.BPF_CGROUP_INET6_GETSOCKNAME,
  A.BPF_CGROUP_UNIX_GETSOCKNAME,
]

const range = (min: number, max: number): ReturnRange => ({ min, max })

interface Rule {
  readonly range: ReturnRange
  readonly is32?: boolean
}

/** The range for the program's type; undefined: anything. */
function ruleOf(p: Proof): Rule | undefined {
  const { programType, expectedAttachType } = p.input
  const bool: Rule = { range: range(0, 1) }
  switch (programType) {
    case T.BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
      if (ALWAYS_1.includes(expectedAttachType)) return { range: range(1, 1) }
      if (expectedAttachType === A.BPF_CGROUP_INET4_BIND || expectedAttachType === A.BPF_CGROUP_INET6_BIND) {
        return { range: range(0, 3) }
      }
      return bool
    case T.BPF_PROG_TYPE_CGROUP_SKB:
      return expectedAttachType === A.BPF_CGROUP_INET_EGRESS ? { range: range(0, 3) } : bool
    case T.BPF_PROG_TYPE_CGROUP_SOCK:
    case T.BPF_PROG_TYPE_SOCK_OPS:
    case T.BPF_PROG_TYPE_CGROUP_DEVICE:
    case T.BPF_PROG_TYPE_CGROUP_SYSCTL:
    case T.BPF_PROG_TYPE_CGROUP_SOCKOPT:
    case T.BPF_PROG_TYPE_SK_LOOKUP:
    case T.BPF_PROG_TYPE_NETFILTER:
      return bool
    case T.BPF_PROG_TYPE_RAW_TRACEPOINT:
      return p.input.attach === undefined ? undefined : { range: range(0, 0) }
    case T.BPF_PROG_TYPE_TRACING:
      switch (expectedAttachType) {
        case A.BPF_TRACE_FENTRY:
        case A.BPF_TRACE_FEXIT:
          return { range: range(0, 0) }
        case A.BPF_TRACE_RAW_TP:
        case A.BPF_MODIFY_RETURN:
          return undefined
        case A.BPF_TRACE_ITER:
          return bool
        default:
          throw p.refuse(ENOTSUPP, '')
      }
    case T.BPF_PROG_TYPE_KPROBE:
      return expectedAttachType === A.BPF_TRACE_KPROBE_SESSION ||
        expectedAttachType === A.BPF_TRACE_UPROBE_SESSION
        ? bool
        : undefined
    case T.BPF_PROG_TYPE_LSM:
      if (expectedAttachType !== A.BPF_LSM_CGROUP) {
        const lsm = lsmReturns(p)
        if (lsm === undefined || (lsm.min === S32_MIN && lsm.max === S32_MAX)) return undefined
        return { range: lsm, is32: true }
      }
      return p.target?.prototype?.returns === 0 ? { range: range(1, 1) } : bool
    case T.BPF_PROG_TYPE_STRUCT_OPS:
      return p.structOpsReturnsObject ? { range: range(0, 0) } : undefined
    default:
      return undefined
  }
}

/** The program, or a function verified on its own, ends with what r0 (or for exceptions r1) holds. */
export function checkReturnValue(p: Proof, n: number): void {
  const frame = p.state.frames[0]!
  const isSubprogram = frame.subprogram !== 0
  const { programType, expectedAttachType } = p.input
  const isMain = !isSubprogram || frame.inExceptionCallback
  const isVoid = p.target?.prototype?.returns === 0
  if (isMain) {
    if (programType === T.BPF_PROG_TYPE_LSM && expectedAttachType !== A.BPF_LSM_CGROUP && isVoid) return
    if (programType === T.BPF_PROG_TYPE_STRUCT_OPS) {
      if (isVoid) return
      const r = p.reg(n)
      if (!frame.inExceptionCallback && p.structOpsReturnsObject && r.refObjId !== 0) {
        checkUnmodified(p, r, n, false)
        return
      }
    }
  }
  const r = p.checkReadable(n)
  let where = 'At program exit'
  let rule: Rule | undefined
  if (frame.inAsyncCallback) {
    where = 'At async callback return'
    rule = { range: range(0, 0) }
  } else if (isSubprogram && !frame.inExceptionCallback) {
    if (r.kind !== BASE.SCALAR) {
      throw p.refuse(EINVAL, `At subprogram exit the register R${n} is not a scalar value (${p.kindName(r)})`)
    }
    return
  } else rule = ruleOf(p)
  if (rule === undefined) return
  if (r.kind !== BASE.SCALAR) {
    throw p.refuse(EINVAL, `${where} the register R${n} is not a known value (${p.kindName(r)})`)
  }
  markPrecise(p, n)
  const { min, max } = rule.range
  const fits = rule.is32 ? min <= r.s32min && r.s32max <= max : BigInt(min) <= r.smin && r.smax <= BigInt(max)
  if (fits) return
  const text = outOfRangeText(r, rule.range, where, `R${n}`)
  const isVoidCgroup =
    !isSubprogram && programType === T.BPF_PROG_TYPE_LSM && expectedAttachType === A.BPF_LSM_CGROUP && isVoid
  if (isVoidCgroup) {
    p.say(`${text}\n`)
    throw p.refuse(EINVAL, "Note, BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!")
  }
  throw p.refuse(EINVAL, text)
}
