/**
 * Pointers to objects in map values, and to the parts of per-CPU objects.
 *
 * Source: bpf-helpers(7); kernel/bpf/helpers.c of Linux.
 */
import { badMemory, u32Of } from '../access.ts'
import type { HelperBody } from '../environment.ts'

const POINTER_BYTES = 8

/** Puts `r2` where `r1` points, and gives what was there. */
export const kptrXchg: HelperBody = (env, r1, r2) => {
  const at = env.arena.check(r1, POINTER_BYTES, true)
  if (at < 0) return badMemory(1, r1, POINTER_BYTES, 'write')
  const { view } = env.arena
  const old = view.getBigUint64(at, true)
  view.setBigUint64(at, r2, true)
  return old
}

export const perCpuPtr: HelperBody = (env, r1, r2) => env.objects?.partOf(r1, u32Of(r2)) ?? 0n

export const thisCpuPtr: HelperBody = (env, r1) => env.objects?.partOf(r1, env.cpu) ?? 0n
