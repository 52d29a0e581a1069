/**
 * Calls between functions of the program: frames, callbacks, returns.
 *
 * Source: check_func_call, setup_func_entry, push_callback_call, set_*_callback_state, prepare_func_exit of Linux 6.18.
 */
import { BTF_KIND } from '../../btf/index.ts'
import type { Instruction } from '../../isa/index.ts'
import { BASE } from '../domain/kinds.ts'
import { pointer, type Register, S64_MAX, S64_MIN, unknownScalar } from '../domain/register.ts'
import { pushBranch, pushState } from '../flow/paths.ts'
import { MAX_FRAMES } from '../flow/subprograms.ts'
import type { MapSpec } from '../program.ts'
import type { Proof } from '../proof.ts'
import { E2BIG, EACCES, EFAULT, EINVAL, ENOTSUPP, Refusal } from '../refusal.ts'
import { markPrecise } from '../state/precision.ts'
import { forgetPacketPointers } from '../state/references.ts'
import { EMPTY_REGISTER, Frame, type ReturnRange, State } from '../state/state.ts'
import { DYNPTR_TYPE } from './dynptr.ts'
import { checkGlobalArguments } from './global-functions.ts'
import { previousEntry, widen } from './iterators.ts'

export const RETURN_0_OR_1: ReturnRange = { min: 0, max: 1 }

/** The stack pointer of a new frame. */
export function framePointer(frame: number): Register {
  const r = pointer(BASE.STACK)
  r.frame = frame
  return r
}

export function newFrame(callsite: number, index: number, subprogram: number): Frame {
  const frame = new Frame(callsite, index, subprogram)
  frame.regs[10] = framePointer(index)
  return frame
}

function enter(
  p: Proof,
  state: State,
  subprogram: number,
  callsite: number,
): { caller: Frame; callee: Frame } {
  if (state.frames.length >= MAX_FRAMES) {
    throw p.refuse(E2BIG, `the call stack of ${state.frames.length + 1} frames is too deep`)
  }
  const caller = state.current
  const callee = newFrame(callsite, state.frames.length, subprogram)
  state.frames.push(callee)
  return { caller, callee }
}

function forgetCallerSaved(frame: Frame): void {
  for (let i = 0; i <= 5; i++) frame.regs[i] = EMPTY_REGISTER
}

/** Nothing is said of the arguments, or not what they are: no problem where the function is walked anyway. */
const UNRELIABLE = new Refusal(EINVAL, '')

/** Do the arguments fit the function's BTF? Undefined: they do. */
function argumentProblem(p: Proof, subprogram: number): Refusal | undefined {
  const s = p.subprograms[subprogram]!
  if (p.input.functions.length === 0 || s.argumentsAreUnreliable) return UNRELIABLE
  try {
    checkGlobalArguments(p, subprogram)
    return undefined
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    if (error.errno === EFAULT) throw error
    if (error.message !== '') p.say(`${error.message}\n`)
    s.argumentsAreUnreliable = true
    return error
  }
}

export function checkFunctionCall(p: Proof, insn: Instruction): void {
  const { state } = p
  const target = p.index + insn.imm + 1
  const subprogram = p.subprogramAt(target)
  const s = p.subprograms[subprogram]!
  const caller = state.current
  const problem = argumentProblem(p, subprogram)
  if (s.isGlobal) {
    if (state.activeLocks > 0) {
      p.say('global function calls are not allowed while holding a lock,\n')
      throw p.refuse(EINVAL, 'use static function instead')
    }
    const mustNotSleep =
      state.activeRcuLocks > 0 || state.activePreemptLocks > 0 || state.activeIrqId !== 0 || !p.inSleepable
    if (s.mightSleep && mustNotSleep) {
      p.say('global functions that may sleep are not allowed in non-sleepable context,\n')
      p.say('i.e., in a RCU/IRQ/preempt-disabled section, or in\n')
      throw p.refuse(EINVAL, 'a non-sleepable BPF program context')
    }
    if (problem !== undefined) {
      throw p.refuse(problem.errno, `Caller passes invalid args into func#${subprogram} ('${s.name}')`)
    }
    p.say(`Func#${subprogram} ('${s.name}') is global and assumed valid.\n`)
    if (s.changesPacket) forgetPacketPointers(p)
    s.isCalled = true
    forgetCallerSaved(caller)
    caller.regs[0] = unknownScalar()
    p.scratchedRegisters |= 0x3f
    p.index++
    return
  }
  const { callee } = enter(p, state, subprogram, p.index)
  for (let i = 1; i <= 5; i++) callee.regs[i] = caller.regs[i] as Register
  forgetCallerSaved(caller)
  p.index = s.start
  p.markAllScratched()
  p.stackLiveness.enter()
  p.logCall(caller.index)
}

type SetUp = (caller: Frame, callee: Frame) => void

/** Queues the callback as a call from here; the current path goes on behind the helper. */
export function pushCallback(
  p: Proof,
  subprogram: number,
  isAsync: boolean,
  sleeps: boolean,
  setUp: SetUp,
): void {
  const { state } = p
  const caller = state.current
  argumentProblem(p, subprogram)
  const s = p.subprograms[subprogram]!
  s.isCallback = true
  p.markAllScratched()
  if (isAsync) {
    s.isAsyncCallback = true
    const fresh = new State()
    const frame = newFrame(-1, 0, subprogram)
    frame.inAsyncCallback = true
    fresh.frames = [frame]
    fresh.inSleepable = sleeps
    fresh.branches = 1
    fresh.parent = undefined
    pushState(p, fresh, s.start, p.index)
    frame.asyncEntries = caller.asyncEntries + 1
    setUp(caller, frame)
    return
  }
  const queued = pushBranch(p, s.start, p.index)
  const { caller: queuedCaller, callee } = enter(p, queued, subprogram, p.index)
  setUp(caller, callee)
  queued.callbackUnrollDepth++
  queuedCaller.callbackDepth++
  caller.callbackDepth = 0
}

