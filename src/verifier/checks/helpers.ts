/**
 * Calls of helpers.
 *
 * Source: check_helper_call in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BPF_ATTACH_TYPE, BPF_MAP_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import { BTF_KIND, type Btf, type BtfId } from '../../btf/index.ts'
import { type HelperPrototype, helperById } from '../../helpers/index.ts'
import type { Instruction } from '../../isa/index.ts'
import { syncBounds } from '../domain/bounds.ts'
import { BASE, FLAG, kindName } from '../domain/kinds.ts'
import { pointer, type Register, unknownScalar } from '../domain/register.ts'
import { pushBranch } from '../flow/paths.ts'
import type { MapSpec } from '../program.ts'
import { isAllowedInProbe } from '../program-types/probe-helpers.ts'
import { isNull, mayBeNull, type Proof } from '../proof.ts'
import { hasField } from '../records/records.ts'
import { EACCES, EFAULT, EINVAL, ENOTSUPP } from '../refusal.ts'
import { markPrecise } from '../state/precision.ts'
import { acquireReference, forgetPacketPointers, release, releaseReference } from '../state/references.ts'
import { EMPTY_REGISTER } from '../state/state.ts'
import { type CallFacts, newFacts } from './argument-kinds.ts'
import { checkArgument } from './arguments.ts'
import {
  findVmaCallback,
  loopCallback,
  mapElementCallback,
  pushCallback,
  returnFromFunction,
  timerCallback,
  userRingbufCallback,
} from './calls.ts'
import { DYNPTR_TYPE, dynptrBehind, releaseDynptr } from './dynptr.ts'
import { checkFormat } from './format.ts'
import { settle } from './invariants.ts'
import { checkLeaks } from './leaks.ts'
import { checkMapCompatibility } from './map-compatibility.ts'
import { checkMemory } from './memory.ts'

const H = {
  mapLookup: 1,
  tailCall: 12,
  probeWriteUser: 36,
  getStack: 67,
  getLocalStorage: 81,
  timerSetCallback: 170,
  forEachMapElem: 164,
  snprintf: 165,
  getFuncIp: 173,
  findVma: 180,
  loop: 181,
  setRetval: 187,
  kptrXchg: 194,
  dynptrFromMem: 197,
  dynptrWrite: 202,
  dynptrData: 203,
  userRingbufDrain: 209,
  perCpuPtr: 153,
  thisCpuPtr: 154,
  getSmpProcessorId: 8,
} as const

/** Helpers that need the map that they are given to be one and the same kind. */
const WANTS_MAP: ReadonlySet<number> = new Set([12, 1, 2, 3, 87, 88, 89, 164, 51, 195])
const WRITES_MAP: ReadonlySet<number> = new Set([3, 2, 87, 88])
const CASTS_POINTER: ReadonlySet<number> = new Set([96, 95, 137, 136, 140, 196, 138, 139])
const ACQUIRES: ReadonlySet<number> = new Set([84, 85, 99, 131, 194])
/** The most that these return is the size that they were given. */
const RETURNS_SIZE: ReadonlySet<number> = new Set([67, 141, 45, 115, 114])
const MAX_ERRNO = 4095
const MAX_HELPER = 211

/** Writing to user memory is what a kernel refuses that is locked down, as the recorded one is. */
function findHelper(p: Proof, id: number): HelperPrototype {
  const helper = p.helpers.get(id)
  const isWithheld = id === H.probeWriteUser && p.input.mayWriteUserMemory !== true
  if (helper !== undefined && !isWithheld) return helper
  if (id === 0) throw p.refuse(EINVAL, 'program of this type cannot use helper bpf_unspec#0')
  if (id < 0 || id > MAX_HELPER || helperById(id) === undefined) {
    throw p.refuse(EINVAL, `invalid func unknown#${id}`)
  }
  throw p.refuse(EINVAL, `program of this type cannot use helper ${p.helperName(id)}#${id}`)
}

/** Calls that need context: is this one allowed where the path stands? */
function checkPlace(p: Proof, helper: HelperPrototype): void {
  const { state } = p
  const name = `${helper.name}#${helper.id}`
  if (helper.gplOnly && !p.isGpl) {
    throw p.refuse(EINVAL, 'cannot call GPL-restricted function from non-GPL compatible program')
  }
  if (!isAllowedInProbe(p, helper.id)) {
    throw p.refuse(EINVAL, 'helper call is not allowed in probe')
  }
  if (!helper.mightSleep) return
  if (!p.inSleepable) throw p.refuse(EINVAL, 'helper call might sleep in a non-sleepable prog')
  if (state.activeRcuLocks > 0) {
    throw p.refuse(EINVAL, `sleepable helper ${name} in rcu_read_lock region`)
  }
  if (state.activePreemptLocks > 0) {
    throw p.refuse(EINVAL, `sleepable helper ${name} in non-preemptible region`)
  }
  if (state.activeIrqId !== 0) throw p.refuse(EINVAL, `sleepable helper ${name} in IRQ-disabled region`)
}

