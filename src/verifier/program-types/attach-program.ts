/**
 * Programs that attach to functions of other programs: whether they may, and what the function looks like to them.
 *
 * Rules: an extension stands for a global function, has its prototype, and does nothing to packets or time that callers
 * of the original do not expect; extensions do not extend each other, nor fentry and fexit programs; of tracing programs,
 * one may trace another, but a third none that does.
 *
 * Source: bpf_check_attach_target in kernel/bpf/verifier.c, btf_check_type_match, btf_distill_func_proto in
 * kernel/bpf/btf.c of Linux 6.18.
 */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import {
  BTF_KIND,
  BTF_KIND_NAMES,
  BTF_LINKAGE,
  type Btf,
  type BtfFunction,
  type BtfId,
  type BtfPrototype,
  type BtfType,
} from '../../btf/index.ts'
import type { FunctionInfo, TargetProgram } from '../program.ts'
import { EFAULT, EINVAL, EOPNOTSUPP, Refusal } from '../refusal.ts'

/** The program that attaches. */
export interface Attacher {
  readonly programType: number
  readonly expectedAttachType: number
  readonly isSleepable: boolean
  readonly btf: Btf | undefined
  readonly functions: readonly FunctionInfo[]
  readonly changesPacket: boolean
  readonly mightSleep: boolean
  /** The kind of program that it was proved for, where it is to go to another one. */
  readonly provedFor?: { readonly programType: number; readonly expectedAttachType: number }
}

/** A function of a program. */
export interface ProgramFunction {
  readonly name: string
  /** Undefined: callers pass other things than it says, so that there are five words. */
  readonly prototype: BtfPrototype | undefined
}

/** Source: MAX_BPF_FUNC_ARGS of Linux. */
const MOST_ARGUMENTS = 12

const refuse = (message: string, errno = EINVAL): Refusal => new Refusal(errno, message)
const wordOf = (type: BtfType): string => BTF_KIND_NAMES[type.kind] ?? 'UNKNOWN'
const resolved = (btf: Btf, id: BtfId): BtfType => btf.typeById(btf.resolve(id))
const TRACING: readonly number[] = [BPF_ATTACH_TYPE.BPF_TRACE_FENTRY, BPF_ATTACH_TYPE.BPF_TRACE_FEXIT]
const ON_FUNCTIONS: readonly number[] = [
  ...TRACING,
  BPF_ATTACH_TYPE.BPF_MODIFY_RETURN,
  BPF_ATTACH_TYPE.BPF_LSM_MAC,
  BPF_ATTACH_TYPE.BPF_LSM_CGROUP,
]

/** The function that the program may attach to. Throws a refusal, with Linux's words, where it may not. */
export function checkTargetProgram(
  attacher: Attacher,
  target: TargetProgram,
  btf: Btf | undefined,
  btfId: number,
): ProgramFunction {
  const { programType, expectedAttachType } = attacher
  const isExtension = programType === BPF_PROG_TYPE.BPF_PROG_TYPE_EXT
  const isTracing = programType === BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING
  if (btfId === 0) throw refuse('Tracing programs must provide btf_id')
  if (btf === undefined) {
    throw refuse('FENTRY/FEXIT program can only be attached to another program annotated with BTF')
  }
  const id = btf.id(btfId)
  if (id === undefined) throw refuse(`attach_btf_id ${btfId} is invalid`)
  const type = btf.typeById(id)
  const { name } = type
  const found = target.functions.find(({ typeId }) => typeId === btfId)
  if (found === undefined || type.kind !== BTF_KIND.FUNC) throw refuse(`Subprog ${name} doesn't exist`)
  if (found.isExceptionCallback) {
    throw refuse(`${isExtension ? 'Extension' : 'FENTRY/FEXIT'} programs cannot attach to exception callback`)
  }
  if (isExtension) {
    if (!found.isReliable) throw refuse('Cannot replace static functions')
    if (attacher.changesPacket && !found.changesPacket) {
      throw refuse('Extension program changes packet data, while original does not')
    }
    if (attacher.mightSleep && !found.mightSleep) {
      throw refuse('Extension program may sleep, while original does not')
    }
  }
  if (!target.isJited) throw refuse('Can attach to only JITed progs')
  if (isTracing) {
    if (target.tracesTracing) throw refuse('Cannot nest tracing program attach more than once')
  } else if (target.programType === programType) throw refuse('Cannot recursively attach')
  const isTraced =
    target.programType === BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING && TRACING.includes(target.expectedAttachType)
  if (isExtension && isTraced) throw refuse('Cannot extend fentry/fexit')
  if (!isExtension && expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_RAW_TP) {
    throw refuse('Only FENTRY/FEXIT progs are attachable to another BPF prog')
  }
  if (!isExtension && expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_ITER) {
    checkModel(btf, name, prototypeOf(btf, type), expectedAttachType)
    // What is walked has one of the kernel's functions.
    throw refuse('')
  }
  if (!isExtension && !ON_FUNCTIONS.includes(expectedAttachType)) throw refuse('')
  if (isExtension) checkSameType(attacher, btf, type)
  const { provedFor } = attacher
  const isOfThatKind =
    provedFor === undefined ||
    (provedFor.programType === target.programType &&
      provedFor.expectedAttachType === target.expectedAttachType)
  if (!isOfThatKind) throw refuse('')
  const prototype = prototypeOf(btf, type)
  if (found.isReliable) checkModel(btf, name, prototype, expectedAttachType)
  if (attacher.isSleepable) throw refuse(`${name} is not sleepable`)
  if (!isExtension && expectedAttachType === BPF_ATTACH_TYPE.BPF_MODIFY_RETURN) {
    throw refuse("can't modify return codes of BPF programs")
  }
  return { name, prototype: found.isReliable ? prototype : undefined }
}

