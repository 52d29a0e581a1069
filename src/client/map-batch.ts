/**
 * Many elements of a map in one system call: BPF_MAP_LOOKUP_BATCH and its relatives.
 *
 * A kernel answers -ENOTSUPP for map types that have no batches (queues, rings, arrays of descriptors), and -EINVAL
 * where it is older than Linux 5.6.
 */
import { BPF_CMD, ENOENT, ENOSPC, mapBatchAttr } from '../abi/index.ts'
import { decodeWith, encodeWith } from './codec.ts'
import { SyscallError } from './errors.ts'
import type { BpfMap } from './map.ts'
import { UserBuffer } from './owner.ts'

type BatchCommand =
  | 'BPF_MAP_LOOKUP_BATCH'
  | 'BPF_MAP_LOOKUP_AND_DELETE_BATCH'
  | 'BPF_MAP_UPDATE_BATCH'
  | 'BPF_MAP_DELETE_BATCH'

/** How far a batch came; `error` says what ended it. */
export interface BatchDone {
  readonly done: number
  readonly error?: SyscallError
}

export interface BatchReadOptions {
  /** Elements asked for at a time; more where a bucket of a hash table holds more. Default 256. */
  readonly size?: number
  /** Takes out what it reads: for hash maps. */
  readonly deletes?: boolean
}

const DEFAULT_SIZE = 256
/** A hash table's token has 4 bytes, whatever its keys have. */
const LEAST_TOKEN_BYTES = 4

/**
 * All elements, as arrays of what one call gave. What changes meanwhile may be missed, or met twice where an element
 * is replaced. Throws a `SyscallError` for a map that cannot be read so.
 */
export function* readBatches<K, V>(
  map: BpfMap<K, V>,
  options: BatchReadOptions = {},
): Generator<[K, V][], void> {
  const cmd = options.deletes === true ? 'BPF_MAP_LOOKUP_AND_DELETE_BATCH' : 'BPF_MAP_LOOKUP_BATCH'
  let size = Math.min(Math.max(options.size ?? DEFAULT_SIZE, 1), Math.max(map.maxEntries, 1))
  let token: Uint8Array | undefined
  for (;;) {
    const { result, entries, next } = readBatch(map, cmd, size, token)
    if (result === -ENOSPC && size < map.maxEntries) {
      size = Math.min(size * 2, map.maxEntries)
      continue
    }
    if (result < 0 && result !== -ENOENT) throw new SyscallError(cmd, result, `map '${map.name}'`)
    if (entries.length > 0) yield entries
    if (result === -ENOENT) return
    token = next
  }
}

/** Writes elements in the order given, up to the first that cannot be. */
export function setMany<K, V>(map: BpfMap<K, V>, entries: Iterable<readonly [K, V]>): BatchDone {
  const all = [...entries]
  const keys = join(all.map(([key]) => encodeWith(map.keyCodec, key)))
  const values = join(all.map(([, value]) => encodeWith(map.valueCodec, value)))
  return write(map, 'BPF_MAP_UPDATE_BATCH', all.length, keys, values)
}

/** Removes elements in the order given, up to the first that is not there (ENOENT). */
export function deleteMany<K, V>(map: BpfMap<K, V>, keys: Iterable<K>): BatchDone {
  const all = [...keys]
  const encoded = join(all.map((key) => encodeWith(map.keyCodec, key)))
  return write(map, 'BPF_MAP_DELETE_BATCH', all.length, encoded, undefined)
}

function readBatch<K, V>(map: BpfMap<K, V>, cmd: BatchCommand, size: number, token: Uint8Array | undefined) {
  const { handle } = map
  const { memory } = handle.syscalls
  const tokenBytes = Math.max(handle.keySize, LEAST_TOKEN_BYTES)
  using keys = new UserBuffer(memory, size * handle.keySize)
  using values = new UserBuffer(memory, size * handle.valueBytes)
  using out = new UserBuffer(memory, tokenBytes)
  using from = UserBuffer.of(memory, token ?? new Uint8Array(tokenBytes))
  const answer = call(map, cmd, {
    in_batch: token === undefined ? 0n : from.pointer,
    out_batch: out.pointer,
    keys: keys.pointer,
    values: values.pointer,
    count: size,
  })
  const { result } = answer
  // any other failure leaves the count as it was given
  const count = result >= 0 || result === -ENOENT ? answer.count : 0
  const entries: [K, V][] = []
  for (let index = 0; index < count; index++) {
    entries.push([
      decodeWith(map.keyCodec, slice(keys, index, handle.keySize)),
      decodeWith(map.valueCodec, slice(values, index, handle.valueBytes)),
    ])
  }
  return { result, entries, next: out.bytes.slice() }
}

const slice = (buffer: UserBuffer, index: number, size: number) =>
  buffer.bytes.slice(index * size, (index + 1) * size)

function write<K, V>(
  map: BpfMap<K, V>,
  cmd: BatchCommand,
  count: number,
  keys: Uint8Array,
  values: Uint8Array | undefined,
): BatchDone {
  const { memory } = map.handle.syscalls
  using keyBuffer = UserBuffer.of(memory, keys)
  using valueBuffer = UserBuffer.of(memory, values ?? new Uint8Array(0))
  const answer = call(map, cmd, {
    keys: keyBuffer.pointer,
    values: values === undefined ? 0n : valueBuffer.pointer,
    count,
  })
  if (answer.result >= 0) return { done: count }
  const error = new SyscallError(cmd, answer.result, `map '${map.name}'`)
  // a call that is refused as a whole leaves the count as it was
  return { done: answer.count === count ? 0 : answer.count, error }
}

function call(
  map: Pick<BpfMap, 'handle'>,
  cmd: BatchCommand,
  attr: Partial<Parameters<typeof mapBatchAttr.encode>[0]>,
): { readonly result: number; readonly count: number } {
  const { syscalls, fd, descriptor } = map.handle
  if (!descriptor.isOpen) throw new Error('this map has been closed')
  using buffer = UserBuffer.of(syscalls.memory, mapBatchAttr.encode({ ...attr, map_fd: fd }))
  const result = syscalls.bpf(BPF_CMD[cmd], buffer.pointer, mapBatchAttr.endOfLastMember)
  return { result, count: mapBatchAttr.read(buffer.bytes.slice()).count }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
