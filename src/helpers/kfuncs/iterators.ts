/**
 * Open-coded iterators over numbers and bits. Their state lies on the program's stack.
 *
 * Source: kernel/bpf/bpf_iter.c, kernel/bpf/helpers.c of Linux 6.18.
 */
import { E2BIG, EFAULT, EINVAL, ENOMEM } from '../../abi/index.ts'
import { badMemory, failure, u32Of } from '../access.ts'
import { readKernel } from '../foreign-memory.ts'
import type { KfuncBody } from './row.ts'

const NUM_BYTES = 8
const MOST_LOOPS = 1 << 23
const BITS_BYTES = 16
const MOST_WORDS = 511
const WORD_BYTES = 8
const WORD_BITS = 64

const s32Of = (value: bigint): number => Number(BigInt.asIntN(32, value))

/** i32 current, i32 end. */
export const iterNumNew: KfuncBody = (env, _call, r1, r2, r3) => {
  const at = env.arena.check(r1, NUM_BYTES, true)
  if (at < 0) return badMemory(1, r1, NUM_BYTES, 'write')
  const { view } = env.arena
  const [start, end] = [s32Of(r2), s32Of(r3)]
  const refusal = start > end ? EINVAL : end - start > MOST_LOOPS ? E2BIG : 0
  view.setInt32(at, refusal === 0 ? start - 1 : 0, true)
  view.setInt32(at + 4, refusal === 0 ? end : 0, true)
  return failure(refusal)
}

export const iterNumNext: KfuncBody = (env, _call, r1) => {
  const at = env.arena.check(r1, NUM_BYTES, true)
  if (at < 0) return badMemory(1, r1, NUM_BYTES, 'write')
  const { view } = env.arena
  // The first number may be the least one, whose predecessor is the greatest.
  const next = (view.getInt32(at, true) + 1) | 0
  if (next >= view.getInt32(at + 4, true)) {
    view.setBigUint64(at, 0n, true)
    return 0n
  }
  view.setInt32(at, next, true)
  return r1
}

export const iterNumDestroy: KfuncBody = (env, _call, r1) => {
  const at = env.arena.check(r1, NUM_BYTES, true)
  if (at < 0) return badMemory(1, r1, NUM_BYTES, 'write')
  env.arena.view.setBigUint64(at, 0n, true)
  return 0n
}

/** u32 offset of a copy of the words, 0: none | u32 bit that was given last, plus one | u32 how many | u32 the bit. */
export const iterBitsNew: KfuncBody = (env, _call, r1, r2, r3) => {
  const { arena } = env
  const at = arena.check(r1, BITS_BYTES, true)
  if (at < 0) return badMemory(1, r1, BITS_BYTES, 'write')
  arena.bytes.fill(0, at, at + BITS_BYTES)
  const words = u32Of(r3)
  if (r2 === 0n || words === 0) return failure(EINVAL)
  if (words > MOST_WORDS) return failure(E2BIG)
  const copy = arena.allocate(words * WORD_BYTES, { access: 'none' })
  if (copy === undefined) return failure(ENOMEM)
  const status = readKernel(env, r2, arena.bytes.subarray(copy, copy + words * WORD_BYTES))
  if (status !== 0) {
    arena.free(copy)
    return failure(EFAULT)
  }
  arena.view.setUint32(at, copy, true)
  arena.view.setUint32(at + 8, words * WORD_BITS, true)
  return 0n
}

/** A pointer to the number of the bit. */
export const iterBitsNext: KfuncBody = (env, _call, r1) => {
  const { arena } = env
  const at = arena.check(r1, BITS_BYTES, true)
  if (at < 0) return badMemory(1, r1, BITS_BYTES, 'write')
  const { view } = arena
  const copy = view.getUint32(at, true)
  const count = view.getUint32(at + 8, true)
  for (let bit = view.getUint32(at + 4, true); bit < count; bit++) {
    if (((view.getUint8(copy + (bit >>> 3)) >>> (bit & 7)) & 1) === 0) continue
    view.setUint32(at + 4, bit + 1, true)
    view.setUint32(at + 12, bit, true)
    return r1 + 12n
  }
  view.setUint32(at + 8, 0, true)
  return 0n
}

export const iterBitsDestroy: KfuncBody = (env, _call, r1) => {
  const { arena } = env
  const at = arena.check(r1, BITS_BYTES, true)
  if (at < 0) return badMemory(1, r1, BITS_BYTES, 'write')
  const copy = arena.view.getUint32(at, true)
  if (copy !== 0) arena.free(copy)
  arena.bytes.fill(0, at, at + BITS_BYTES)
  return 0n
}
