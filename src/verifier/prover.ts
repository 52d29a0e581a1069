/**
 * The proof of memory safety and termination: every path of a program, walked with all that is known of its values.
 *
 * Passes: functions of the program; 64-bit immediates and their maps; the control flow graph; what it attaches to; the
 * walk of the main function, then of each global function; the depth of the stack.
 *
 * Source: bpf_check, do_check in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BPF_ATTACH_TYPE, BPF_MAP_TYPE, BPF_PROG_TYPE } from '../abi/index.ts'
import { BTF_KIND, type Btf } from '../btf/index.ts'
import {
  accessSize,
  CALL_SOURCE,
  CLASS,
  classOf,
  codeOf,
  type Instruction,
  isKnownOpcode,
  MODE,
  modeOf,
  OPCODE,
  SIZE,
  SOURCE,
  sizeFieldOf,
  sourceOf,
} from '../isa/index.ts'
import { checkAlu } from './checks/alu.ts'
import { checkBranch } from './checks/branch.ts'
import { checkFunctionCall, newFrame, returnFromFunction } from './checks/calls.ts'
import { argumentRegister, describeArguments } from './checks/global-functions.ts'
import { checkHelperCall } from './checks/helpers.ts'
import { checkLeaks } from './checks/leaks.ts'
import {
  checkAtomic,
  checkLoad,
  checkMemory,
  checkStore,
  checkUnmodified,
  rememberPointerKind,
} from './checks/memory.ts'
import { checkReturnValue } from './checks/return-value.ts'
import { BASE, FLAG } from './domain/kinds.ts'
import { knownScalar, pointer, unknownScalar } from './domain/register.ts'
import { factsOf, type ProgramFacts } from './facts.ts'
import { checkGraph, computeLiveRegisters, findLoops, postorder } from './flow/graph.ts'
import { checkLineRecords } from './flow/line-records.ts'
import { endPath, isVisited, popBranch } from './flow/paths.ts'
import {
  checkFunctionRecords,
  checkStackDepth,
  checkSubprograms,
  describeSubprograms,
  findSubprograms,
  isKfuncCall,
} from './flow/subprograms.ts'
import { checkKfuncCall, isAllowedUnderLock } from './kfuncs/call.ts'
import { KfuncTable } from './kfuncs/table.ts'
import type { MapSpec, NoMap, ProgramInput } from './program.ts'
import { findTarget } from './program-types/attach.ts'
import { helpersFor } from './program-types/helper-availability.ts'
import { PROGRAM_KINDS } from './program-types/kinds.ts'
import { INSTRUCTION_LIMIT, Proof } from './proof.ts'
import { hasField, Records } from './records/records.ts'
import { E2BIG, EBADF, EFAULT, EINVAL, ENOENT, ENOTSUPP, ERANGE, Refusal } from './refusal.ts'
import { note } from './state/precision.ts'
import { EMPTY_REGISTER, State } from './state/state.ts'

export interface Statistics {
  readonly processed: number
  readonly totalStates: number
  readonly peakStates: number
  readonly mostStatesAtOne: number
  /** Bytes of stack of each function. */
  readonly stackDepths: readonly number[]
}

export interface ProofVerdict {
  readonly accepted: boolean
  /** Positive; 0 if accepted. */
  readonly errno: number
  /** The last line of the reason; empty if accepted. */
  readonly message: string
  readonly log: string
  /** Slot of the instruction where the proof stopped. */
  readonly instruction: number
  /** What each register holds there, in Linux's words; empty where nothing was written. */
  readonly registers: readonly string[]
  readonly statistics: Statistics
  /** What was found out on the way; of a rejected program, as far as the proof went. */
  readonly facts: ProgramFacts
}

const TRACING_TYPES: readonly number[] = [
  BPF_PROG_TYPE.BPF_PROG_TYPE_KPROBE,
  BPF_PROG_TYPE.BPF_PROG_TYPE_TRACEPOINT,
  BPF_PROG_TYPE.BPF_PROG_TYPE_PERF_EVENT,
  BPF_PROG_TYPE.BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE,
]

