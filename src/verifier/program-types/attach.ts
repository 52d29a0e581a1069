/**
 * Programs that attach to something with a type: its parameters are the program's context.
 *
 * Source: check_attach_btf_id, bpf_check_attach_target in kernel/bpf/verifier.c, btf_ctx_access in kernel/bpf/btf.c
 * of Linux 6.18.
 */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import {
  BTF_KIND,
  BTF_KIND_NAMES,
  type Btf,
  type BtfId,
  type BtfPrototype,
  type BtfType,
} from '../../btf/index.ts'
import { isContextPointer } from '../checks/global-functions.ts'
import { BASE, FLAG } from '../domain/kinds.ts'
import { KERNEL_CONTEXTS } from '../kfuncs/kernel-contexts.ts'
import type { AttachTarget, TargetProgram } from '../program.ts'
import type { Proof } from '../proof.ts'
import { EINVAL, ENOTSUPP } from '../refusal.ts'
import { acquireReference } from '../state/references.ts'
import { ITERATOR_ARGUMENTS, NULLABLE_TRACEPOINT_ARGUMENTS, UNTRUSTED_LSM_HOOKS } from './attach-facts.ts'
import { checkFunction } from './attach-function.ts'
import { checkTargetProgram } from './attach-program.ts'
import { isArgumentAccess } from './contexts.ts'
import type { ContextRequest, ContextValue } from './kind.ts'
import { structOpsRules } from './struct-ops.ts'

/** What the program attaches to. */
export interface Target {
  readonly btf: Btf
  /** Undefined: nothing is known of the parameters. */
  readonly prototype: BtfPrototype | undefined
  readonly name: string
  /** The first parameter is the tracepoint's own data. */
  readonly skipsFirst: boolean
  /** Names of the parameters, where the prototype has none. */
  readonly names?: readonly string[]
  /** The program whose function it is; absent: it is the kernel's. */
  readonly program?: TargetProgram
}

const SLEEPABLE_TRACING: readonly number[] = [
  BPF_ATTACH_TYPE.BPF_TRACE_FENTRY,
  BPF_ATTACH_TYPE.BPF_TRACE_FEXIT,
  BPF_ATTACH_TYPE.BPF_MODIFY_RETURN,
  BPF_ATTACH_TYPE.BPF_TRACE_ITER,
]

function canSleep(p: Proof): boolean {
  const { programType, expectedAttachType } = p.input
  if (programType === BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING)
    return SLEEPABLE_TRACING.includes(expectedAttachType)
  if (programType === BPF_PROG_TYPE.BPF_PROG_TYPE_LSM) {
    return expectedAttachType !== BPF_ATTACH_TYPE.BPF_LSM_CGROUP
  }
  return (
    programType === BPF_PROG_TYPE.BPF_PROG_TYPE_KPROBE ||
    programType === BPF_PROG_TYPE.BPF_PROG_TYPE_STRUCT_OPS
  )
}

const prototypeBehind = (btf: Btf, id: BtfId): BtfPrototype | undefined => {
  const type = btf.typeById(id)
  return type.kind === BTF_KIND.FUNC_PROTO ? type : undefined
}

/** Finds out what the program attaches to; undefined for types that attach to nothing with a type. */
export function findTarget(p: Proof): Target | undefined {
  const { programType, expectedAttachType, attach } = p.input
  if (programType === BPF_PROG_TYPE.BPF_PROG_TYPE_SYSCALL) {
    if (p.isSleepable) return undefined
    throw p.refuse(EINVAL, 'Syscall programs can only be sleepable')
  }
  if (p.isSleepable && !canSleep(p)) {
    throw p.refuse(
      EINVAL,
      'Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable',
    )
  }
  if (programType === BPF_PROG_TYPE.BPF_PROG_TYPE_STRUCT_OPS) return structOpsTarget(p)
  const hasTarget =
    programType === BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING ||
    programType === BPF_PROG_TYPE.BPF_PROG_TYPE_LSM ||
    programType === BPF_PROG_TYPE.BPF_PROG_TYPE_EXT
  if (!hasTarget) return undefined
  if (attach === undefined || attach.btfId === 0) {
    throw p.refuse(EINVAL, 'Tracing programs must provide btf_id')
  }
  if (attach.program !== undefined) return programTarget(p, attach, attach.program)
  if (attach.isProgram === true) throw p.refuse(ENOTSUPP, 'the program to attach to is not at hand')
  if (p.isExtension) throw p.refuse(EINVAL, 'Cannot replace kernel functions')
  const btf = attach.btf ?? p.kernel
  if (btf === undefined) {
    throw p.refuse(EINVAL, 'FENTRY/FEXIT program can only be attached to another program annotated with BTF')
  }
  const id = btf.id(attach.btfId)
  const type = id === undefined ? undefined : btf.typeById(id)
  if (type === undefined) throw p.refuse(EINVAL, `attach_btf_id ${attach.btfId} is invalid`)
  if (expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_RAW_TP) return tracepointTarget(p, btf, type)
  if (type.kind !== BTF_KIND.FUNC) throw p.refuse(EINVAL, `attach_btf_id ${attach.btfId} is not a function`)
  const prototype = prototypeBehind(btf, type.type)
  if (prototype === undefined) throw p.refuse(EINVAL, '')
  if (expectedAttachType !== BPF_ATTACH_TYPE.BPF_TRACE_ITER) checkFunction(p, type.name, attach.btfId)
  return { btf, prototype, name: type.name, skipsFirst: false }
}

