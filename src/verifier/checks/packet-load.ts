/**
 * The old loads from packets.
 *
 * Source: check_ld_abs in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BPF_PROG_TYPE } from '../../abi/index.ts'
import { type Instruction, MODE, modeOf, SIZE, sizeFieldOf } from '../../isa/index.ts'
import { BASE } from '../domain/kinds.ts'
import { knownScalar } from '../domain/register.ts'
import { pushBranch } from '../flow/paths.ts'
import type { Proof } from '../proof.ts'
import { EINVAL } from '../refusal.ts'
import { EMPTY_REGISTER } from '../state/state.ts'
import { returnFromFunction } from './calls.ts'
import { checkLeaks } from './leaks.ts'
import { checkUnmodified } from './region.ts'

const PACKET_LOADERS: readonly number[] = [
  BPF_PROG_TYPE.BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE.BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE.BPF_PROG_TYPE_SCHED_ACT,
]

export function loadPacket(p: Proof, insn: Instruction): void {
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
  if (p.state.frames.some((frame) => frame.inCallback)) {
    throw p.refuse(EINVAL, 'cannot use BPF_LD_[ABS|IND] within callback')
  }
  checkLeaks(p, false, true, 'BPF_LD_[ABS|IND]')
  if (context.kind !== BASE.CTX) {
    throw p.refuse(EINVAL, 'at the time of BPF_LD_ABS|IND R6 != pointer to skb')
  }
  if (isIndirect) p.checkReadable(insn.src)
  checkUnmodified(p, context, 6, false)
  for (let i = 0; i <= 5; i++) p.setReg(i, EMPTY_REGISTER)
  p.setUnknown(0)
  if (p.state.currentIndex === 0) return
  // Outside of the packet the function ends, with 0: that is walked first.
  p.scratchedRegisters |= 1
  pushBranch(p, p.index + 1, p.index)
  p.setReg(0, knownScalar(0n))
  returnFromFunction(p)
  p.index--
}