const M = BPF_MAP_TYPE
const SLEEPABLE_MAPS: readonly number[] = [
  M.BPF_MAP_TYPE_HASH,
  M.BPF_MAP_TYPE_LRU_HASH,
  M.BPF_MAP_TYPE_ARRAY,
  M.BPF_MAP_TYPE_PERCPU_HASH,
  M.BPF_MAP_TYPE_PERCPU_ARRAY,
  M.BPF_MAP_TYPE_LRU_PERCPU_HASH,
  M.BPF_MAP_TYPE_ARRAY_OF_MAPS,
  M.BPF_MAP_TYPE_HASH_OF_MAPS,
  M.BPF_MAP_TYPE_RINGBUF,
  M.BPF_MAP_TYPE_USER_RINGBUF,
  M.BPF_MAP_TYPE_INODE_STORAGE,
  M.BPF_MAP_TYPE_SK_STORAGE,
  M.BPF_MAP_TYPE_TASK_STORAGE,
  M.BPF_MAP_TYPE_CGRP_STORAGE,
  M.BPF_MAP_TYPE_QUEUE,
  M.BPF_MAP_TYPE_STACK,
  M.BPF_MAP_TYPE_ARENA,
]

/** May a program of this type use the map at all? */
function checkMapFits(p: Proof, map: MapSpec): void {
  const record = p.records.ofMap(map)
  const { programType } = p.input
  const isTracing = TRACING_TYPES.includes(programType)
  if (isTracing && hasField(record, 'list_head', 'rb_root')) {
    throw p.refuse(EINVAL, 'tracing progs cannot use bpf_{list_head,rb_root} yet')
  }
  if (hasField(record, 'spin_lock', 'res_spin_lock')) {
    if (programType === BPF_PROG_TYPE.BPF_PROG_TYPE_SOCKET_FILTER) {
      throw p.refuse(EINVAL, 'socket filter progs cannot use bpf_spin_lock yet')
    }
    if (isTracing) throw p.refuse(EINVAL, 'tracing progs cannot use bpf_spin_lock yet')
  }
  if (isTracing && hasField(record, 'timer')) {
    throw p.refuse(EINVAL, 'tracing progs cannot use bpf_timer yet')
  }
  if (isTracing && hasField(record, 'wq')) throw p.refuse(EINVAL, 'tracing progs cannot use bpf_wq yet')
  if (map.type === M.BPF_MAP_TYPE_STRUCT_OPS) {
    throw p.refuse(EINVAL, 'bpf_struct_ops map cannot be used in prog')
  }
  if (p.isSleepable && !SLEEPABLE_MAPS.includes(map.type)) {
    throw p.refuse(EINVAL, 'Sleepable programs can only use array, hash, ringbuf and local storage maps')
  }
  if (map.type === M.BPF_MAP_TYPE_ARENA) {
    if (p.hasArena && !p.usedMaps.has(map)) throw p.refuse(16, 'Only one arena per program')
    p.hasArena = true
  }
}

const PAGE = 4096

/** 0 where a pointer to `offset` of the map's memory may be had; an errno; undefined for types without such memory. */
function directValueError(map: MapSpec, offset: number): number | undefined {
  switch (map.type) {
    case M.BPF_MAP_TYPE_ARRAY:
      if (map.maxEntries !== 1) return ENOTSUPP
      return offset < map.valueSize ? 0 : EINVAL
    case M.BPF_MAP_TYPE_ARENA:
      return offset < map.maxEntries * PAGE ? 0 : ERANGE
    default:
      return undefined
  }
}

/** Variables in the kernel's types that are not among its symbols: nothing else of them was kept. */
const WITHOUT_SYMBOL: ReadonlySet<string> = new Set(['bpf_prog_active'])

/** What a wide instruction with a kernel type id gives. */
interface KernelVariable {
  readonly kind: number
  readonly btf: Btf
  readonly btfId: number
  readonly memSize: number
}

