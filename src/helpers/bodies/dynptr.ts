/** Helpers over dynptrs. Source: bpf-helpers(7); kernel/bpf/helpers.c of Linux. */
import { E2BIG, EFAULT, EINVAL } from '../../abi/index.ts'
import { RingBuffer, UserRingBuffer } from '../../maps/index.ts'
import { badMap, badMemory, failedCallback, failure, u32Of } from '../access.ts'
import {
  DYNPTR,
  DYNPTR_BYTES,
  isFault,
  isInside,
  LARGEST_DYNPTR,
  NO_DYNPTR,
  pieceOf,
  placeDynptr,
  readDynptr,
  takeDynptr,
  writeDynptr,
} from '../dynptr.ts'
import type { HelperBody } from '../environment.ts'
import { ringbufDiscard, ringbufSubmit } from './output.ts'
import { skbStoreBytes } from './skb.ts'

/** From a program's own memory. Where it fails the dynptr is null. */
export const dynptrFromMem: HelperBody = (env, r1, r2, r3, r4) => {
  const size = u32Of(r2)
  const at = env.arena.check(r4, DYNPTR_BYTES, true)
  if (at < 0) return badMemory(4, r4, DYNPTR_BYTES, 'write')
  if (env.arena.check(r1, size, true) < 0) return badMemory(1, r1, size, 'write')
  const refusal = size > LARGEST_DYNPTR ? E2BIG : r3 !== 0n ? EINVAL : 0
  placeDynptr(env, at, refusal === 0 ? { data: r1, size, type: DYNPTR.LOCAL } : NO_DYNPTR)
  return failure(refusal)
}

export const dynptrRead: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const length = u32Of(r2)
  const target = env.arena.check(r1, length, true)
  if (target < 0) return badMemory(1, r1, length, 'write')
  const source = takeDynptr(env, 3, r3)
  if (isFault(source)) return source
  if (r5 !== 0n) return failure(EINVAL)
  const bytes = readDynptr(env, source, u32Of(r4), length)
  if (bytes === -EFAULT && source.type !== DYNPTR.SKB && source.type !== DYNPTR.XDP) {
    return badMemory(3, source.data, length, 'read')
  }
  if (typeof bytes === 'number') return BigInt(bytes)
  env.arena.bytes.set(bytes, target)
  return 0n
}

export const dynptrWrite: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const length = u32Of(r4)
  const from = env.arena.check(r3, length, false)
  if (from < 0) return badMemory(3, r3, length, 'read')
  const target = takeDynptr(env, 1, r1)
  if (isFault(target)) return target
  const offset = u32Of(r2)
  if (target.data === 0n || target.isReadOnly) return failure(EINVAL)
  if (!isInside(target, offset, length)) return failure(E2BIG)
  if (target.type === DYNPTR.SKB) {
    return skbStoreBytes(env, target.data, BigInt(target.offset + offset), r3, r4, r5)
  }
  if (r5 !== 0n) return failure(EINVAL)
  const result = writeDynptr(env, target, offset, env.arena.bytes.slice(from, from + length))
  if (result === -EFAULT && target.type !== DYNPTR.XDP) return badMemory(1, target.data, length, 'write')
  return BigInt(result)
}

/** A pointer to `r3` bytes at offset `r2`, or null; packets have none that lasts. */
export const dynptrData: HelperBody = (env, r1, r2, r3) => {
  const dynptr = takeDynptr(env, 1, r1)
  if (isFault(dynptr)) return dynptr
  const [offset, length] = [u32Of(r2), u32Of(r3)]
  if (dynptr.data === 0n || dynptr.isReadOnly || !isInside(dynptr, offset, length)) return 0n
  if (dynptr.type === DYNPTR.SKB || dynptr.type === DYNPTR.XDP) return 0n
  const at = pieceOf(env, dynptr, offset, length)
  return at < 0 ? 0n : env.arena.address(at)
}

/** Where it fails the dynptr is null; it must be submitted or discarded all the same. */
export const ringbufReserveDynptr: HelperBody = (env, r1, r2, r3, r4) => {
  const ring = env.mapAt(r1)
  if (!(ring instanceof RingBuffer)) return badMap(1, r1, 'which is no ring buffer')
  const at = env.arena.check(r4, DYNPTR_BYTES, true)
  if (at < 0) return badMemory(4, r4, DYNPTR_BYTES, 'write')
  const size = u32Of(r2)
  const refusal = r3 !== 0n ? EINVAL : size > LARGEST_DYNPTR ? E2BIG : 0
  const record = refusal === 0 ? ring.reserve(size, 0n) : 0
  const data = record === 0 ? 0n : env.arena.address(record)
  placeDynptr(env, at, { data, size, type: DYNPTR.RINGBUF })
  return failure(record === 0 ? refusal || EINVAL : 0)
}

function commit(perform: HelperBody): HelperBody {
  return (env, r1, r2, r3, r4, r5) => {
    const dynptr = takeDynptr(env, 1, r1)
    if (isFault(dynptr)) return dynptr
    if (dynptr.data === 0n) return 0n
    const result = perform(env, dynptr.data, r2, r3, r4, r5)
    if (typeof result === 'bigint') placeDynptr(env, dynptr.at, NO_DYNPTR)
    return result
  }
}

export const ringbufSubmitDynptr = commit(ringbufSubmit)
export const ringbufDiscardDynptr = commit(ringbufDiscard)

/** The callback gets a dynptr of each record and its context, and ends the drain with a value other than 0. */
export const userRingbufDrain: HelperBody = (env, r1, r2, r3, r4) => {
  const ring = env.mapAt(r1)
  if (!(ring instanceof UserRingBuffer)) return badMap(1, r1, 'which is no user ring buffer')
  const dynptr = env.arena.allocate(DYNPTR_BYTES, { access: 'read' })
  if (dynptr === undefined) return failedCallback(2, r2)
  let isAborted = false
  const drained = ring.drain(r4, (record, size) => {
    placeDynptr(env, dynptr, { data: env.arena.address(record), size, type: DYNPTR.LOCAL })
    const result = env.callback(r2, env.arena.address(dynptr), r3, 0n, 0n)
    isAborted = result === undefined
    return result !== 0n
  })
  env.arena.free(dynptr)
  return isAborted ? failedCallback(2, r2) : BigInt(drained)
}
