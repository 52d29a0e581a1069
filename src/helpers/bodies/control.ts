/** Helpers that say what runs next. Source: bpf-helpers(7). */
import { E2BIG, EINVAL, ENOENT } from '../../abi/index.ts'
import { ReferenceArray } from '../../maps/index.ts'
import { badMap, failedCallback, failure, u32Of } from '../access.ts'
import type { HelperBody } from '../environment.ts'

/** BPF_MAX_LOOPS of Linux. */
const MOST_LOOPS = 1 << 23

/** -ENOENT, on which the program goes on, for an index without a program. */
export const tailCall: HelperBody = (env, _r1, r2, r3) => {
  const map = env.mapAt(r2)
  if (!(map instanceof ReferenceArray)) return badMap(2, r2, 'which is no program array')
  const program = map.entryAt(u32Of(r3))
  return program === undefined ? failure(ENOENT) : { kind: 'tailCall', program }
}

/** Gives how often the callback ran; it ends the loop with a value other than 0. */
export const loop: HelperBody = (env, r1, r2, r3, r4) => {
  const count = u32Of(r1)
  if (r4 !== 0n) return failure(EINVAL)
  if (count > MOST_LOOPS) return failure(E2BIG)
  for (let index = 0; index < count; index++) {
    const result = env.callback(r2, BigInt(index), r3, 0n, 0n)
    if (result === undefined) return failedCallback(2, r2)
    if (result !== 0n) return BigInt(index + 1)
  }
  return BigInt(count)
}