function kernelVariable(p: Proof, insn: Instruction, high: number): KernelVariable {
  const btf = high === 0 ? p.kernel : undefined
  if (btf === undefined) throw p.refuse(EINVAL, 'invalid module BTF object FD specified.')
  const id = btf.id(insn.imm >>> 0)
  const type = id === undefined ? undefined : btf.typeById(id)
  if (type === undefined) throw p.refuse(ENOENT, `ldimm64 insn specifies invalid btf_id ${insn.imm}.`)
  if (type.kind === BTF_KIND.FUNC) return { kind: BASE.MEM | FLAG.RDONLY, btf, btfId: 0, memSize: 0 }
  if (type.kind !== BTF_KIND.VAR) {
    throw p.refuse(EINVAL, `pseudo btf_id ${insn.imm} in ldimm64 isn't KIND_VAR or KIND_FUNC`)
  }
  if (WITHOUT_SYMBOL.has(type.name)) {
    throw p.refuse(ENOENT, `ldimm64 failed to find the address for kernel symbol '${type.name}'.`)
  }
  const section = btf.find('.data..percpu', BTF_KIND.DATASEC)
  const data = section === undefined ? undefined : btf.typeById(section)
  const isPerCpu = data?.kind === BTF_KIND.DATASEC && data.variables.some((v) => v.type === id)
  if (isPerCpu) return { kind: BASE.BTF_ID | FLAG.PERCPU, btf, btfId: type.type, memSize: 0 }
  const target = btf.typeById(btf.resolve(type.type))
  if (target.kind === BTF_KIND.STRUCT || target.kind === BTF_KIND.UNION) {
    return { kind: BASE.BTF_ID, btf, btfId: type.type, memSize: 0 }
  }
  const size = btf.sizeOf(target.id)
  if (size === undefined) {
    throw p.refuse(EINVAL, `ldimm64 unable to resolve the size of type '${target.name}': -22`)
  }
  return { kind: BASE.MEM | FLAG.RDONLY, btf, btfId: 0, memSize: size }
}

/** Which map a wide instruction names. */
function mapOf(p: Proof, insn: Instruction): MapSpec | NoMap | undefined {
  return insn.src === 1 || insn.src === 2 ? p.input.maps[insn.imm] : p.input.descriptors[insn.imm]?.map
}

/** Reserved fields, unknown opcodes, 64-bit immediates and what they stand for. */
function resolveImmediates(p: Proof): void {
  for (let i = 0; i < p.length; i++) {
    const insn = p.insn(i)
    const mode = modeOf(insn.opcode)
    if (
      classOf(insn.opcode) === CLASS.LDX &&
      ((mode !== MODE.MEM && mode !== MODE.MEMSX) || insn.imm !== 0)
    ) {
      throw p.refuse(EINVAL, 'BPF_LDX uses reserved fields')
    }
    if (insn.opcode !== OPCODE.LD_IMM64) {
      if (!isKnownOpcode(insn.opcode) || insn.opcode === 0x8d) {
        throw p.refuse(EINVAL, `unknown opcode ${insn.opcode.toString(16).padStart(2, '0')}`)
      }
      continue
    }
    const next = p.program[i + 1]
    if (next === undefined || next.opcode !== 0 || next.dst !== 0 || next.src !== 0 || next.offset !== 0) {
      throw p.refuse(EINVAL, 'invalid bpf_ld_imm64 insn')
    }
    if (insn.src === 3) p.notes.extra.set(i, kernelVariable(p, insn, next.imm))
    else if (insn.src !== 0 && insn.src !== 4) resolveMap(p, insn, next)
    i++
  }
}

function resolveMap(p: Proof, insn: Instruction, next: Instruction): void {
  const isValue = insn.src === 2 || insn.src === 6
  if (!isValue && !((insn.src === 1 || insn.src === 5) && next.imm === 0)) {
    throw p.refuse(EINVAL, 'unrecognized bpf_ld_imm64 insn')
  }
  if ((insn.src === 5 || insn.src === 6) && p.input.descriptors.length === 0) {
    throw p.refuse(71, 'fd_idx without fd_array is invalid')
  }
  const map = mapOf(p, insn)
  if (map === undefined || 'errno' in map) {
    const { fd, errno } = map ?? { fd: insn.imm, errno: EBADF }
    throw p.refuse(errno, `fd ${fd} is not pointing to valid bpf_map`)
  }
  if (!p.usedMaps.has(map)) {
    if (p.usedMaps.size >= 64) {
      throw p.refuse(E2BIG, 'The total number of maps per program has reached the limit of 64')
    }
    checkMapFits(p, map)
    p.usedMaps.add(map)
  }
  if (!isValue) return
  const offset = next.imm >>> 0
  if (offset >= 1 << 29) throw p.refuse(EINVAL, `direct value offset of ${offset} is not allowed`)
  const error = directValueError(map, offset)
  if (error === undefined) {
    throw p.refuse(EINVAL, 'no direct value access support for this map type')
  }
  if (error !== 0) {
    throw p.refuse(error, `invalid access to map value pointer, value_size=${map.valueSize} off=${offset}`)
  }
}