/** A function of another program: traced, or replaced by what is then a program of its kind. */
function programTarget(p: Proof, { btfId, btf }: AttachTarget, program: TargetProgram): Target {
  const { programType, expectedAttachType, functions } = p.input
  const attacher = {
    programType,
    expectedAttachType,
    functions,
    btf: p.input.btf,
    isSleepable: p.isSleepable,
    changesPacket: p.subprograms[0]?.changesPacket === true,
    mightSleep: p.subprograms[0]?.mightSleep === true,
  }
  const { name, prototype } = checkTargetProgram(attacher, program, btf, btfId)
  if (p.isExtension) {
    p.input = {
      ...p.input,
      programType: program.programType,
      expectedAttachType: program.expectedAttachType,
    }
  }
  const skipsFirst = p.isExtension && program.expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_RAW_TP
  return { btf: btf as Btf, prototype, name, skipsFirst, program }
}

function tracepointTarget(p: Proof, btf: Btf, type: BtfType): Target {
  const prefix = 'btf_trace_'
  if (type.kind !== BTF_KIND.TYPEDEF) {
    throw p.refuse(EINVAL, `attach_btf_id ${type.id} is not a typedef`)
  }
  if (!type.name.startsWith(prefix)) {
    throw p.refuse(EINVAL, `attach_btf_id ${type.id} points to wrong type name ${type.name}`)
  }
  const name = type.name.slice(prefix.length)
  // The function that implements it knows its parameters' names.
  const body = btf.find(`__bpf_trace_${name}`, BTF_KIND.FUNC)
  const named = body === undefined ? undefined : btf.typeById(body)
  if (named?.kind === BTF_KIND.FUNC) {
    return { btf, prototype: prototypeBehind(btf, named.type), name, skipsFirst: true }
  }
  const pointer = btf.typeById(type.type)
  if (pointer.kind !== BTF_KIND.PTR) throw p.refuse(EINVAL, '')
  return { btf, prototype: prototypeBehind(btf, pointer.type), name, skipsFirst: true }
}

function structOpsTarget(p: Proof): Target {
  const { attach, expectedAttachType } = p.input
  if (!p.isGpl) throw p.refuse(EINVAL, 'struct ops programs must have a GPL compatible license')
  if (attach === undefined || attach.btfId === 0) throw p.refuse(ENOTSUPP, '')
  const btf = attach.btf ?? p.kernel
  const id = btf?.id(attach.btfId)
  const type = btf === undefined || id === undefined ? undefined : btf.typeById(id)
  const rules = type === undefined ? undefined : structOpsRules(p, type.name)
  if (btf === undefined || type?.kind !== BTF_KIND.STRUCT || rules === undefined) {
    throw p.refuse(ENOTSUPP, `attach_btf_id ${attach.btfId} is not a supported struct`)
  }
  const member = type.members[expectedAttachType]
  if (member === undefined) {
    throw p.refuse(EINVAL, `attach to invalid member idx ${expectedAttachType} of struct ${type.name}`)
  }
  const pointer = btf.typeById(btf.resolve(member.type))
  const prototype =
    pointer.kind === BTF_KIND.PTR ? prototypeBehind(btf, btf.resolve(pointer.type)) : undefined
  if (prototype === undefined) {
    throw p.refuse(
      EINVAL,
      `attach to invalid member ${member.name}(@idx ${expectedAttachType}) of struct ${type.name}`,
    )
  }
  const isUnsupported = rules.unsupported.includes(member.name)
  if (isUnsupported || (p.isSleepable && !rules.sleepable.includes(member.name))) {
    const errno = isUnsupported ? ENOTSUPP : EINVAL
    throw p.refuse(errno, `attach to unsupported member ${member.name} of struct ${type.name}`)
  }
  // The function that stands in for the member names its parameters.
  const stub = btf.find(`${type.name}__${member.name}`, BTF_KIND.FUNC)
  const named = stub === undefined ? undefined : btf.typeById(stub)
  const names =
    named?.kind === BTF_KIND.FUNC
      ? prototypeBehind(btf, named.type)?.parameters.map((one) => one.name)
      : undefined
  return { btf, prototype, name: member.name, skipsFirst: false, ...(names === undefined ? {} : { names }) }
}

