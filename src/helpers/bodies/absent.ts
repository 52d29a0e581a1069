/**
 * Helpers over what this kernel has nothing of: they answer as Linux does where there is nothing to be found.
 */
import { EFAULT, EINVAL, ENOENT, EOPNOTSUPP, EPERM } from '../../abi/index.ts'
import { badMemory, failure, u32Of } from '../access.ts'
import type { HelperBody } from '../environment.ts'

/** Null, or nothing. */
export const none: HelperBody = () => 0n

/** There is no such thing as the argument would have to be. */
export const invalid: HelperBody = () => failure(EINVAL)

export const notFound: HelperBody = () => failure(ENOENT)

/** No socket is of the kind that it would have to be. */
export const unsupported: HelperBody = () => failure(EOPNOTSUPP)

/** No packet is being written or read whose TCP options these would be. */
export const forbidden: HelperBody = () => failure(EPERM)

/** A message of no bytes: every place lies behind its end. */
export const msgPullData: HelperBody = () => failure(EINVAL)
export const msgChangeData: HelperBody = (_env, _r1, _r2, r3, r4) =>
  u32Of(r3) === 0 && r4 === 0n ? 0n : failure(EINVAL)

/** No sysctl is being read or written: what was asked for is zeroed. */
export const sysctlText: HelperBody = (env, _r1, r2, r3) => {
  const size = u32Of(r3)
  const at = env.arena.check(r2, size, true)
  if (at < 0) return badMemory(2, r2, size, 'write')
  env.arena.bytes.fill(0, at, at + size)
  return failure(EINVAL)
}

/** No socket is of any network: the first one's cookie. */
export const firstNetns: HelperBody = () => 1n

/** Of perf events only their records are kept, no counts. */
export const perfEventRead: HelperBody = (_env, _r1, r2) => failure(r2 >> 32n !== 0n ? EINVAL : ENOENT)

/** struct bpf_perf_event_value. */
const VALUE_BYTES = 24

export const perfEventReadValue: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const size = u32Of(r4)
  const at = env.arena.check(r3, size, true)
  if (at < 0) return badMemory(3, r3, size, 'write')
  env.arena.bytes.fill(0, at, at + size)
  return size === VALUE_BYTES ? perfEventRead(env, r1, r2, r3, r4, r5) : failure(EINVAL)
}

export const perfProgReadValue: HelperBody = (env, _r1, r2, r3) => {
  const size = u32Of(r3)
  const at = env.arena.check(r2, size, true)
  if (at < 0) return badMemory(2, r2, size, 'write')
  env.arena.bytes.fill(0, at, at + size)
  return failure(EINVAL)
}

/** No CPU here keeps a record of its branches. */
export const branchSnapshot: HelperBody = (_env, _r1, _r2, r3) => failure(r3 === 0n ? ENOENT : EINVAL)
export const branchRecords: HelperBody = (_env, _r1, _r2, _r3, r4) =>
  failure((r4 & ~1n) === 0n ? ENOENT : EINVAL)

/** Memory of a task: of the current one only. */
export const copyFromUserTask: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const size = u32Of(r2)
  const at = env.arena.check(r1, size, true)
  if (at < 0) return badMemory(1, r1, size, 'write')
  if (r5 !== 0n) return failure(EINVAL)
  if (size === 0) return 0n
  const bytes = new Uint8Array(size)
  const isCurrent = env.task()?.address === r4
  const status = isCurrent ? env.readUser(r3, bytes) : -EFAULT
  env.arena.bytes.set(status === 0 ? bytes : new Uint8Array(size), at)
  return BigInt(status === 0 ? 0 : -EFAULT)
}