function loadImmediate(p: Proof, insn: Instruction): void {
  if (sizeFieldOf(insn.opcode) !== SIZE.DW) throw p.refuse(EINVAL, 'invalid BPF_LD_IMM insn')
  if (insn.offset !== 0) throw p.refuse(EINVAL, 'BPF_LD_IMM64 uses reserved fields')
  p.checkWritable(insn.dst)
  const high = p.insn(p.index + 1).imm
  const { dst } = insn
  switch (insn.src) {
    case 0:
      p.setReg(dst, knownScalar((BigInt(high >>> 0) << 32n) | BigInt(insn.imm >>> 0)))
      return
    case 3: {
      const variable = p.notes.extra.get(p.index) as KernelVariable
      const r = pointer(variable.kind)
      r.memSize = variable.memSize
      if (variable.btfId !== 0) {
        r.btf = variable.btf
        r.btfId = variable.btfId
      }
      p.setReg(dst, r)
      return
    }
    case 4: {
      const subprogram = p.subprogramAt(p.index + insn.imm + 1)
      if (p.input.functions.length === 0) throw p.refuse(EINVAL, 'missing btf func_info')
      if (p.subprograms[subprogram]!.isGlobal) throw p.refuse(EINVAL, 'callback function not static')
      const r = pointer(BASE.FUNC)
      r.subprogram = subprogram
      p.setReg(dst, r)
      return
    }
    default: {
      const map = mapOf(p, insn) as MapSpec
      if (insn.src === 1 || insn.src === 5) {
        const r = pointer(BASE.CONST_MAP)
        r.map = map
        p.setReg(dst, r)
      } else if (map.type === M.BPF_MAP_TYPE_ARENA) {
        const r = unknownScalar()
        r.map = map
        p.setReg(dst, r)
      } else {
        const r = pointer(BASE.MAP_VALUE)
        r.map = map
        r.off = high >>> 0
        p.setReg(dst, r)
      }
    }
  }
}

const PACKET_LOADERS: readonly number[] = [
  BPF_PROG_TYPE.BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE.BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE.BPF_PROG_TYPE_SCHED_ACT,
]

function loadPacket(p: Proof, insn: Instruction): void {
  if (!PACKET_LOADERS.includes(p.input.programType)) {
    throw p.refuse(EINVAL, 'BPF_LD_[ABS|IND] instructions not allowed for this program type')
  }
  const isIndirect = modeOf(insn.opcode) === MODE.IND
  if (
    insn.dst !== 0 ||
    insn.offset !== 0 ||
    sizeFieldOf(insn.opcode) === SIZE.DW ||
    (!isIndirect && insn.src !== 0)
  ) {
    throw p.refuse(EINVAL, 'BPF_LD_[ABS|IND] uses reserved fields')
  }
  const context = p.checkReadable(6)
  checkLeaks(p, false, true, 'BPF_LD_[ABS|IND]')
  if (context.kind !== BASE.CTX) {
    throw p.refuse(EINVAL, 'at the time of BPF_LD_ABS|IND R6 != pointer to skb')
  }
  if (isIndirect) p.checkReadable(insn.src)
  checkUnmodified(p, context, 6, false)
  for (let i = 0; i <= 5; i++) p.setReg(i, EMPTY_REGISTER)
  p.setUnknown(0)
}

/** A path is over. */
const END = true
const GOES_ON = false