const isSmallScalar = (btf: Btf, type: BtfType): boolean =>
  (type.kind === BTF_KIND.INT && type.size <= 8 && (type.size & (type.size - 1)) === 0) ||
  type.kind === BTF_KIND.ENUM ||
  type.kind === BTF_KIND.ENUM64 ||
  type.kind === BTF_KIND.STRUCT ||
  (type.kind === BTF_KIND.UNION && btf !== undefined)

const kindWord = (kind: number): string => BTF_KIND_NAMES[kind] ?? 'UNKNOWN'

/** Are the arguments valid pointers as they come? */
function argumentsAreTrusted(p: Proof, target: Target): boolean {
  const { programType, expectedAttachType } = p.input
  switch (programType) {
    case BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING:
      return (
        expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_RAW_TP ||
        expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_ITER
      )
    case BPF_PROG_TYPE.BPF_PROG_TYPE_LSM:
      return !UNTRUSTED_LSM_HOOKS.has(target.name)
    default:
      return programType === BPF_PROG_TYPE.BPF_PROG_TYPE_STRUCT_OPS
  }
}

const SCALAR: ContextValue = { kind: BASE.SCALAR }

/** How the name of a parameter ends whose object the program owns when it begins. */
const REFERENCE = '__ref'

/** Takes over the objects that the program is given to own; it gives them back or on. */
export function acquireArguments(p: Proof): void {
  for (const [n, name] of p.target?.names?.entries() ?? []) {
    if (name.endsWith(REFERENCE)) p.argumentReferences.set(n, acquireReference(p, 0))
  }
}