function releaseArgument(p: Proof, helper: HelperPrototype, facts: CallFacts): void {
  if (facts.released === 0) return
  const { id } = helper
  const r = p.reg(facts.released)
  let isReleased = false
  if (helper.arguments[facts.released - 1]?.type === 'ARG_PTR_TO_DYNPTR') isReleased = releaseDynptr(p, r)
  else if (id === H.kptrXchg && facts.refObjId !== 0) {
    const { refObjId } = facts
    const inRcu = p.inRcuSection
    isReleased = releaseReference(p.state, refObjId)
    if (isReleased) {
      p.state.mapRegisters((x) => {
        if (x.refObjId !== refObjId) return x
        if (!(inRcu && x.kind & FLAG.ALLOC && x.kind & FLAG.PERCPU)) return unknownScalar()
        const copy = x.copy()
        copy.refObjId = 0
        copy.kind = (copy.kind & ~FLAG.ALLOC) | FLAG.RCU
        return copy
      })
    }
  } else if (facts.refObjId !== 0) isReleased = release(p, facts.refObjId)
  else isReleased = isNull(r)
  if (!isReleased) {
    throw p.refuse(EINVAL, `func ${helper.name}#${id} reference has not been acquired before`)
  }
}

/** A loop is inlined where its flags are always 0 and its callback is always the same. */
function noteInlinedLoop(p: Proof, callback: number): void {
  const known = p.inlinedLoops.get(p.index)
  if (known !== undefined && !known.fits) return
  const hasNoFlags = isNull(p.reg(4))
  if (hasNoFlags) markPrecise(p, 4)
  if (known === undefined) p.inlinedLoops.set(p.index, { fits: hasNoFlags, callback })
  else known.fits = hasNoFlags && known.callback === callback
}

/** What the call does beside returning; true: packet pointers are void after it. */
function specialEffects(p: Proof, helper: HelperPrototype, facts: CallFacts): boolean {
  const { state } = p
  switch (helper.id) {
    case H.tailCall:
      if (p.argumentReferences.size > 0) {
        throw p.refuse(EINVAL, 'program with __ref argument cannot tail call')
      }
      checkLeaks(p, false, true, 'tail_call')
      return false
    case H.getLocalStorage:
      if (!isNull(p.reg(2))) {
        throw p.refuse(EINVAL, "get_local_storage() doesn't support non-zero flags")
      }
      return false
    case H.forEachMapElem:
      pushCallback(p, facts.subprogram, false, false, mapElementCallback(p, facts.map as MapSpec))
      return false
    case H.timerSetCallback:
      pushCallback(p, facts.subprogram, true, false, timerCallback)
      return false
    case H.findVma:
      pushCallback(p, facts.subprogram, false, false, findVmaCallback(p))
      return false
    case H.userRingbufDrain:
      pushCallback(p, facts.subprogram, false, false, userRingbufCallback(p))
      return false
    case H.loop:
      noteInlinedLoop(p, facts.subprogram)
      if (p.reg(1).kind !== BASE.SCALAR) throw p.refuse(EFAULT, 'verifier bug: backtracking misuse')
      markPrecise(p, 1)
      if (BigInt(state.current.callbackDepth) < p.reg(1).umax) {
        pushCallback(p, facts.subprogram, false, false, loopCallback)
      } else state.current.callbackDepth = 0
      return false
    case H.snprintf:
      checkFormat(p)
      return false
    case H.dynptrFromMem:
      if (p.reg(1).kind !== BASE.MAP_VALUE) {
        throw p.refuse(EACCES, `Unsupported reg type ${kindName(p.reg(1).kind)} for bpf_dynptr_from_mem data`)
      }
      return false
    case H.dynptrData: {
      const behind = dynptrBehind(p, p.reg(1))
      if (behind === undefined) throw p.refuse(EFAULT, 'verifier bug: failed to obtain dynptr id')
      facts.dynptrId = behind.id
      facts.refObjId = behind.refObjId
      return false
    }
    case H.dynptrWrite: {
      const type = dynptrBehind(p, p.reg(1))?.dynptrType
      if (type === undefined || type === DYNPTR_TYPE.INVALID) throw p.refuse(EFAULT, '')
      return type === DYNPTR_TYPE.SKB || type === DYNPTR_TYPE.SKB_META
    }
    case H.setRetval: {
      const { programType, expectedAttachType } = p.input
      const isVoid = p.target?.prototype?.returns === 0
      if (
        programType === BPF_PROG_TYPE.BPF_PROG_TYPE_LSM &&
        expectedAttachType === BPF_ATTACH_TYPE.BPF_LSM_CGROUP &&
        isVoid
      ) {
        throw p.refuse(EINVAL, "BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!")
      }
      return false
    }
    default:
      return false
  }
}

