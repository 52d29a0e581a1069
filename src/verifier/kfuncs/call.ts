/** Calls of the kernel's functions. */
import type { Instruction } from '../../isa/index.ts'
import type { Proof } from '../proof.ts'
import { ENOTSUPP } from '../refusal.ts'

/** True: the program ends here (bpf_throw). */
export function checkKfuncCall(p: Proof, insn: Instruction): boolean {
  throw p.refuse(ENOTSUPP, `kfunc ${p.kfuncs.nameOf(insn.imm, insn.offset)} is not supported yet`)
}

export const isAllowedUnderLock = (_name: string | undefined): boolean => false
