/** Helpers that send data to user space. Source: bpf-helpers(7); Documentation/bpf/ringbuf.rst of Linux. */
import {
  BPF_F_CTXLEN_MASK,
  BPF_F_CURRENT_CPU,
  BPF_F_INDEX_MASK,
  E2BIG,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOSPC,
  EOPNOTSUPP,
} from '../../abi/index.ts'
import { type PerfOutputTarget, ReferenceArray, RingBuffer } from '../../maps/index.ts'
import { badMap, badMemory, badRecord, failure, u32Of } from '../access.ts'
import type { HelperBody, HelperEnvironment, HelperResult } from '../environment.ts'
import { packetAt } from './packet.ts'

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

const NO_BYTES = new Uint8Array(0)

/** A program over packets may have some of its packet follow: how much is in the upper half of the flags. */
export const perfEventOutput: HelperBody = (env, r1, r2, r3, r4, r5) =>
  outputSample(env, r2, r3, r4, r5, packetAt(env, r1)?.bytes())

/** For programs that trace a program over packets: the context that r1 points to is that program's. */
export const packetOutput: HelperBody = (env, r1, r2, r3, r4, r5) =>
  outputSample(env, r2, r3, r4, r5, packetAt(env, r1)?.bytes() ?? NO_BYTES)

/** Takes the CPU's own entry, or the one that the low 32 bits of the flags name; it must be active on this CPU. */
function outputSample(
  env: HelperEnvironment,
  mapAddress: bigint,
  flags: bigint,
  from: bigint,
  sizeBytes: bigint,
  packet: Uint8Array | undefined,
): HelperResult {
  const map = env.mapAt(mapAddress)
  if (!(map instanceof ReferenceArray)) return badMap(2, mapAddress, 'which is no perf event array')
  const size = sizeOf(sizeBytes)
  const data = env.arena.check(from, size, false)
  if (data < 0) return badMemory(4, from, size, 'read')
  if ((flags & ~(BPF_F_INDEX_MASK | (packet === undefined ? 0n : BPF_F_CTXLEN_MASK))) !== 0n) {
    return failure(EINVAL)
  }
  const follows = Number((flags & BPF_F_CTXLEN_MASK) >> 32n)
  if (packet !== undefined && follows > packet.length) return failure(EFAULT)
  const entry = flags & BPF_F_INDEX_MASK
  const index = entry === BPF_F_CURRENT_CPU ? env.cpu : Number(entry)
  if (index >= map.definition.maxEntries) return failure(E2BIG)
  const event = map.entryAt(index) as PerfOutputTarget | undefined
  if (event === undefined) return failure(ENOENT)
  if (!event.takesBpfOutput) return failure(EINVAL)
  if (event.activeCpu !== env.cpu) return failure(EOPNOTSUPP)
  if (event.ring === undefined) return failure(ENOSPC)
  return BigInt(event.ring.outputSample(data, size, packet?.subarray(0, follows)))
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
