/**
 * Many elements at once, whatever the kernel has: its batch commands, or single ones where it is too old for them or
 * has none for the type of the map.
 */
import { EINVAL, ENOENT, ENOTSUPP, EOPNOTSUPP } from '../abi/index.ts'
import { SyscallError } from './errors.ts'
import type { BpfMap } from './map.ts'
import { deleteMany, readBatches, setMany } from './map-batch.ts'

/** Whether a batch was refused because there are none: nothing was done then. */
const hasNoBatches = (error: SyscallError | undefined): boolean =>
  error !== undefined && [EINVAL, ENOTSUPP, EOPNOTSUPP].includes(error.errno)

/** What the batches give, or undefined where there are none. */
function inBatches<K, V>(map: BpfMap<K, V>, deletes: boolean): [K, V][] | undefined {
  const all: [K, V][] = []
  try {
    for (const batch of readBatches(map, { deletes })) all.push(...batch)
    return all
  } catch (error) {
    if (all.length === 0 && error instanceof SyscallError && hasNoBatches(error)) return undefined
    throw error
  }
}

export function readAll<K, V>(map: BpfMap<K, V>): [K, V][] {
  return inBatches(map, false) ?? [...map.entries()]
}

export function takeAll<K, V>(map: BpfMap<K, V>): [K, V][] {
  const taken = inBatches(map, true)
  if (taken !== undefined) return taken
  const all: [K, V][] = []
  for (const key of [...map.keys()]) {
    const value = map.take(key)
    if (value !== undefined) all.push([key, value])
  }
  return all
}

export function setAll<K, V>(
  map: BpfMap<K, V>,
  entries: Iterable<readonly [K, V]>,
): SyscallError | undefined {
  const all = [...entries]
  if (all.length === 0) return undefined
  const { done, error } = setMany(map, all)
  if (done > 0 || !hasNoBatches(error)) return error
  for (const [key, value] of all) {
    const failure = map.set(key, value)
    if (failure !== undefined) return failure
  }
  return undefined
}

export function deleteAll<K, V>(map: BpfMap<K, V>, keys: Iterable<K>): number {
  let left = [...keys]
  let removed = 0
  while (left.length > 0) {
    const { done, error } = deleteMany(map, left)
    removed += done
    if (error === undefined) return removed
    if (done === 0 && hasNoBatches(error)) return removed + left.filter((key) => map.delete(key)).length
    if (error.errno !== ENOENT) throw error
    // The batch ends at a key that is not there: on with those behind it.
    left = left.slice(done + 1)
  }
  return removed
}
