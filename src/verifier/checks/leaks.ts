/** What must not be held any more where a program, or a way out of it, ends. */
import { BPF_PROG_TYPE } from '../../abi/index.ts'
import type { Proof } from '../proof.ts'
import { EINVAL } from '../refusal.ts'

export function checkLeaks(p: Proof, isException: boolean, locksToo: boolean, what: string): void {
  const { state } = p
  if (locksToo && state.activeLocks > 0) {
    throw p.refuse(EINVAL, `${what} cannot be used inside bpf_spin_lock-ed region`)
  }
  if (isException || state.currentIndex === 0) {
    const returned = p.reg(0)
    let leaks = false
    for (const r of state.references) {
      if (r.kind !== 'pointer') continue
      const isReturned =
        p.input.programType === BPF_PROG_TYPE.BPF_PROG_TYPE_STRUCT_OPS &&
        !isException &&
        returned.refObjId === r.id
      if (isReturned) continue
      p.say(`Unreleased reference id=${r.id} alloc_insn=${r.instruction}\n`)
      leaks = true
    }
    if (leaks) throw p.refuse(EINVAL, `${what} would lead to reference leak`)
  }
  if (!locksToo) return
  if (state.activeIrqId !== 0) {
    throw p.refuse(EINVAL, `${what} cannot be used inside bpf_local_irq_save-ed region`)
  }
  if (state.activeRcuLocks > 0) {
    throw p.refuse(EINVAL, `${what} cannot be used inside bpf_rcu_read_lock-ed region`)
  }
  if (state.activePreemptLocks > 0) {
    throw p.refuse(EINVAL, `${what} cannot be used inside bpf_preempt_disable-ed region`)
  }
}
