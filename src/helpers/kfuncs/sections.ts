/**
 * Sections in which nothing else happens. Nothing does here while a program runs; the verifier has seen to it that they
 * are paired.
 *
 * Source: kernel/bpf/helpers.c of Linux 6.18.
 */
import { badMemory } from '../access.ts'
import type { KfuncBody } from './row.ts'

export const nothing: KfuncBody = () => 0n

const FLAGS_BYTES = 8
/** X86_EFLAGS_IF and the bit that is always set: what a CPU that takes interrupts says. */
const INTERRUPTS_ON = 0x202n

export const localIrqSave: KfuncBody = (env, _call, r1) => {
  const at = env.arena.check(r1, FLAGS_BYTES, true)
  if (at < 0) return badMemory(1, r1, FLAGS_BYTES, 'write')
  env.arena.view.setBigUint64(at, INTERRUPTS_ON, true)
  return 0n
}

const LOCK_BYTES = 4

/** A lock is free whenever a program asks for it: runs do not overlap. */
export const resSpinLock: KfuncBody = (env, _call, r1) => {
  const at = env.arena.check(r1, LOCK_BYTES, true)
  if (at < 0) return badMemory(1, r1, LOCK_BYTES, 'write')
  return 0n
}

export const resSpinLockIrqsave: KfuncBody = (env, call, r1, r2, r3, r4, r5) => {
  const saved = localIrqSave(env, call, r2, r3, r4, r5, 0n)
  return typeof saved === 'bigint' ? resSpinLock(env, call, r1, r2, r3, r4, r5) : saved
}