function exit(p: Proof, isException: boolean): boolean {
  const what = isException ? 'bpf_throw' : 'BPF_EXIT instruction in main prog'
  checkLeaks(p, isException, isException || p.state.currentIndex === 0, what)
  if (isException) return END
  if (p.state.currentIndex > 0) {
    returnFromFunction(p)
    return GOES_ON
  }
  checkReturnValue(p, 0)
  return END
}

function checkJump(p: Proof, insn: Instruction, is32: boolean): boolean {
  const { opcode, src, dst } = insn
  const isRegisterForm = sourceOf(opcode) === SOURCE.X
  p.jumps++
  switch (codeOf(opcode)) {
    case 0x80: {
      const isReserved =
        isRegisterForm ||
        (src !== CALL_SOURCE.KFUNC && insn.offset !== 0) ||
        (src !== CALL_SOURCE.HELPER && src !== CALL_SOURCE.LOCAL && src !== CALL_SOURCE.KFUNC) ||
        dst !== 0 ||
        is32
      if (isReserved) throw p.refuse(EINVAL, 'BPF_CALL uses reserved fields')
      if (p.state.activeLocks > 0) {
        const isForbidden =
          (src === CALL_SOURCE.HELPER && insn.imm !== 94) ||
          (src === CALL_SOURCE.KFUNC &&
            (insn.offset !== 0 || !isAllowedUnderLock(p.kfuncs.nameOf(insn.imm, insn.offset))))
        if (isForbidden) {
          throw p.refuse(EINVAL, 'function calls are not allowed while holding a lock')
        }
      }
      p.scratchedRegisters |= 1
      if (src === CALL_SOURCE.LOCAL) checkFunctionCall(p, insn)
      else if (src === CALL_SOURCE.KFUNC) {
        if (checkKfuncCall(p, insn)) return exit(p, true)
      } else checkHelperCall(p, insn)
      return GOES_ON
    }
    case 0x00:
      if (
        isRegisterForm ||
        src !== 0 ||
        dst !== 0 ||
        (!is32 && insn.imm !== 0) ||
        (is32 && insn.offset !== 0)
      ) {
        throw p.refuse(EINVAL, 'BPF_JA uses reserved fields')
      }
      p.index += (is32 ? insn.imm : insn.offset) + 1
      return GOES_ON
    case 0x90:
      if (isRegisterForm || insn.imm !== 0 || src !== 0 || dst !== 0 || is32) {
        throw p.refuse(EINVAL, 'BPF_EXIT uses reserved fields')
      }
      return exit(p, false)
    default:
      checkBranch(p, insn)
      return GOES_ON
  }
}

/** One instruction: what it requires, what it changes, where it goes. */
function step(p: Proof, insn: Instruction): boolean {
  const { opcode } = insn
  switch (classOf(opcode)) {
    case CLASS.ALU:
    case CLASS.ALU64:
      checkAlu(p, insn)
      break
    case CLASS.LDX:
      checkLoad(p, insn, { aligned: false, isSigned: modeOf(opcode) === MODE.MEMSX, mixesTrust: true })
      break
    case CLASS.STX:
      if (modeOf(opcode) === MODE.ATOMIC) checkAtomic(p, insn)
      else {
        if (modeOf(opcode) !== MODE.MEM || insn.imm !== 0) {
          throw p.refuse(EINVAL, 'BPF_STX uses reserved fields')
        }
        checkStore(p, insn, false)
      }
      break
    case CLASS.ST: {
      if (modeOf(opcode) !== MODE.MEM || insn.src !== 0) throw p.refuse(EINVAL, 'BPF_ST uses reserved fields')
      const { kind } = p.checkReadable(insn.dst)
      checkMemory(p, insn.dst, insn.offset, { isWrite: true, size: accessSize(opcode), value: -1 })
      rememberPointerKind(p, kind, false)
      break
    }
    case CLASS.JMP:
      return checkJump(p, insn, false)
    case CLASS.JMP32:
      return checkJump(p, insn, true)
    default:
      if (modeOf(opcode) === MODE.ABS || modeOf(opcode) === MODE.IND) loadPacket(p, insn)
      else if (modeOf(opcode) === MODE.IMM) {
        loadImmediate(p, insn)
        p.index++
      } else throw p.refuse(EINVAL, 'invalid BPF_LD mode')
  }
  p.index++
  return GOES_ON
}