function returned(p: Proof, helper: HelperPrototype, facts: CallFacts, cpuSpecific: boolean): Register {
  const { returns, id } = helper
  let flags = returns.flags.reduce((all, flag) => all | (RETURN_FLAGS[flag] ?? 0), 0)
  switch (returns.type) {
    case 'RET_INTEGER':
      return unknownScalar()
    case 'RET_VOID':
      return EMPTY_REGISTER
    case 'RET_PTR_TO_MAP_VALUE': {
      const map = facts.map as MapSpec
      if (id === H.mapLookup && facts.constantKey >= 0n && facts.constantKey < BigInt(map.maxEntries)) {
        flags &= ~FLAG.MAYBE_NULL
      }
      const r = pointer(BASE.MAP_VALUE | flags)
      r.map = map
      r.mapUid = facts.mapUid
      if (!mayBeNull(flags) && hasField(p.records.ofMap(map), 'spin_lock', 'res_spin_lock')) r.id = p.newId()
      return r
    }
    case 'RET_PTR_TO_SOCKET':
      return pointer(BASE.SOCKET | flags)
    case 'RET_PTR_TO_SOCK_COMMON':
      return pointer(BASE.SOCK_COMMON | flags)
    case 'RET_PTR_TO_TCP_SOCK':
      return pointer(BASE.TCP_SOCK | flags)
    case 'RET_PTR_TO_MEM': {
      const r = pointer(BASE.MEM | flags)
      r.memSize = facts.memSize
      return r
    }
    case 'RET_PTR_TO_MEM_OR_BTF_ID': {
      const btf = facts.returnBtf as Btf
      const type = btf.typeById(btf.resolve(facts.returnBtfId as BtfId))
      if (type.kind !== BTF_KIND.STRUCT) {
        const size = btf.sizeOf(type.id)
        if (size === undefined) {
          throw p.refuse(EINVAL, `unable to resolve the size of type '${type.name}': -22`)
        }
        const r = pointer(BASE.MEM | flags)
        r.memSize = size
        return r
      }
      const kind = cpuSpecific ? FLAG.ALLOC | FLAG.RCU : flags & ~FLAG.RDONLY
      const r = pointer(BASE.BTF_ID | kind)
      r.btf = btf
      r.btfId = facts.returnBtfId
      return r
    }
    case 'RET_PTR_TO_BTF_ID': {
      const r = pointer(BASE.BTF_ID | flags)
      if (id === H.kptrXchg) {
        const pointee = facts.kptr?.pointee
        r.btf = pointee?.btf
        r.btfId = pointee?.btfId ?? 0
        if (r.btf !== p.kernel) {
          r.kind |= FLAG.ALLOC
          if (facts.kptr?.kind === 'kptr_percpu') r.kind |= FLAG.PERCPU
        }
      } else {
        r.btf = p.kernel
        r.btfId = p.kernel?.find(returns.btfType ?? '', BTF_KIND.STRUCT) ?? 0
      }
      if (r.btfId === 0) throw p.refuse(EINVAL, `invalid return type 8 of func ${helper.name}#${id}`)
      return r
    }
  }
}

const RETURN_FLAGS: Readonly<Record<string, number>> = {
  PTR_MAYBE_NULL: FLAG.MAYBE_NULL,
  MEM_RDONLY: FLAG.RDONLY,
  MEM_RINGBUF: FLAG.RINGBUF,
  PTR_TRUSTED: FLAG.TRUSTED,
  DYNPTR_TYPE_LOCAL: FLAG.DYNPTR_LOCAL,
}

/** CPUs that the kernel may have: what bpf_get_smp_processor_id can return is less. */
const POSSIBLE_CPUS = 2

function refineReturn(p: Proof, helper: HelperPrototype, facts: CallFacts): void {
  if (helper.returns.type !== 'RET_INTEGER') return
  if (RETURNS_SIZE.has(helper.id)) {
    const r = p.reg(0).copy()
    const most = BigInt.asIntN(64, facts.maxSize)
    r.smax = most
    r.s32max = Number(BigInt.asIntN(32, most))
    r.smin = BigInt(-MAX_ERRNO)
    r.s32min = -MAX_ERRNO
    syncBounds(r)
    p.setReg(0, r)
  } else if (helper.id === H.getSmpProcessorId) {
    const r = p.reg(0).copy()
    const most = POSSIBLE_CPUS - 1
    r.umax = BigInt(most)
    r.u32max = most
    r.smax = BigInt(most)
    r.s32max = most
    r.umin = 0n
    r.u32min = 0
    r.smin = 0n
    r.s32min = 0
    syncBounds(r)
    p.setReg(0, r)
  }
  settle(p, 0, 'retval')
}

