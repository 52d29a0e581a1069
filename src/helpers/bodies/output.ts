/** Helpers that send data to user space. Source: bpf-helpers(7); Documentation/bpf/ringbuf.rst of Linux. */
import {
  BPF_F_CURRENT_CPU,
  BPF_F_INDEX_MASK,
  E2BIG,
  EINVAL,
  ENOENT,
  ENOSPC,
  EOPNOTSUPP,
} from '../../abi/index.ts'
import { type PerfOutputTarget, ReferenceArray, RingBuffer } from '../../maps/index.ts'
import { badMap, badMemory, badRecord, failure, u32Of } from '../access.ts'
import type { HelperBody, HelperEnvironment } from '../environment.ts'

const NOT_A_RING = 'which is no ring buffer'

export const ringbufOutput: HelperBody = (env, r1, r2, r3, r4) => {
  const ring = env.mapAt(r1)
  if (!(ring instanceof RingBuffer)) return badMap(1, r1, NOT_A_RING)
  const size = sizeOf(r3)
  const data = env.arena.check(r2, size, false)
  if (data < 0) return badMemory(2, r2, size, 'read')
  return BigInt(ring.output(data, size, r4))
}

export const ringbufReserve: HelperBody = (env, r1, r2, r3) => {
  const ring = env.mapAt(r1)
  if (!(ring instanceof RingBuffer)) return badMap(1, r1, NOT_A_RING)
  const record = ring.reserve(sizeOf(r2), r3)
  return record === 0 ? 0n : env.arena.address(record)
}

export const ringbufSubmit: HelperBody = (env, r1, r2) => {
  const ring = ringOf(env, r1)
  if (ring === undefined) return badRecord(1, r1)
  ring.submit(env.arena.offsetOf(r1), r2)
  return 0n
}

export const ringbufDiscard: HelperBody = (env, r1, r2) => {
  const ring = ringOf(env, r1)
  if (ring === undefined) return badRecord(1, r1)
  ring.discard(env.arena.offsetOf(r1), r2)
  return 0n
}

export const ringbufQuery: HelperBody = (env, r1, r2) => {
  const ring = env.mapAt(r1)
  return ring instanceof RingBuffer ? BigInt(ring.query(r2)) : badMap(1, r1, NOT_A_RING)
}

/** Takes the CPU's own entry, or the one that the low 32 bits of `r3` name; it must be active on this CPU. */
export const perfEventOutput: HelperBody = (env, _r1, r2, r3, r4, r5) => {
  const map = env.mapAt(r2)
  if (!(map instanceof ReferenceArray)) return badMap(2, r2, 'which is no perf event array')
  const size = sizeOf(r5)
  const data = env.arena.check(r4, size, false)
  if (data < 0) return badMemory(4, r4, size, 'read')
  if ((r3 & ~BPF_F_INDEX_MASK) !== 0n) return failure(EINVAL)
  const index = r3 === BPF_F_CURRENT_CPU ? env.cpu : Number(r3)
  if (index >= map.definition.maxEntries) return failure(E2BIG)
  const event = map.entryAt(index) as PerfOutputTarget | undefined
  if (event === undefined) return failure(ENOENT)
  if (!event.takesBpfOutput) return failure(EINVAL)
  if (event.activeCpu !== env.cpu) return failure(EOPNOTSUPP)
  return event.ring === undefined ? failure(ENOSPC) : BigInt(event.ring.outputSample(data, size))
}

/** The ring that a record belongs to, found through the record's header. */
function ringOf(env: HelperEnvironment, record: bigint): RingBuffer | undefined {
  const offset = env.arena.offsetOf(record)
  const header = offset < 0 ? -1 : RingBuffer.headerOf(env.arena.view, offset)
  const ring = header < 0 ? undefined : env.mapAt(env.arena.address(header))
  return ring instanceof RingBuffer && ring.isReserved(offset) ? ring : undefined
}

/** A 64-bit size; what no buffer can have stays too large. */
function sizeOf(value: bigint): number {
  return value > 0xffff_ffffn ? Number.MAX_SAFE_INTEGER : u32Of(value)
}
