/**
 * One instruction: which check it goes to, and where the path goes from it.
 *
 * Source: do_check_insn in kernel/bpf/verifier.c of Linux 6.18.
 */
import {
  accessSize,
  CALL_SOURCE,
  CLASS,
  classOf,
  codeOf,
  type Instruction,
  MODE,
  modeOf,
  SOURCE,
  sourceOf,
} from '../isa/index.ts'
import { checkAlu } from './checks/alu.ts'
import { checkBranch } from './checks/branch.ts'
import { checkFunctionCall, returnFromFunction } from './checks/calls.ts'
import { checkHelperCall } from './checks/helpers.ts'
import { loadImmediate } from './checks/immediates.ts'
import { checkLeaks } from './checks/leaks.ts'
import { checkAtomic, checkLoad, checkStore, rememberPointerKind } from './checks/load-store.ts'
import { checkMemory } from './checks/memory.ts'
import { loadPacket } from './checks/packet-load.ts'
import { checkReturnValue } from './checks/return-value.ts'
import { checkKfuncCall, isAllowedUnderLock } from './kfuncs/call.ts'
import type { Proof } from './proof.ts'
import { EINVAL } from './refusal.ts'

/** A path is over. */
const END = true

const GOES_ON = false

function exit(p: Proof, isException: boolean): boolean {
  const what = isException ? 'bpf_throw' : 'BPF_EXIT instruction in main prog'
  checkLeaks(p, isException, isException || p.state.currentIndex === 0, what)
  if (isException) return END
  if (p.state.currentIndex > 0) {
    returnFromFunction(p)
    p.printsState = true
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
export function step(p: Proof, insn: Instruction): boolean {
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
