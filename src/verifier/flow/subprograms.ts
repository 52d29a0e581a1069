/**
 * Functions of a program: where they begin, and what is known of each before any is walked.
 *
 * Rules: a call or function pointer names the first instruction of a function; functions follow each other without
 * gaps; no jump leaves its function; the last instruction of a function ends it.
 *
 * Source: add_subprog_and_kfunc, check_subprogs, check_max_stack_depth in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BTF_KIND, BTF_LINKAGE, type BtfId } from '../../btf/index.ts'
import {
  CALL_SOURCE,
  CLASS,
  classOf,
  codeOf,
  type Instruction,
  MODE,
  modeOf,
  OPCODE,
  WIDE_SOURCE,
} from '../../isa/index.ts'
import type { Proof } from '../proof.ts'
import { E2BIG, EACCES, EINVAL, ENOENT, ENOTSUPP } from '../refusal.ts'

export interface GlobalArgument {
  readonly type: string
  readonly flags: number
  readonly memSize: number
  readonly btfId: number
}

export interface Subprogram {
  readonly start: number
  /** One past its last instruction. */
  end: number
  name: string
  typeId: number
  isGlobal: boolean
  /** Bytes of stack that it was seen to use. */
  stackDepth: number
  hasTailCall: boolean
  hasLdAbs: boolean
  tailCallReachable: boolean
  isCallback: boolean
  isAsyncCallback: boolean
  isExceptionCallback: boolean
  changesPacket: boolean
  mightSleep: boolean
  /** Walked on its own. */
  isVerified: boolean
  isCalled: boolean
  /** Lowest stack offset of a spill around a call that scratches few registers. */
  fastcallStackOffset: number
  keepsFastcallStack: boolean
  arguments: readonly GlobalArgument[] | undefined
  argumentsAreUnreliable: boolean
}

export const isHelperCall = (insn: Instruction): boolean =>
  insn.opcode === OPCODE.CALL && insn.src === CALL_SOURCE.HELPER
export const isLocalCall = (insn: Instruction): boolean =>
  insn.opcode === OPCODE.CALL && insn.src === CALL_SOURCE.LOCAL
export const isKfuncCall = (insn: Instruction): boolean =>
  insn.opcode === OPCODE.CALL && insn.src === CALL_SOURCE.KFUNC
export const isFunctionPointer = (insn: Instruction): boolean =>
  insn.opcode === OPCODE.LD_IMM64 && insn.src === WIDE_SOURCE.FUNCTION

export const jumpDistance = (insn: Instruction): number =>
  insn.opcode === OPCODE.JA32 ? insn.imm : insn.offset

export const MAX_SUBPROGRAMS = 256
export const MAX_FRAMES = 8

const emptySubprogram = (start: number): Subprogram => ({
  start,
  end: start,
  name: '',
  typeId: 0,
  isGlobal: false,
  stackDepth: 0,
  hasTailCall: false,
  hasLdAbs: false,
  tailCallReachable: false,
  isCallback: false,
  isAsyncCallback: false,
  isExceptionCallback: false,
  changesPacket: false,
  mightSleep: false,
  isVerified: false,
  isCalled: false,
  fastcallStackOffset: 0,
  keepsFastcallStack: false,
  arguments: undefined,
  argumentsAreUnreliable: false,
})

/** The order and the types of the function information, before anything else. Source: check_btf_func_early. */
export function checkFunctionRecords(p: Proof): void {
  const { btf, functions } = p.input
  if (btf === undefined) return
  let previous = 0
  for (const [i, { instruction, typeId }] of functions.entries()) {
    if (i === 0 && instruction !== 0) {
      throw p.refuse(EINVAL, `nonzero insn_off ${instruction} for the first func info record`)
    }
    if (i > 0 && instruction <= previous) {
      throw p.refuse(
        EINVAL,
        `same or smaller insn offset (${instruction}) than previous func info record (${previous})`,
      )
    }
    const id = btf.id(typeId)
    const type = id === undefined ? undefined : btf.typeById(id)
    if (type?.kind !== BTF_KIND.FUNC) throw p.refuse(EINVAL, `invalid type id ${typeId} in func info`)
    if (btf.kindOf(type.type) !== BTF_KIND.FUNC_PROTO) throw p.refuse(EINVAL, '')
    previous = instruction
  }
}

