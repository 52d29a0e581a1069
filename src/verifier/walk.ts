/**
 * The walk over all paths of a function.
 *
 * Source: do_check, do_check_common in kernel/bpf/verifier.c of Linux 6.18.
 */
import type { Instruction } from '../isa/index.ts'
import { newFrame } from './checks/calls.ts'
import { argumentRegister, describeArguments } from './checks/global-functions.ts'
import { BASE } from './domain/kinds.ts'
import { pointer } from './domain/register.ts'
import { endPath, isVisited, popBranch } from './flow/paths.ts'
import { acquireArguments } from './program-types/attach.ts'
import { INSTRUCTION_LIMIT, type Proof } from './proof.ts'
import { E2BIG, EFAULT, EINVAL, Refusal } from './refusal.ts'
import { note } from './state/precision.ts'
import { State } from './state/state.ts'
import { step } from './step.ts'

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
    p.observer?.arrives(p)
    let isOver = false
    if (p.notes.prunePoint[index] === 1 && isVisited(p)) {
      p.logSafe()
      isOver = true
    } else {
      if (p.notes.jumpPoint[index] === 1) note(p)
      p.logInstruction()
      p.notes.seen[index] = 1
      const before = index
      p.stackLiveness.begin(index)
      isOver = step(p, insn)
      p.stackLiveness.commit()
      p.previous = before
    }
    if (!isOver) continue
    p.markAllScratched()
    endPath(p, p.state)
    p.stackLiveness.update()
    if (!popBranch(p)) return
    p.printsState = true
  }
}

export function verifyFunction(p: Proof, subprogram: number): void {
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
  p.scratchedRegisters = 0
  p.scratchedSlots.clear()
  if (subprogram > 0 || p.isExtension) {
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
    acquireArguments(p)
  }
  p.scratchedRegisters = 0x7ff
  p.printsState = false
  p.observer?.begins(p, subprogram)
  walk(p)
  if ((p.log.level & 2) === 0) p.log.rewind(0)
}

/** Global functions, each on its own; those that are never called are left out. */
export function verifyGlobalFunctions(p: Proof): void {
  if (p.input.functions.length === 0) return
  if (p.exceptionCallback > 0) p.subprograms[p.exceptionCallback]!.isCalled = true
  for (;;) {
    const next = p.subprograms.findIndex((s, i) => i > 0 && s.isGlobal && s.isCalled && !s.isVerified)
    if (next < 0) return
    p.subprograms[next]!.isVerified = true
    verifyFunction(p, next)
    if ((p.log.level & 3) !== 0) {
      p.say(`Func#${next} ('${p.subprograms[next]!.name}') is safe for any args that match its prototype\n`)
    }
  }
}
