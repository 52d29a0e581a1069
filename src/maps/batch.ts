/**
 * Many elements in one call of bpf(2): what BPF_MAP_LOOKUP_BATCH and BPF_MAP_LOOKUP_AND_DELETE_BATCH collect.
 *
 * Hash tables go bucket by bucket: a call gives whole buckets only, and its token is the u32 number of the bucket to
 * go on with. All other types go key by key, and the token is the last key given. -ENOENT says that the end was
 * reached; what was collected counts with it.
 *
 * Updates and deletions in batches are the element operations in a row: the caller's loop, up to the first failure.
 *
 * Source: generic_map_lookup_batch() of kernel/bpf/syscall.c, __htab_map_lookup_and_delete_batch() of
 * kernel/bpf/hashtab.c of Linux.
 */
import { ENOENT, ENOSPC } from '../abi/index.ts'
import { HashBase } from './hash-base.ts'
import type { BpfMap } from './map.ts'

export interface Batch {
  /** 0, -ENOENT where the map has no more, or another -errno. */
  readonly status: number
  readonly keys: readonly Uint8Array[]
  readonly values: readonly Uint8Array[]
  /** What to pass on to the next call; undefined where Linux leaves the caller's buffer alone. */
  readonly token: Uint8Array | undefined
}

const BUCKET_BYTES = 4

/** Bytes of the token that goes in and comes out. */
export function batchTokenBytes(map: BpfMap): number {
  return map instanceof HashBase ? BUCKET_BYTES : map.definition.keySize
}

/**
 * At most `most` (at least 1) elements after `token`, or from the start without one; `remove` takes them out, which
 * only hash tables do.
 */
export function lookupBatch(
  map: BpfMap,
  token: Uint8Array | undefined,
  most: number,
  remove: boolean,
): Batch {
  return map instanceof HashBase ? wholeBuckets(map, token, most, remove) : keyByKey(map, token, most)
}

function wholeBuckets(map: HashBase, token: Uint8Array | undefined, most: number, remove: boolean): Batch {
  const keys: Uint8Array[] = []
  const values: Uint8Array[] = []
  let bucket = token === undefined ? 0 : new DataView(token.buffer, token.byteOffset).getUint32(0, true)
  if (bucket >= map.bucketCount) return { status: -ENOENT, keys, values, token: undefined }
  let status = 0
  while (status === 0) {
    const elements = map.elementsOf(bucket)
    if (elements.length > most - keys.length) {
      if (keys.length === 0) status = -ENOSPC
      break
    }
    for (const element of elements) {
      keys.push(map.keyOf(element))
      values.push(map.userValueOf(element))
      if (remove) map.removeElement(element)
    }
    if (++bucket >= map.bucketCount) status = -ENOENT
  }
  const next = new Uint8Array(BUCKET_BYTES)
  new DataView(next.buffer).setUint32(0, bucket, true)
  return { status, keys, values, token: next }
}

function keyByKey(map: BpfMap, token: Uint8Array | undefined, most: number): Batch {
  const keys: Uint8Array[] = []
  const values: Uint8Array[] = []
  let last = token
  let status = 0
  while (keys.length < most) {
    const key = map.nextKey(last)
    if (typeof key === 'number') {
      status = key
      break
    }
    last = key
    const value = map.read(key, 0n)
    if (typeof value !== 'number') {
      keys.push(key)
      values.push(value)
    } else if (value !== -ENOENT) {
      status = value
      break
    }
  }
  return { status, keys, values, token: keys.length === 0 ? undefined : last }
}
