/**
 * Ranges without values, and known bits outside of the ranges: they come up on paths that cannot be taken. What was
 * derived is forgotten there; the test flag asks for a refusal.
 *
 * Source: reg_bounds_sanity_check in kernel/bpf/verifier.c of Linux 6.18.
 */
import { boundsProblem } from '../domain/bounds.ts'
import type { Register } from '../domain/register.ts'
import type { Proof } from '../proof.ts'
import { EFAULT } from '../refusal.ts'

const hex = (value: bigint | number, bits: number): string =>
  `0x${BigInt.asUintN(bits, BigInt(value)).toString(16)}`

/** In place: `r` must be a copy that no state has shared yet. `where` is Linux's word for what was done. */
export function settleBounds(p: Proof, r: Register, where: string): void {
  const problem = boundsProblem(r)
  if (problem === undefined) return
  const wide = `u64=[${hex(r.umin, 64)}, ${hex(r.umax, 64)}] s64=[${hex(r.smin, 64)}, ${hex(r.smax, 64)}]`
  const low = `u32=[${hex(r.u32min, 32)}, ${hex(r.u32max, 32)}] s32=[${hex(r.s32min, 32)}, ${hex(r.s32max, 32)}]`
  const bits = `var_off=(${hex(r.value, 64)}, ${hex(r.mask, 64)})`
  const text = `verifier bug: REG INVARIANTS VIOLATION (${where}): ${problem} ${wide} ${low} ${bits}`
  if (p.testsInvariants) throw p.refuse(EFAULT, text)
  p.say(`${text}\n`)
  r.setUnbounded()
}

/** The same for register `n` of the current frame. */
export function settle(p: Proof, n: number, where: string): void {
  const register = p.reg(n)
  if (boundsProblem(register) === undefined) return
  const copy = register.copy()
  settleBounds(p, copy, where)
  p.setReg(n, copy)
}