/** A load of an argument of what the program attaches to. */
export function argumentContext(p: Proof, request: ContextRequest): ContextValue | undefined {
  if (!isArgumentAccess(request)) return undefined
  const { target } = p
  if (target === undefined) return undefined
  const { offset, size } = request
  const { btf, name } = target
  if (offset % 8 !== 0) {
    p.say(`func '${name}' offset ${offset} is not multiple of 8\n`)
    return undefined
  }
  const { prototype } = target
  const n = offset / 8
  const { expectedAttachType } = p.input
  if (prototype === undefined) return wordOf(p, target, n)
  const parameters = target.skipsFirst ? prototype.parameters.slice(1) : prototype.parameters
  let typeId: BtfId
  let isReturnValue = false
  const missing = (): undefined => {
    p.say(`func '${name}' doesn't have ${n + 1}-th argument\n`)
    return undefined
  }
  if (n > parameters.length) return missing()
  if (n === parameters.length) {
    switch (expectedAttachType) {
      case BPF_ATTACH_TYPE.BPF_LSM_MAC:
        isReturnValue = true
        typeId = prototype.returns
        break
      case BPF_ATTACH_TYPE.BPF_LSM_CGROUP:
      case BPF_ATTACH_TYPE.BPF_TRACE_FEXIT:
        typeId = prototype.returns
        break
      case BPF_ATTACH_TYPE.BPF_MODIFY_RETURN: {
        typeId = btf.resolve(prototype.returns)
        const returned = btf.typeById(typeId)
        if (returned.kind !== BTF_KIND.INT) {
          p.say(`ret type ${kindWord(returned.kind)} not allowed for fmod_ret\n`)
          return undefined
        }
        break
      }
      default:
        return missing()
    }
  } else typeId = parameters[n]!.type
  const rules = p.structOpsName === undefined ? undefined : structOpsRules(p, p.structOpsName)
  const given = rules?.arguments?.[name]?.[n]
  if (given !== undefined) {
    const btfId = btf.find(given, BTF_KIND.STRUCT)
    return btfId === undefined ? undefined : { kind: BASE.BTF_ID | FLAG.TRUSTED, btf, btfId }
  }
  const type = btf.typeById(btf.resolve(typeId))
  if (isSmallScalar(btf, type)) return isReturnValue ? { kind: BASE.SCALAR, isReturnValue } : SCALAR
  if (type.kind !== BTF_KIND.PTR) {
    p.say(
      `func '${name}' arg${n} '${type.name}' has type ${kindWord(type.kind)}. Only pointer access is allowed\n`,
    )
    return undefined
  }
  if (size !== 8) {
    p.say(`func '${name}' size ${size} must be 8\n`)
    return undefined
  }
  const special = ITERATOR_ARGUMENTS[name]?.[offset]
  if (special?.buffer !== undefined) return { kind: special.buffer }
  const pointee = btf.resolve(type.type)
  if (pointee === 0) return SCALAR
  const pointed = btf.typeById(pointee)
  if (pointed.kind === BTF_KIND.INT) return SCALAR
  if (special?.struct !== undefined) {
    const id = p.kernel?.find(special.struct, BTF_KIND.STRUCT)
    if (id === undefined || p.kernel === undefined) return undefined
    return { kind: special.flags ?? BASE.BTF_ID, btf: p.kernel, btfId: id }
  }
  // Known beforehand, and so without a word.
  const noted = target.names?.[n]
  if (noted?.endsWith('__nullable') === true) {
    return { kind: BASE.BTF_ID | FLAG.TRUSTED | FLAG.MAYBE_NULL, btf, btfId: pointee }
  }
  if (noted?.endsWith(REFERENCE) === true) {
    const refObjId = p.argumentReferences.get(n) ?? 0
    return { kind: BASE.BTF_ID | FLAG.TRUSTED, btf, btfId: pointee, refObjId }
  }
  let kind = BASE.BTF_ID as number
  if (argumentsAreTrusted(p, target)) kind |= FLAG.TRUSTED
  const parameter = parameters[n]
  if (parameter?.name.endsWith('__nullable')) kind |= FLAG.MAYBE_NULL
  let mayBeError = false
  if (expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_RAW_TP) {
    const mask = NULLABLE_TRACEPOINT_ARGUMENTS[name] ?? 0
    if (mask & (0x1 << (n * 4))) kind |= FLAG.MAYBE_NULL
    if (mask & (0x2 << (n * 4))) mayBeError = true
  }
  if (target.program !== undefined) return contextOf(p, target.program, kind, type.type, btf)
  const tag = btf.typeById(type.type)
  if (tag.kind === BTF_KIND.TYPE_TAG) {
    if (tag.name === 'user') kind |= FLAG.USER
    if (tag.name === 'percpu') kind |= FLAG.PERCPU
  }
  if (pointed.kind !== BTF_KIND.STRUCT && pointed.kind !== BTF_KIND.UNION) {
    p.say(`func '${name}' arg${n} type ${kindWord(pointed.kind)} is not a struct\n`)
    return undefined
  }
  p.say(`func '${name}' arg${n} has btf_id ${pointee} type ${kindWord(pointed.kind)} '${pointed.name}'\n`)
  if (mayBeError) return SCALAR
  return { kind, btf, btfId: promoted(p, pointee, pointed.name) }
}

/** Source: MAX_BPF_FUNC_REG_ARGS of Linux. */
const WORDS_OF_UNKNOWN = 5

/** The n-th word of a call of which nothing is known; a program's function has five, and a result. */
function wordOf(p: Proof, { program, name }: Target, n: number): ContextValue | undefined {
  if (program === undefined || n < WORDS_OF_UNKNOWN) return SCALAR
  const isExit = p.input.expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_FEXIT
  if (n === WORDS_OF_UNKNOWN && isExit) return SCALAR
  p.say(`func '${name}' doesn't have ${n + 1}-th argument\n`)
  return undefined
}

/** Of a program's function, a pointer can be followed where it is one to its context, as what the kernel has there. */
function contextOf(
  p: Proof,
  { contextType }: TargetProgram,
  kind: number,
  pointee: BtfId,
  btf: Btf,
): ContextValue | undefined {
  const { kernel } = p
  const struct = KERNEL_CONTEXTS[contextType]
  if (kernel === undefined || !isContextPointer(contextType, btf, pointee)) return undefined
  const id =
    struct === undefined ? kernel.find('u64', BTF_KIND.TYPEDEF) : kernel.find(struct, BTF_KIND.STRUCT)
  return id === undefined ? undefined : { kind, btf: kernel, btfId: id }
}

/** A congestion control algorithm gets its socket as what it is. */
function promoted(p: Proof, id: number, name: string): number {
  if (p.input.programType !== BPF_PROG_TYPE.BPF_PROG_TYPE_STRUCT_OPS || name !== 'sock') return id
  if (p.structOpsName !== 'tcp_congestion_ops') return id
  return p.kernel?.find('tcp_sock', BTF_KIND.STRUCT) ?? id
}
