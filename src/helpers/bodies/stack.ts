/**
 * Helpers that say how the program's place was reached. Frames come from the environment; where it cannot walk the
 * kernel's stack there is one, the probed address.
 *
 * Source: bpf-helpers(7); kernel/bpf/stackmap.c of Linux.
 */
import { EFAULT, EINVAL } from '../../abi/index.ts'
import { StackTraceMap } from '../../maps/index.ts'
import { badMap, badMemory, failure, u32Of } from '../access.ts'
import type { HelperBody, HelperEnvironment } from '../environment.ts'

const SKIP_MASK = 0xffn
const USER_STACK = 1n << 8n
const FAST_STACK_CMP = 1n << 9n
const REUSE_STACKID = 1n << 10n
const USER_BUILD_ID = 1n << 11n
const ADDRESS_BYTES = 8
const BUILD_ID_BYTES = 32
const BUILD_ID_ADDRESS = 24
const BPF_STACK_BUILD_ID_IP = 2

function framesOf(env: HelperEnvironment, flags: bigint): readonly bigint[] {
  const isUser = (flags & USER_STACK) !== 0n
  const frames = env.backtrace?.(isUser ? 'user' : 'kernel')
  if (frames !== undefined || isUser) return frames ?? []
  const probed = env.probedAddress()
  return probed === 0n ? [] : [probed]
}

/** The number of the stack in the map; -EFAULT where there is none, -EEXIST where its place is taken. */
export const getStackid: HelperBody = (env, _r1, r2, r3) => {
  const map = env.mapAt(r2)
  if (!(map instanceof StackTraceMap)) return badMap(2, r2, 'which is no map of stack traces')
  if ((r3 & ~(SKIP_MASK | USER_STACK | FAST_STACK_CMP | REUSE_STACKID)) !== 0n) return failure(EINVAL)
  const frames = framesOf(env, r3).slice(Number(r3 & SKIP_MASK))
  if (frames.length === 0) return failure(EFAULT)
  const options = {
    comparesHashOnly: (r3 & FAST_STACK_CMP) !== 0n,
    replaces: (r3 & REUSE_STACKID) !== 0n,
  }
  return BigInt(map.idOf(frames, options))
}

/** The stack of the task that runs; that of another cannot be had. */
export const getTaskStack: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const isCurrent = r1 !== 0n && env.task()?.address === r1
  if (isCurrent) return getStack(env, 0n, r2, r3, r4, r5)
  const size = u32Of(r3)
  const buffer = env.arena.check(r2, size, true)
  if (buffer < 0) return badMemory(2, r2, size, 'write')
  env.arena.bytes.fill(0, buffer, buffer + size)
  return failure(EFAULT)
}

/** Gives the bytes written; where it fails the buffer is zeroed, as is what is left of it. */
export const getStack: HelperBody = (env, _r1, r2, r3, r4) => {
  const size = u32Of(r3)
  const buffer = env.arena.check(r2, size, true)
  if (buffer < 0) return badMemory(2, r2, size, 'write')
  const { bytes, view } = env.arena
  bytes.fill(0, buffer, buffer + size)
  if ((r4 & ~(SKIP_MASK | USER_STACK | USER_BUILD_ID)) !== 0n) return failure(EINVAL)
  const hasBuildIds = (r4 & USER_BUILD_ID) !== 0n
  if (hasBuildIds && (r4 & USER_STACK) === 0n) return failure(EINVAL)
  const frameBytes = hasBuildIds ? BUILD_ID_BYTES : ADDRESS_BYTES
  if (size % frameBytes !== 0) return failure(EINVAL)
  const all = framesOf(env, r4)
  const skipped = Number(r4 & SKIP_MASK)
  if (all.length === 0 || all.length < skipped) return failure(EFAULT)
  const frames = all.slice(skipped, skipped + size / frameBytes)
  for (const [index, address] of frames.entries()) {
    const at = buffer + index * frameBytes
    if (hasBuildIds) view.setInt32(at, BPF_STACK_BUILD_ID_IP, true)
    view.setBigUint64(hasBuildIds ? at + BUILD_ID_ADDRESS : at, address, true)
  }
  return BigInt(frames.length * frameBytes)
}
