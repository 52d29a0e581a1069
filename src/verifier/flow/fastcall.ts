/**
 * Spills around calls that need none: compilers write them for kernels on which the callee may change the registers, and
 * Linux takes them out again where the call is inlined. What counts here is the stack that is saved.
 *
 * Source: mark_fastcall_patterns, check_fastcall_stack_contract, remove_fastcall_spills_fills in kernel/bpf/verifier.c
 * of Linux 6.18.
 */
import { BTF_KIND } from '../../btf/index.ts'
import { type Instruction, OPCODE } from '../../isa/index.ts'
import { isAllowed } from '../kfuncs/restrictions.ts'
import type { Proof } from '../proof.ts'
import { isHelperCall, isKfuncCall, type Subprogram } from './subprograms.ts'

const STORE = 0x7b
const LOAD = 0x79
const FRAME_POINTER = 10
const CALLER_SAVED = 0x3f
/** Lower than any offset: the function does something else with that part of its stack. */
const NEVER = -0x8000

/** Helpers that are inlined on this machine. */
const INLINED: ReadonlySet<number> = new Set([8])

interface Summary {
  readonly parameters: number
  readonly isVoid: boolean
  readonly isFast: boolean
}

function summaryOf(p: Proof, insn: Instruction): Summary | undefined {
  if (isHelperCall(insn)) {
    const helper = p.helpers.get(insn.imm)
    if (helper === undefined) return undefined
    return {
      parameters: helper.arguments.length,
      isVoid: helper.returns.type === 'RET_VOID',
      isFast: helper.fastCall && INLINED.has(helper.id),
    }
  }
  if (!isKfuncCall(insn)) return undefined
  const kfunc = p.kfuncs.find(insn.imm, insn.offset)
  if (kfunc === undefined || !isAllowed(p, kfunc)) return undefined
  const { btf, prototype, parameters, flags } = kfunc
  const isVoid = btf.typeById(btf.resolve(prototype.returns)).kind === BTF_KIND.UNKN
  return { parameters: parameters.length, isVoid, isFast: flags.has('FASTCALL') }
}

/** Pairs of a spill before the call and a fill behind it, from the call outwards. */
function findPairs(p: Proof, s: Subprogram, call: number, lowest: number): void {
  const summary = summaryOf(p, p.insn(call))
  if (summary === undefined) return
  const clobbered = ((2 << summary.parameters) - 1) & (summary.isVoid ? ~1 : ~0)
  let expected = ~clobbered & CALLER_SAVED
  let offset = lowest
  let pairs = 0
  for (let i = 1; i <= 6; i++, offset += 8) {
    const spill = p.program[call - i]
    const fill = p.program[call + i]
    const isPair =
      spill?.opcode === STORE &&
      fill?.opcode === LOAD &&
      spill.dst === FRAME_POINTER &&
      fill.src === FRAME_POINTER &&
      spill.src === fill.dst &&
      (expected & (1 << spill.src)) !== 0 &&
      spill.offset === offset &&
      fill.offset === offset
    if (!isPair) break
    expected &= ~(1 << spill.src)
    p.notes.inFastcall[call - i] = 1
    p.notes.inFastcall[call + i] = 1
    pairs++
  }
  if (pairs === 0) return
  if (summary.isFast) p.notes.fastcallSpills[call] = pairs
  else s.keepsFastcallStack = true
  s.fastcallStackOffset = Math.min(s.fastcallStackOffset, offset)
}

export function findFastcalls(p: Proof): void {
  for (const s of p.subprograms) {
    let lowest = 0
    for (let i = s.start; i < s.end; i++) {
      const { opcode, dst, offset } = p.insn(i)
      if (opcode === STORE && dst === FRAME_POINTER) lowest = Math.min(lowest, offset)
    }
    for (let i = s.start; i < s.end; i++) {
      if (p.insn(i).opcode === OPCODE.CALL) findPairs(p, s, i, lowest)
    }
  }
}

/** An access to the stack from elsewhere: what lies below the spills must not be touched. */
export function checkFastcallStack(p: Proof, subprogram: number, offset: number): void {
  const s = p.subprograms[subprogram]!
  if (s.fastcallStackOffset <= offset || p.notes.inFastcall[p.index] === 1) return
  s.fastcallStackOffset = NEVER
  p.notes.inFastcall.fill(0, s.start, s.end)
  p.notes.fastcallSpills.fill(0, s.start, s.end)
}

/** The spills are gone, and with them their stack. */
export function giveBackFastcallStack(p: Proof): void {
  for (const s of p.subprograms) {
    const hasSpills = p.notes.fastcallSpills.subarray(s.start, s.end).some((pairs) => pairs > 0)
    if (hasSpills && !s.keepsFastcallStack) s.stackDepth = -s.fastcallStackOffset
  }
}
