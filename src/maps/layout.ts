/**
 * How maps lie in the arena: the one description for TypeScript and for compiled code that walks maps itself.
 *
 * Every map has a header block, whose address is the pointer to the map that programs hold:
 *
 *     header ──data──▶ array types: value[0] | value[1] | ...       `elementSize` bytes each
 *                      hash types:  u32 bucket[mask + 1]             offset of the first element, 0: empty
 *                      references:  u32 present[maxEntries]          1 where there is an entry
 *                      maps of maps, arrays: u32 inner[maxEntries]   offset of the inner map's header, 0: none
 *                      maps of maps, hashes: as hash types, the value the offset of the inner map's header
 *                      trie:        u32 root                         offset of the topmost node, 0: none
 *                      ring buffer: consumer page | producer page | data | data again
 *
 * An element of a hash table is a header, the key rounded up to 8, and one value of `valueStride` bytes for
 * each of `cpuCount` CPUs (1 where values are not per CPU), so that CPU c's value lies `c * valueStride`
 * behind the first. A value of a per-CPU array is laid out the same way.
 */
import { struct, u32 } from '../abi/index.ts'

/** Offsets are arena offsets; all members are 32 bits wide so that one load reads each. */
export const mapHeader = struct('map header', {
  type: u32,
  flags: u32,
  keySize: u32,
  valueSize: u32,
  maxEntries: u32,
  /** From one CPU's value to the next: `valueSize` rounded up to 8. */
  valueStride: u32,
  /** Values of an element: the possible CPUs, or 1. */
  cpuCount: u32,
  /** From one element to the next (arrays), or the size of one (hash tables). */
  elementSize: u32,
  /** Offset of what the picture above shows. */
  data: u32,
  /** Buckets, or bytes of the ring, less one. */
  mask: u32,
  /** Second argument of `jhash`. */
  seed: u32,
  /** Elements in a hash table. */
  count: u32,
})

/** What stands before the key in an element of a hash table. */
export const hashElement = struct('hash element', {
  /** Offset of the next element in the bucket; 0 at the end. */
  next: u32,
  hash: u32,
  /** LRU types: 1 when a program looked it up since the lists last came by. */
  referenced: u32,
  /** LRU types: the element's place in the lists. */
  node: u32,
})

/** What stands before the key in a node of a trie, in the place of `hashElement`. */
export const trieNode = struct('trie node', {
  /** Offsets of the children that go on with 0 and with 1; 0: none. */
  left: u32,
  right: u32,
  prefixBits: u32,
  /** 1: joins two prefixes and has no value. */
  isIntermediate: u32,
})

/** Bytes from an element to its key. */
export const KEY_OFFSET = hashElement.size

export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple
}
