/**
 * Pages of an arena map, as programs ask for them. A size of 0 and flags ask for nothing.
 *
 * Source: kernel/bpf/arena.c of Linux 6.18.
 */
import { EINVAL } from '../../abi/index.ts'
import { ArenaMap } from '../../maps/index.ts'
import { failure, u32Of } from '../access.ts'
import type { KfuncBody } from './row.ts'

export const arenaAllocPages: KfuncBody = (env, _call, r1, r2, r3, _r4, r5) => {
  const map = env.mapAt(r1)
  return map instanceof ArenaMap && r5 === 0n ? map.allocatePages(r2, u32Of(r3)) : 0n
}

export const arenaFreePages: KfuncBody = (env, _call, r1, r2, r3) => {
  const map = env.mapAt(r1)
  if (map instanceof ArenaMap && r2 !== 0n) map.freePages(r2, u32Of(r3))
  return 0n
}

export const arenaReservePages: KfuncBody = (env, _call, r1, r2, r3) => {
  const map = env.mapAt(r1)
  return map instanceof ArenaMap ? failure(-map.reservePages(r2, u32Of(r3))) : failure(EINVAL)
}
