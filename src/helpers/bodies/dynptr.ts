/**
 * Helpers over dynptrs: pointers that carry the bounds of what they point to, so that accesses are checked when they
 * are made.
 *
 *     u64 address of the data, 0: null | u32 size (24 bits), type (bits 28 to 30), read-only (bit 31) | u32 0
 *
 * Source: bpf-helpers(7); struct bpf_dynptr_kern of include/linux/bpf.h, kernel/bpf/helpers.c of Linux.
 */
import { E2BIG, EINVAL } from '../../abi/index.ts'
import { RingBuffer, UserRingBuffer } from '../../maps/index.ts'
import { badMap, badMemory, failedCallback, failure, u32Of } from '../access.ts'
import type { HelperBody, HelperEnvironment, HelperFault } from '../environment.ts'
import { ringbufDiscard, ringbufSubmit } from './output.ts'

const DYNPTR_BYTES = 16
const LARGEST = (1 << 24) - 1
const LOCAL = 1
const RINGBUF = 2
const TYPE_SHIFT = 28
const READ_ONLY = 0x8000_0000

interface Dynptr {
  readonly data: bigint
  readonly size: number
  readonly isReadOnly: boolean
}

function place(env: HelperEnvironment, at: number, data: bigint, size: number, type: number): void {
  const { view } = env.arena
  view.setBigUint64(at, data, true)
  view.setUint32(at + 8, data === 0n ? 0 : size | (type << TYPE_SHIFT), true)
  view.setUint32(at + 12, 0, true)
}

/** What the argument points to, or a fault. */
function take(env: HelperEnvironment, argument: number, address: bigint): Dynptr | HelperFault {
  const at = env.arena.check(address, DYNPTR_BYTES, false)
  if (at < 0) return badMemory(argument, address, DYNPTR_BYTES, 'read')
  const { view } = env.arena
  const word = view.getUint32(at + 8, true)
  return {
    data: view.getBigUint64(at, true),
    size: word & LARGEST,
    isReadOnly: (word & READ_ONLY) !== 0,
  }
}

const isFault = (value: Dynptr | HelperFault): value is HelperFault => 'kind' in value
const isInside = ({ size }: Dynptr, offset: number, length: number) =>
  length <= size && offset <= size - length

/** From a program's own memory. Where it fails the dynptr is null. */
export const dynptrFromMem: HelperBody = (env, r1, r2, r3, r4) => {
  const size = u32Of(r2)
  const at = env.arena.check(r4, DYNPTR_BYTES, true)
  if (at < 0) return badMemory(4, r4, DYNPTR_BYTES, 'write')
  if (env.arena.check(r1, size, true) < 0) return badMemory(1, r1, size, 'write')
  const refusal = size > LARGEST ? E2BIG : r3 !== 0n ? EINVAL : 0
  place(env, at, refusal === 0 ? r1 : 0n, size, LOCAL)
  return failure(refusal)
}

export const dynptrRead: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const length = u32Of(r2)
  const target = env.arena.check(r1, length, true)
  if (target < 0) return badMemory(1, r1, length, 'write')
  const source = take(env, 3, r3)
  if (isFault(source)) return source
  if (source.data === 0n || r5 !== 0n) return failure(EINVAL)
  if (!isInside(source, u32Of(r4), length)) return failure(E2BIG)
  const from = env.arena.check(source.data + BigInt(u32Of(r4)), length, false)
  if (from < 0) return badMemory(3, source.data, length, 'read')
  env.arena.copy(target, from, length)
  return 0n
}

export const dynptrWrite: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const length = u32Of(r4)
  const from = env.arena.check(r3, length, false)
  if (from < 0) return badMemory(3, r3, length, 'read')
  const target = take(env, 1, r1)
  if (isFault(target)) return target
  if (target.data === 0n || target.isReadOnly) return failure(EINVAL)
  if (!isInside(target, u32Of(r2), length)) return failure(E2BIG)
  if (r5 !== 0n) return failure(EINVAL)
  const to = env.arena.check(target.data + BigInt(u32Of(r2)), length, true)
  if (to < 0) return badMemory(1, target.data, length, 'write')
  env.arena.copy(to, from, length)
  return 0n
}

/** A pointer to `r3` bytes at offset `r2`, or null. */
export const dynptrData: HelperBody = (env, r1, r2, r3) => {
  const dynptr = take(env, 1, r1)
  if (isFault(dynptr)) return dynptr
  if (dynptr.data === 0n || dynptr.isReadOnly || !isInside(dynptr, u32Of(r2), u32Of(r3))) return 0n
  return dynptr.data + BigInt(u32Of(r2))
}

/** Where it fails the dynptr is null; it must be submitted or discarded all the same. */
export const ringbufReserveDynptr: HelperBody = (env, r1, r2, r3, r4) => {
  const ring = env.mapAt(r1)
  if (!(ring instanceof RingBuffer)) return badMap(1, r1, 'which is no ring buffer')
  const at = env.arena.check(r4, DYNPTR_BYTES, true)
  if (at < 0) return badMemory(4, r4, DYNPTR_BYTES, 'write')
  const size = u32Of(r2)
  const refusal = r3 !== 0n ? EINVAL : size > LARGEST ? E2BIG : 0
  const record = refusal === 0 ? ring.reserve(size, 0n) : 0
  place(env, at, record === 0 ? 0n : env.arena.address(record), size, RINGBUF)
  return failure(record === 0 ? refusal || EINVAL : 0)
}

function commit(perform: HelperBody): HelperBody {
  return (env, r1, r2, r3, r4, r5) => {
    const dynptr = take(env, 1, r1)
    if (isFault(dynptr)) return dynptr
    if (dynptr.data === 0n) return 0n
    const result = perform(env, dynptr.data, r2, r3, r4, r5)
    if (typeof result === 'bigint') place(env, env.arena.offsetOf(r1), 0n, 0, 0)
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
    place(env, dynptr, env.arena.address(record), size, LOCAL)
    const result = env.callback(r2, env.arena.address(dynptr), r3, 0n, 0n)
    isAborted = result === undefined
    return result !== 0n
  })
  env.arena.free(dynptr)
  return isAborted ? failedCallback(2, r2) : BigInt(drained)
}
