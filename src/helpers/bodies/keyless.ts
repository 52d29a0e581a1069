/** Helpers over maps without keys: queues, stacks and bloom filters. Source: bpf-helpers(7). */
import { KeylessMap } from '../../maps/index.ts'
import { badMap, badMemory } from '../access.ts'
import type { HelperBody } from '../environment.ts'

function withValue(
  write: boolean,
  perform: (map: KeylessMap, value: number, flags: bigint) => number,
): HelperBody {
  return (env, r1, r2, r3) => {
    const map = env.mapAt(r1)
    if (!(map instanceof KeylessMap)) return badMap(1, r1, 'which is no queue, stack or bloom filter')
    const { valueSize } = map.definition
    const value = env.arena.check(r2, valueSize, write)
    if (value < 0) return badMemory(2, r2, valueSize, write ? 'write' : 'read')
    return BigInt(perform(map, value, r3))
  }
}

export const mapPushElem = withValue(false, (map, value, flags) => map.push(value, flags))

/** Zeroes the value where there is none. */
export const mapPopElem = withValue(true, (map, value) => map.pop(value))

/** A bloom filter is asked for the value; the others fill it in. */
export const mapPeekElem = withValue(true, (map, value) => map.peekInto(value))