const inCallback = (callee: Frame, range = RETURN_0_OR_1): void => {
  callee.inCallback = true
  callee.callbackReturn = range
}

function mapPointer(kind: number, map: MapSpec | undefined): Register {
  const r = pointer(kind)
  r.map = map
  return r
}

const FOR_EACH_MAPS: ReadonlySet<number> = new Set([1, 2, 5, 6, 9, 10])

export const mapElementCallback =
  (p: Proof, map: MapSpec): SetUp =>
  (caller, callee) => {
    if (!FOR_EACH_MAPS.has(map.type)) throw p.refuse(ENOTSUPP, 'callback function not allowed for map')
    callee.regs[1] = caller.regs[1] as Register
    callee.regs[2] = mapPointer(BASE.MAP_KEY, (caller.regs[1] as Register).map)
    callee.regs[3] = mapPointer(BASE.MAP_VALUE, (caller.regs[1] as Register).map)
    callee.regs[4] = caller.regs[3] as Register
    inCallback(callee)
  }

export const loopCallback: SetUp = (caller, callee) => {
  callee.regs[1] = unknownScalar()
  callee.regs[2] = caller.regs[3] as Register
  inCallback(callee)
}

/** Timer, work queue: the map, a key and the value. */
export const timerCallback: SetUp = (caller, callee) => {
  const { map } = caller.regs[1] as Register
  callee.regs[1] = mapPointer(BASE.CONST_MAP, map)
  callee.regs[2] = mapPointer(BASE.MAP_KEY, map)
  callee.regs[3] = mapPointer(BASE.MAP_VALUE, map)
  callee.inAsyncCallback = true
  callee.callbackReturn = RETURN_0_OR_1
}

/** Work for a task: as above, but the callback may return anything. */
export const taskWorkCallback: SetUp = (caller, callee) => {
  const { map, mapUid } = caller.regs[3] as Register
  for (const [i, kind] of [BASE.CONST_MAP, BASE.MAP_KEY, BASE.MAP_VALUE].entries()) {
    const r = mapPointer(kind, map)
    r.mapUid = mapUid
    callee.regs[i + 1] = r
  }
  callee.inAsyncCallback = true
  callee.callbackReturn = { min: -0x8000_0000, max: 0x7fff_ffff }
}

export const findVmaCallback =
  (p: Proof): SetUp =>
  (caller, callee) => {
    callee.regs[1] = caller.regs[1] as Register
    const vma = pointer(BASE.BTF_ID)
    vma.btf = p.kernel
    vma.btfId = p.kernel?.find('vm_area_struct', BTF_KIND.STRUCT) ?? 0
    callee.regs[2] = vma
    callee.regs[3] = caller.regs[4] as Register
    inCallback(callee)
  }

export const userRingbufCallback =
  (p: Proof): SetUp =>
  (caller, callee) => {
    const dynptr = pointer(BASE.DYNPTR)
    dynptr.dynptrType = DYNPTR_TYPE.LOCAL
    dynptr.firstSlot = true
    dynptr.id = p.newId()
    callee.regs[1] = dynptr
    callee.regs[2] = caller.regs[3] as Register
    inCallback(callee)
  }

/** `smin=.. smax=..`, or that nothing is known. */
export function outOfRangeText(r: Register, range: ReturnRange, where: string, name: string): string {
  let text = `${where} the register ${name} has`
  let unknown = true
  if (r.smin > S64_MIN) {
    text += ` smin=${r.smin}`
    unknown = false
  }
  if (r.smax < S64_MAX) {
    text += ` smax=${r.smax}`
    unknown = false
  }
  if (unknown) text += ' unknown scalar value'
  return `${text} should have been in [${range.min}, ${range.max}]`
}

/** The exit of a function that was called: back to its caller, or to the helper that called it back. */
export function returnFromFunction(p: Proof): void {
  const { state } = p
  p.stackLiveness.update()
  const callee = state.current
  const r0 = callee.regs[0] as Register
  if (r0.kind === BASE.STACK) throw p.refuse(EINVAL, 'cannot return stack pointer to the caller')
  const caller = state.frames[state.frames.length - 2] as Frame
  if (callee.inCallback) {
    if (r0.kind !== BASE.SCALAR) throw p.refuse(EACCES, 'R0 not a scalar value')
    markPrecise(p, 0)
    const range = callee.callbackReturn
    if (r0.smin < BigInt(range.min) || r0.smax > BigInt(range.max)) {
      throw p.refuse(EINVAL, outOfRangeText(r0, range, 'At callback return', 'R0'))
    }
    if (!p.notes.callsCallback[callee.callsite]) throw p.refuse(EFAULT, 'verifier bug: in callback')
  } else caller.regs[0] = r0
  const { callsite, inCallback: wasCallback } = callee
  p.index = wasCallback ? callsite : callsite + 1
  p.logReturn(callee.index)
  state.frames.pop()
  if (!wasCallback) return
  const before = previousEntry(p, state, p.index)
  if (before !== undefined) widen(p, before, state)
}
