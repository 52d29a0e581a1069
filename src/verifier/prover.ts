/**
 * The proof of memory safety and termination: every path of a program, walked with all that is known of its values.
 *
 * Passes: functions of the program; 64-bit immediates and their maps; the control flow graph; what it attaches to; the
 * walk of the main function, then of each global function; the depth of the stack.
 *
 * Source: bpf_check, do_check in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../abi/index.ts'
import { resolveImmediates } from './checks/immediates.ts'
import { BASE } from './domain/kinds.ts'
import { factsOf, type ProgramFacts } from './facts.ts'
import { Edges } from './flow/edges.ts'
import { findFastcalls, giveBackFastcallStack } from './flow/fastcall.ts'
import { checkGraph, findLoops, postorder } from './flow/graph.ts'
import { checkLineRecords } from './flow/line-records.ts'
import { computeLiveRegisters } from './flow/live-registers.ts'
import {
  checkFunctionRecords,
  checkStackDepth,
  checkSubprograms,
  describeSubprograms,
  findSubprograms,
  isKfuncCall,
} from './flow/subprograms.ts'
import { KfuncTable } from './kfuncs/table.ts'
import { logLiveRegisters, logStatistics } from './log/summary.ts'
import type { ProofObserver } from './observer.ts'
import type { ProgramInput } from './program.ts'
import { findTarget } from './program-types/attach.ts'
import { AvailableHelpers } from './program-types/helper-availability.ts'
import { PROGRAM_KINDS } from './program-types/kinds.ts'
import { Proof } from './proof.ts'
import { Records } from './records/records.ts'
import { EINVAL, ENOTSUPP, Refusal } from './refusal.ts'
import { verifyFunction, verifyGlobalFunctions } from './walk.ts'

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

function mayHavePrivateStack({ isExtension, input }: Proof): boolean {
  const { programType, expectedAttachType } = input
  if (isExtension) return false
  if (programType === BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING)
    return PRIVATE_STACK_ATTACH.includes(expectedAttachType)
  return (
    programType === BPF_PROG_TYPE.BPF_PROG_TYPE_LSM && expectedAttachType !== BPF_ATTACH_TYPE.BPF_LSM_CGROUP
  )
}

/** The rest of the proof is that of a program of the type that has the function. */
function becomeWhatIsExtended(p: Proof): void {
  const { programType } = p.input
  if (programType === BPF_PROG_TYPE.BPF_PROG_TYPE_STRUCT_OPS) return
  // It has no trampoline of its own.
  p.helpers = new AvailableHelpers(p.input, ABOUT_CALLS)
  p.kind = PROGRAM_KINDS[programType] ?? p.kind
}

/** bpf_get_func_arg, bpf_get_func_ret, bpf_get_func_arg_cnt. */
const ABOUT_CALLS = [183, 184, 185] as const

function run(p: Proof): void {
  findSubprograms(p)
  checkSubprograms(p)
  describeSubprograms(p)
  checkLineRecords(p)
  resolveImmediates(p)
  checkGraph(p)
  p.edges = new Edges(p)
  const order = postorder(p)
  p.target = findTarget(p)
  if (p.isExtension) becomeWhatIsExtended(p)
  findLoops(p)
  computeLiveRegisters(p, order)
  p.stackLiveness.prepare(order)
  findFastcalls(p)
  if (p.log.level & 2) logLiveRegisters(p)
  verifyFunction(p, 0)
  verifyGlobalFunctions(p)
  giveBackFastcallStack(p)
  checkStackDepth(p, mayHavePrivateStack(p))
  checkWalkedCalls(p)
}

/** Proves a program, or says why not. Never throws for a bad program. `observer` is told of each step of the walk. */
export function prove(input: ProgramInput, observer?: ProofObserver): ProofVerdict {
  const kind = PROGRAM_KINDS[input.programType]
  const records = new Records(input.kernelTypes)
  const kfuncs = new KfuncTable(input.kernelTypes, input.descriptors)
  const p = new Proof(input, {
    kind: kind ?? { context: () => undefined, packet: 'none', convertsContext: true },
    kfuncs,
    records,
    helpers: new AvailableHelpers(input),
    observer,
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
  logStatistics(p, clockNs() - started, refusal === undefined)
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