function prototypeOf(btf: Btf, type: BtfFunction): BtfPrototype {
  const prototype = btf.typeById(type.type)
  if (prototype.kind !== BTF_KIND.FUNC_PROTO) throw refuse('', EFAULT)
  return prototype
}

/** Is the extension's function of the same type as the one that it replaces? */
function checkSameType({ btf, functions }: Attacher, targetBtf: Btf, target: BtfFunction): void {
  const info = functions[0]
  if (btf === undefined || info === undefined) throw refuse('Program extension requires BTF')
  const own = btf.typeById(info.typeId as BtfId)
  if (own.kind !== BTF_KIND.FUNC) throw refuse('')
  for (const one of [own, target]) {
    if (one.linkage !== BTF_LINKAGE.GLOBAL) throw refuse(`${one.name}() is not a global function`)
  }
  const a = prototypeOf(btf, own)
  const b = prototypeOf(targetBtf, target)
  const [first, second] = [`${own.name}()`, `${target.name}()`]
  if (a.parameters.length !== b.parameters.length) {
    throw refuse(`${first} has ${a.parameters.length} args while ${second} has ${b.parameters.length} args`)
  }
  const returned = [resolved(btf, a.returns), resolved(targetBtf, b.returns)] as const
  if (!isSameForm(...returned)) {
    const [mine, its] = returned.map(wordOf)
    throw refuse(`Return type ${mine} of ${first} doesn't match type ${its} of ${second}`)
  }
  a.parameters.forEach((parameter, n) => {
    const mine = resolved(btf, parameter.type)
    const its = resolved(targetBtf, b.parameters[n]?.type as BtfId)
    if (!isSameForm(mine, its)) {
      throw refuse(`arg${n} in ${first} is ${wordOf(mine)} while ${second} has ${wordOf(its)}`)
    }
    if ('size' in mine && 'size' in its && mine.size !== its.size) {
      throw refuse(`arg${n} in ${first} has size ${mine.size} while ${second} has ${its.size}`)
    }
    if (isScalar(mine)) return
    if (mine.kind !== BTF_KIND.PTR || its.kind !== BTF_KIND.PTR) {
      throw refuse(`arg${n} in ${first} has unrecognized type`)
    }
    const structs = [resolved(btf, mine.type), resolved(targetBtf, its.type)] as const
    structs.forEach((struct, i) => {
      if (struct.kind === BTF_KIND.STRUCT || struct.kind === BTF_KIND.UNION) return
      throw refuse(`arg${n} in ${i === 0 ? first : second} is not a pointer to context`)
    })
    if (structs[0].name !== structs[1].name) {
      const [x, y] = structs.map((struct) => `(struct ${struct.name} *)`)
      throw refuse(`arg${n} ${own.name}${x} doesn't match ${target.name}${y}`)
    }
  })
}

/** Kind, number of members and flag, which Linux keeps in one word. */
function isSameForm(a: BtfType, b: BtfType): boolean {
  if (a.kind !== b.kind) return false
  if ('members' in a && 'members' in b) return a.members.length === b.members.length
  if ('values' in a && 'values' in b) return a.values.length === b.values.length && a.isSigned === b.isSigned
  return true
}

const isScalar = ({ kind }: BtfType): boolean =>
  kind === BTF_KIND.INT || kind === BTF_KIND.ENUM || kind === BTF_KIND.ENUM64

/** Bytes that a parameter or result takes; undefined where it may be neither. */
function bytesOf(type: BtfType): number | undefined {
  if (type.kind === BTF_KIND.PTR) return 8
  if (isScalar(type) || type.kind === BTF_KIND.STRUCT) return (type as { readonly size: number }).size
  return undefined
}

/** Can calls of such a function be intercepted? */
function checkModel(btf: Btf, name: string, prototype: BtfPrototype, attachType: number): void {
  const { parameters, returns, isVariadic } = prototype
  if (parameters.length > MOST_ARGUMENTS) {
    throw refuse(`The function ${name} has ${parameters.length} arguments. Too many.`)
  }
  const returned = resolved(btf, returns)
  const returnedBytes = returned.kind === BTF_KIND.UNKN ? 0 : bytesOf(returned)
  if (returnedBytes === undefined || returned.kind === BTF_KIND.STRUCT) {
    throw refuse(`The function ${name} return type ${wordOf(returned)} is unsupported.`)
  }
  if (isVariadic) throw refuse(`The function ${name} with variable args is unsupported.`)
  for (const [n, parameter] of parameters.entries()) {
    const type = resolved(btf, parameter.type)
    if (type.kind === BTF_KIND.UNKN) throw refuse(`The function ${name} has malformed void argument.`)
    const bytes = bytesOf(type)
    if (bytes === undefined || bytes > 16) {
      throw refuse(`The function ${name} arg${n} type ${wordOf(type)} is unsupported.`)
    }
  }
  if (returnedBytes > 8 && TRACING.includes(attachType)) {
    throw refuse(
      `Attach to function ${name} with a >8 byte return value is not supported for this attach type`,
      EOPNOTSUPP,
    )
  }
}

/** The same for a program that was proved already: 0, or a positive errno. */
export function attachmentError(
  attacher: Attacher,
  target: TargetProgram,
  btf: Btf | undefined,
  btfId: number,
): number {
  try {
    checkTargetProgram(attacher, target, btf, btfId)
    return 0
  } catch (error) {
    if (error instanceof Refusal) return error.errno
    throw error
  }
}