export function findSubprograms(p: Proof): void {
  const starts = new Set<number>()
  const add = (start: number): void => {
    if (start >= p.length || start < 0) throw p.refuse(EINVAL, 'call to invalid destination')
    if (starts.has(start)) return
    if (starts.size >= MAX_SUBPROGRAMS) throw p.refuse(E2BIG, 'too many subprograms')
    starts.add(start)
  }
  add(0)
  let sawKfunc = false
  p.program.forEach((insn, i) => {
    if (isFunctionPointer(insn) || isLocalCall(insn)) add(i + insn.imm + 1)
    else if (isKfuncCall(insn)) {
      if (!sawKfunc) {
        if (p.kernel === undefined) {
          throw p.refuse(ENOTSUPP, 'calling kernel function is not supported without CONFIG_DEBUG_INFO_BTF')
        }
        if (!p.isGpl) throw p.refuse(EINVAL, 'cannot call kernel function from non-GPL compatible program')
        sawKfunc = true
      }
      p.kfuncs.add(p, insn)
    }
  })
  const callback = exceptionCallbackStart(p)
  if (callback > 0) add(callback)
  p.subprograms = [...starts].sort((a, b) => a - b).map(emptySubprogram)
  p.subprograms.forEach((s, i) => {
    s.end = p.subprograms[i + 1]?.start ?? p.length
  })
  if (callback > 0) {
    p.exceptionCallback = p.subprogramAt(callback)
    const s = p.subprograms[p.exceptionCallback]!
    s.isCallback = true
    s.isAsyncCallback = true
    s.isExceptionCallback = true
  }
  if (p.log.level & 2) for (const [i, s] of p.subprograms.entries()) p.say(`func#${i} @${s.start}\n`)
}

/** Where the function begins that a tag on the program's main function names; 0: none. */
function exceptionCallbackStart(p: Proof): number {
  const { btf, functions } = p.input
  const main = functions[0]
  if (btf === undefined || main === undefined) return 0
  const prefix = 'exception_callback:'
  const tagged: string[] = []
  for (const id of btf.declTags) {
    const tag = btf.typeById(id)
    if (tag.kind !== BTF_KIND.DECL_TAG || tag.type !== main.typeId || tag.component !== -1) continue
    if (tag.name.startsWith(prefix)) tagged.push(tag.name.slice(prefix.length))
  }
  const [name] = tagged
  if (name === undefined) return 0
  if (tagged.length > 1) throw p.refuse(EINVAL, 'multiple exception callback tags for main subprog')
  const id = btf.find(name, BTF_KIND.FUNC)
  if (id === undefined) throw p.refuse(ENOENT, `exception callback '${name}' could not be found in BTF`)
  const type = btf.typeById(id)
  if (type.kind === BTF_KIND.FUNC && type.linkage !== BTF_LINKAGE.GLOBAL) {
    throw p.refuse(EINVAL, `exception callback '${name}' must have global linkage`)
  }
  const info = functions.findLast((f) => f.typeId === id)
  if (info === undefined) throw p.refuse(EINVAL, 'exception callback type id not found in func_info')
  if (info.instruction === 0) {
    throw p.refuse(EINVAL, 'invalid exception callback insn_off in func_info: 0')
  }
  return info.instruction
}

export function checkSubprograms(p: Proof): void {
  for (const s of p.subprograms) {
    for (let i = s.start; i < s.end; i++) {
      const insn = p.insn(i)
      const { opcode } = insn
      if (isHelperCall(insn) && insn.imm === 12) {
        s.hasTailCall = true
        s.tailCallReachable = true
      }
      if (classOf(opcode) === CLASS.LD && (modeOf(opcode) === MODE.ABS || modeOf(opcode) === MODE.IND)) {
        s.hasLdAbs = true
      }
      const isJumpClass = classOf(opcode) === CLASS.JMP || classOf(opcode) === CLASS.JMP32
      if (isJumpClass && codeOf(opcode) !== 0x90 && codeOf(opcode) !== 0x80) {
        const target = i + jumpDistance(insn) + 1
        if (target < s.start || target >= s.end) {
          throw p.refuse(EINVAL, `jump out of range from insn ${i} to ${target}`)
        }
      }
      if (i === s.end - 1 && opcode !== OPCODE.EXIT && opcode !== OPCODE.JA && opcode !== OPCODE.JA32) {
        throw p.refuse(EINVAL, 'last insn is not an exit or jmp')
      }
    }
  }
}

/** Names and linkage from the program's types. */
export function describeSubprograms(p: Proof): void {
  const { btf, functions } = p.input
  if (btf === undefined || functions.length === 0) {
    for (const s of p.subprograms.slice(1)) {
      if (s.hasLdAbs) throw p.refuse(EINVAL, 'LD_ABS is not allowed in subprogs without BTF')
      if (s.hasTailCall) throw p.refuse(EINVAL, 'tail_call is not allowed in subprogs without BTF')
    }
    return
  }
  if (functions.length !== p.subprograms.length) {
    throw p.refuse(EINVAL, "number of funcs in func_info doesn't match number of subprogs")
  }
  functions.forEach((info, i) => {
    const s = p.subprograms[i]!
    if (info.instruction !== s.start) {
      throw p.refuse(EINVAL, "func_info BTF section doesn't match subprog layout in BPF program")
    }
    const type = btf.typeById(info.typeId as BtfId)
    if (type.kind !== BTF_KIND.FUNC) throw new Error('a function that was not checked')
    s.typeId = info.typeId
    s.name = type.name
    s.isGlobal = type.linkage === BTF_LINKAGE.GLOBAL
    if (i > 0 && (s.hasLdAbs || s.hasTailCall)) {
      const prototype = btf.typeById(type.type)
      const returns = prototype.kind === BTF_KIND.FUNC_PROTO ? btf.resolve(prototype.returns) : (0 as BtfId)
      const kind = btf.kindOf(returns)
      const isScalar = kind === BTF_KIND.INT || kind === BTF_KIND.ENUM || kind === BTF_KIND.ENUM64
      const what = s.hasLdAbs ? 'LD_ABS' : 'tail_call'
      if (!isScalar) throw p.refuse(EINVAL, `${what} is only allowed in functions that return 'int'.`)
    }
  })
}