export function checkHelperCall(p: Proof, insn: Instruction): void {
  const id = insn.imm
  const helper = findHelper(p, id)
  checkPlace(p, helper)
  const facts = newFacts(id, helper.packetAccess)
  for (let i = 0; i < helper.arguments.length; i++) checkArgument(p, i, helper.arguments, facts)
  if (WANTS_MAP.has(id)) {
    const map = facts.map as MapSpec
    if (map !== undefined && map.flags & 0x80 && WRITES_MAP.has(id)) {
      throw p.refuse(EACCES, 'write into map forbidden')
    }
  }
  if (id === H.tailCall) {
    if (facts.map?.type !== BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY) {
      throw p.refuse(EINVAL, 'expected prog array map for tail call')
    }
    const index = p.reg(3)
    const isKnown = index.kind === BASE.SCALAR && index.mask === 0n
    if (isKnown && index.value < BigInt(facts.map.maxEntries)) markPrecise(p, 3)
  }
  // What the helper fills, byte by byte: that also checks that it may.
  for (let i = 0; i < facts.raw.size; i++) {
    checkMemory(p, facts.raw.register, i, { isWrite: true, size: 1, value: -1 })
  }
  releaseArgument(p, helper, facts)
  let changesPacket = specialEffects(p, helper, facts)
  const cpuSpecific = (id === H.perCpuPtr || id === H.thisCpuPtr) && (p.reg(1).kind & FLAG.RCU) !== 0
  if (helper.changesPacket) changesPacket = true
  for (let i = 0; i <= 5; i++) p.setReg(i, EMPTY_REGISTER)
  const r = returned(p, helper, facts, cpuSpecific)
  if (r.kind !== BASE.NOT_INIT && r.kind !== BASE.SCALAR) {
    if (mayBeNull(r.kind)) r.id = p.newId()
    if (id === H.dynptrData) r.dynptrId = facts.dynptrId
    const isSockmapLookup =
      id === H.mapLookup &&
      (facts.map?.type === BPF_MAP_TYPE.BPF_MAP_TYPE_SOCKMAP ||
        facts.map?.type === BPF_MAP_TYPE.BPF_MAP_TYPE_SOCKHASH)
    if (CASTS_POINTER.has(id) || id === H.dynptrData) r.refObjId = facts.refObjId
    else if (ACQUIRES.has(id) || isSockmapLookup) {
      const reference = acquireReference(p, p.index)
      r.id = reference
      r.refObjId = reference
    }
  }
  p.setReg(0, r)
  refineReturn(p, helper, facts)
  checkMapCompatibility(p, facts.map, id)
  if (id === H.getFuncIp) checkGetFuncIp(p)
  if (id === H.tailCall) {
    // A tail call that succeeds does not come back here: from a function of the program it returns to the caller.
    if (p.state.currentIndex > 0) {
      leaveByTailCall(p)
      return
    }
    changesPacket = false
  }
  if (changesPacket) forgetPacketPointers(p)
  p.index++
}

function leaveByTailCall(p: Proof): void {
  if (p.frame.inCallback) throw p.refuse(EINVAL, 'cannot tail call within callback')
  pushBranch(p, p.index + 1, p.index)
  forgetPacketPointers(p)
  p.setUnknown(0)
  returnFromFunction(p)
}

function checkGetFuncIp(p: Proof): void {
  const { programType, expectedAttachType } = p.input
  const name = 'bpf_get_func_ip#173'
  if (programType === BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING) {
    const isTrampoline: readonly number[] = [
      BPF_ATTACH_TYPE.BPF_TRACE_FENTRY,
      BPF_ATTACH_TYPE.BPF_TRACE_FEXIT,
      BPF_ATTACH_TYPE.BPF_MODIFY_RETURN,
    ]
    if (!p.isExtension && isTrampoline.includes(expectedAttachType)) return
    throw p.refuse(ENOTSUPP, `func ${name} supported only for fentry/fexit/fmod_ret programs`)
  }
  if (programType === BPF_PROG_TYPE.BPF_PROG_TYPE_KPROBE) return
  throw p.refuse(ENOTSUPP, `func ${name} not supported for program type ${programType}`)
}