/** Walks all paths from the current state on. */
function walk(p: Proof): void {
  p.previous = -1
  for (;;) {
    const { index } = p
    p.currentEntry = undefined
    if (index >= p.length || index < 0) {
      throw p.refuse(EFAULT, `invalid insn idx ${index} insn_cnt ${p.length}`)
    }
    if (++p.processed > INSTRUCTION_LIMIT) {
      throw p.refuse(E2BIG, `BPF program is too large. Processed ${p.processed} insn`)
    }
    const insn = p.program[index] as Instruction
    const { state } = p
    state.lastInstruction = p.previous
    state.instruction = index
    let isOver = false
    if (p.notes.prunePoint[index] === 1 && isVisited(p)) {
      p.logSafe()
      isOver = true
    } else {
      if (p.notes.jumpPoint[index] === 1) note(p)
      p.logInstruction()
      p.notes.seen[index] = 1
      const before = index
      isOver = step(p, insn)
      p.previous = before
    }
    if (!isOver) continue
    p.markAllScratched()
    endPath(p, p.state)
    if (!popBranch(p)) return
    p.printsState = true
  }
}

function verifyFunction(p: Proof, subprogram: number): void {
  const s = p.subprograms[subprogram]!
  const state = new State()
  const frame = newFrame(-1, 0, subprogram)
  state.frames = [frame]
  state.branches = 1
  state.firstInstruction = s.start
  state.lastInstruction = -1
  p.state = state
  p.index = s.start
  p.pending = []
  p.explored = new Map()
  p.loops = new Map()
  p.exploredCount = 0
  p.scratchedRegisters = 0
  p.scratchedSlots.clear()
  const isExtension = p.input.programType === BPF_PROG_TYPE.BPF_PROG_TYPE_EXT
  if (subprogram > 0 || isExtension) {
    p.say(`Validating ${s.name}() func#${subprogram}...\n`)
    const takes = describeArguments(p, subprogram)
    if (s.isExceptionCallback) {
      frame.inExceptionCallback = true
      if (takes.length !== 1 || takes[0]?.kind !== 'scalar') {
        throw p.refuse(EINVAL, 'exception cb only supports single integer argument')
      }
    }
    takes.forEach((argument, i) => {
      frame.regs[i + 1] = argumentRegister(p, argument)
    })
  } else {
    if (p.input.functions.length > 0) {
      try {
        const takes = describeArguments(p, 0)
        if (takes.length !== 1 || takes[0]?.kind !== 'context') s.argumentsAreUnreliable = true
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        if (error.message !== '') p.say(`${error.message}\n`)
        s.argumentsAreUnreliable = true
      }
    }
    frame.regs[1] = pointer(BASE.CTX)
  }
  p.scratchedRegisters = 0x7ff
  walk(p)
  if ((p.log.level & 2) === 0) p.log.rewind(0)
}

/** Global functions, each on its own; those that are never called are left out. */
function verifyGlobalFunctions(p: Proof): void {
  if (p.input.functions.length === 0) return
  if (p.exceptionCallback > 0) p.subprograms[p.exceptionCallback]!.isCalled = true
  for (;;) {
    const next = p.subprograms.findIndex((s, i) => i > 0 && s.isGlobal && s.isCalled && !s.isVerified)
    if (next < 0) return
    p.subprograms[next]!.isVerified = true
    verifyFunction(p, next)
  }
}

/** Calls that were left in although the path to them was never walked are fine; walked ones must exist. */
function checkWalkedCalls(p: Proof): void {
  for (let i = 0; i < p.length; i++) {
    const insn = p.insn(i)
    if (isKfuncCall(insn) && insn.imm === 0 && p.notes.seen[i] === 1) {
      throw p.refuse(EINVAL, 'invalid kernel function call not eliminated in verifier pass')
    }
  }
}

const registersOf = (p: Proof): readonly string[] =>
  p.regs.map((r) => (r.kind === BASE.NOT_INIT ? '' : p.printer.register(p.state, p.state.currentIndex, r)))

function statisticsOf(p: Proof): Statistics {
  return {
    processed: p.processed,
    totalStates: p.totalStates,
    peakStates: p.peakStates,
    mostStatesAtOne: p.mostStatesAtOne,
    stackDepths: p.subprograms.map((s) => s.stackDepth),
  }
}

