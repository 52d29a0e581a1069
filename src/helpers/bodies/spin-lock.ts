/**
 * bpf_spin_lock and bpf_spin_unlock. Runs never overlap, so a lock is never waited for; that each is taken and
 * released once is the verifier's to prove. Source: bpf-helpers(7).
 */
import { badMemory } from '../access.ts'
import type { HelperBody } from '../environment.ts'

/** struct bpf_spin_lock. */
const LOCK_BYTES = 4

function set(value: number): HelperBody {
  return (env, r1) => {
    const lock = env.arena.check(r1, LOCK_BYTES, true)
    if (lock < 0) return badMemory(1, r1, LOCK_BYTES, 'write')
    env.arena.view.setUint32(lock, value, true)
    return 0n
  }
}

export const spinLock = set(1)
export const spinUnlock = set(0)
