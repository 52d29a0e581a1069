/**
 * Members of a map's values that are the kernel's own: locks, timers, pointers to objects, lists, trees. User space
 * sees zeroes there and writes nothing; what they hold ends with the element, or when its value is replaced.
 */
import type { Arena } from '../memory/index.ts'

export interface SpecialFields {
  /** Where they lie in a value, by rising offset, none over another. */
  readonly ranges: readonly { readonly offset: number; readonly size: number; readonly kind: string }[]
  /** Lets go of all that the value at arena offset `value` holds, and empties its members. */
  release(value: number): void
  /** Ends what waits for its time, for all values: user space has let go of the map. */
  cancel(value: number): void
}

/** Copies the bytes of a value that are not the kernel's own. */
export function copyAround(
  arena: Arena,
  { ranges }: SpecialFields,
  to: number,
  from: number,
  sizeBytes: number,
): void {
  let at = 0
  for (const { offset, size } of ranges) {
    arena.copy(to + at, from + at, offset - at)
    at = offset + size
  }
  arena.copy(to + at, from + at, sizeBytes - at)
}

/** Makes the members as those of a value that was never used: zero, and a count of owners 1. */
export function clearFields(bytes: Uint8Array, { ranges }: SpecialFields, value: number): void {
  for (const { offset, size, kind } of ranges) {
    bytes.fill(0, value + offset, value + offset + size)
    if (kind === 'refcount') bytes[value + offset] = 1
  }
}