const PRIVATE_STACK_ATTACH: readonly number[] = [
  BPF_ATTACH_TYPE.BPF_TRACE_FENTRY,
  BPF_ATTACH_TYPE.BPF_TRACE_FEXIT,
  BPF_ATTACH_TYPE.BPF_MODIFY_RETURN,
  BPF_ATTACH_TYPE.BPF_TRACE_RAW_TP,
]

function mayHavePrivateStack({ programType, expectedAttachType }: ProgramInput): boolean {
  if (programType === BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING)
    return PRIVATE_STACK_ATTACH.includes(expectedAttachType)
  return (
    programType === BPF_PROG_TYPE.BPF_PROG_TYPE_LSM && expectedAttachType !== BPF_ATTACH_TYPE.BPF_LSM_CGROUP
  )
}

function logLiveRegisters(p: Proof): void {
  p.say('Live regs before insn:\n')
  for (let i = 0; i < p.length; i++) {
    const loop = p.notes.component[i] as number
    const live = p.notes.liveRegisters[i] as number
    let text = ''
    for (let n = 0; n < 10; n++) text += live & (1 << n) ? `${n}` : '.'
    const { opcode } = p.insn(i)
    p.say(
      `${loop > 0 ? `${String(loop).padStart(3)} ` : '    '}${String(i).padStart(3)}: ${text} (${opcode.toString(16).padStart(2, '0')}) ${p.disassemble(i)}\n`,
    )
    if (opcode === OPCODE.LD_IMM64) i++
  }
}

/** What was done, as tools read it from the end of the log. */
function logStatistics(p: Proof, tookNs: bigint): void {
  if (p.log.level === 0) return
  if (p.log.level & 4) {
    p.say(`verification time ${tookNs / 1000n} usec\n`)
    p.say(`stack depth ${p.subprograms.map((s) => s.stackDepth).join('+')}\n`)
  }
  p.say(
    `processed ${p.processed} insns (limit ${INSTRUCTION_LIMIT}) max_states_per_insn ${p.mostStatesAtOne} total_states ${p.totalStates} peak_states ${p.peakStates} mark_read 0\n`,
  )
}

function run(p: Proof): void {
  findSubprograms(p)
  checkSubprograms(p)
  describeSubprograms(p)
  checkLineRecords(p)
  resolveImmediates(p)
  checkGraph(p)
  const order = postorder(p)
  p.target = findTarget(p)
  findLoops(p)
  computeLiveRegisters(p, order)
  if (p.log.level & 2) logLiveRegisters(p)
  verifyFunction(p, 0)
  verifyGlobalFunctions(p)
  checkStackDepth(p, mayHavePrivateStack(p.input))
  checkWalkedCalls(p)
}

/** Proves a program, or says why not. Never throws for a bad program. */
export function prove(input: ProgramInput): ProofVerdict {
  const kind = PROGRAM_KINDS[input.programType]
  const records = new Records(input.kernelTypes)
  const kfuncs = new KfuncTable(input.kernelTypes, input.descriptors)
  const p = new Proof(input, {
    kind: kind ?? { context: () => undefined, packet: 'none', convertsContext: true },
    kfuncs,
    records,
    helpers: helpersFor(input),
  })
  const clockNs = input.clockNs ?? (() => 0n)
  const started = clockNs()
  let refusal: Refusal | undefined
  try {
    checkFunctionRecords(p)
    if (kind === undefined) throw p.refuse(ENOTSUPP, `program type ${input.programType} is not supported`)
    run(p)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    refusal = error
    if (error.message !== '') p.say(`${error.message}\n`)
  }
  logStatistics(p, clockNs() - started)
  const message = refusal?.message ?? ''
  return {
    accepted: refusal === undefined,
    errno: refusal?.errno ?? 0,
    message: message.slice(message.lastIndexOf('\n') + 1),
    log: p.log.text,
    instruction: p.index,
    registers: refusal === undefined || p.state === undefined ? [] : registersOf(p),
    statistics: statisticsOf(p),
    facts: factsOf(p),
  }
}