const PRIVATE_STACK_TYPES = new Set([2, 5, 7, 17])

/** No chain of calls may use more stack than there is, nor be too deep. */
export function checkStackDepth(p: Proof, programMayHavePrivateStack: boolean): void {
  const hasTailCall = p.subprograms.some((s) => s.hasTailCall)
  const typeHasPrivateStack = !p.isExtension && PRIVATE_STACK_TYPES.has(p.input.programType)
  const isPrivate = !hasTailCall && (programMayHavePrivateStack || typeHasPrivateStack)
  const noPrivate = new Set<number>()
  for (let i = p.subprograms.length - 1; i >= 0; i--) {
    if (i === 0 || p.subprograms[i]!.isAsyncCallback) {
      checkStackDepthFrom(p, i, i === 0 && isPrivate, noPrivate)
    }
  }
}

const roundedDepth = (bytes: number): number => Math.ceil(bytes / 16) * 16

function checkStackDepthFrom(
  p: Proof,
  first: number,
  privateSupported: boolean,
  noPrivate: Set<number>,
): void {
  const adaptive = new Set<number>()
  const returns: { index: number; subprogram: number }[] = []
  let current = first
  let depth = 0
  let index = p.subprograms[current]!.start
  let tailCallReachable = false
  if (!privateSupported) noPrivate.add(current)
  const enter = (): void => {
    const s = p.subprograms[current]!
    if (s.hasLdAbs && (s.isCallback || returns.some((r) => p.subprograms[r.subprogram]!.isCallback))) {
      throw p.refuse(EINVAL, 'cannot use BPF_LD_[ABS|IND] within callback')
    }
    if (current !== 0 && s.hasTailCall && depth >= 256) {
      throw p.refuse(
        EACCES,
        `tail_calls are not allowed when call stack of previous frames is ${depth} bytes. Too large`,
      )
    }
    const own = roundedDepth(s.stackDepth)
    if (privateSupported && !noPrivate.has(current) && own >= 64) adaptive.add(current)
    if (adaptive.has(current) && !noPrivate.has(current)) {
      if (own > 512) throw p.refuse(EACCES, `stack size of subprog ${current} is ${own}. Too large`)
    } else {
      depth += own
      if (depth > 512) {
        throw p.refuse(EACCES, `combined stack size of ${returns.length + 1} calls is ${depth}. Too large`)
      }
    }
  }
  enter()
  for (;;) {
    const s = p.subprograms[current]!
    let entered = false
    for (; index < s.end; index++) {
      const insn = p.insn(index)
      if (isKfuncCall(insn) && insn.offset === 0) {
        if (p.kfuncs.nameOf(insn.imm, 0) !== 'bpf_throw') continue
        if (!s.isCallback && !returns.some((r) => p.subprograms[r.subprogram]!.isCallback)) continue
        throw p.refuse(
          EINVAL,
          `bpf_throw kfunc (insn ${index}) cannot be called from callback subprog ${current}`,
        )
      }
      if (!isLocalCall(insn) && !isFunctionPointer(insn)) continue
      const target = index + insn.imm + 1
      const callee = p.subprogramAt(target)
      const c = p.subprograms[callee]!
      if (c.isAsyncCallback) {
        if (!isLocalCall(insn)) continue
        if (c.isExceptionCallback) {
          throw p.refuse(EINVAL, `insn ${index} cannot call exception cb directly`)
        }
      }
      returns.push({ index: index + 1, subprogram: current })
      index = target
      current = callee
      if (!privateSupported) noPrivate.add(current)
      if (c.hasTailCall) tailCallReachable = true
      if (returns.length >= MAX_FRAMES) {
        throw p.refuse(E2BIG, `the call stack of ${returns.length} frames is too deep !`)
      }
      enter()
      entered = true
      break
    }
    if (entered) continue
    if (tailCallReachable) {
      for (const r of returns) {
        const caller = p.subprograms[r.subprogram]!
        if (caller.isExceptionCallback) throw p.refuse(EINVAL, 'cannot tail call within exception cb')
        caller.tailCallReachable = true
      }
    }
    const back = returns.pop()
    if (back === undefined) return
    if (!adaptive.has(current) || noPrivate.has(current)) depth -= roundedDepth(s.stackDepth)
    index = back.index
    current = back.subprogram
  }
}
