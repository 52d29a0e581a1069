/**
 * Making bad input of good input: bytes are flipped, cut, moved and taken from elsewhere, and fields whose place is
 * known get the values that readers stumble over.
 */
import type { Random } from './random.ts'

/** What a field means, which decides the values that are worth trying. */
export type FieldKind =
  /** A number of whatever meaning. */
  | 'number'
  /** A byte offset or size, compared with the length of something. */
  | 'extent'
  /** The number of a type, from 0 to `limit`. */
  | 'type'
  /** The second word of a BTF type: kind, count, flag. */
  | 'info'
  /** The first byte of an instruction. */
  | 'opcode'
  /** Two registers of an instruction. */
  | 'registers'
  /** An offset or number of an instruction, where a little says more than a lot. */
  | 'operand'

/** A little-endian number in the input. */
export interface Field {
  readonly at: number
  readonly bytes: 1 | 2 | 4 | 8
  readonly kind: FieldKind
  /** How many of what it counts or names there are. */
  readonly limit: number
}

/** Where mutations may happen. */
export interface Window {
  readonly start: number
  readonly end: number
  readonly fields: readonly Field[]
}

const MOST_AT_ONCE = 6
const LONGEST_SPLICE = 256

/** A changed copy of `bytes`; `donors` lend pieces. */
export function mutated(
  random: Random,
  bytes: Uint8Array,
  window: Window,
  donors: readonly Uint8Array[],
): Uint8Array {
  let result: Uint8Array = bytes.slice()
  const times = 1 + random.below(random.oneIn(2) ? 1 : MOST_AT_ONCE)
  for (let i = 0; i < times; i++) {
    if (window.fields.length > 0 && !random.oneIn(4)) setField(random, result, random.pick(window.fields))
    else result = rough(random, result, window, donors)
  }
  return result
}

/** A copy of which one or two fields have another value. */
export function tweaked(random: Random, bytes: Uint8Array, window: Window): Uint8Array {
  const result = bytes.slice()
  if (window.fields.length === 0) return result
  for (let i = random.below(2); i >= 0; i--) setField(random, result, random.pick(window.fields))
  return result
}

function setField(random: Random, bytes: Uint8Array, field: Field): void {
  if (field.at + field.bytes > bytes.length) return
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const old = read(view, field)
  write(view, field, valueFor(random, field, old, bytes.length))
}

function valueFor(random: Random, field: Field, old: number, length: number): number {
  switch (field.kind) {
    case 'type':
      if (random.oneIn(3)) return old + random.below(7) - 3
      return random.oneIn(8) ? field.limit + random.below(3) - 1 : random.below(field.limit)
    case 'info': {
      const choice = random.below(4)
      if (choice === 0) return (old & 0xe0ff_ffff) | (random.below(21) << 24)
      if (choice === 1) return (old & 0xffff_0000) | random.pick([0, 1, 2, 3, 0xffff, random.below(64)])
      if (choice === 2) return old ^ 0x8000_0000
      return ((old & 0xffff) + random.below(5) - 2) | (old & 0xffff_0000)
    }
    case 'opcode':
      return random.oneIn(3) ? random.below(256) : old ^ (1 << random.below(8))
    case 'registers':
      return random.oneIn(2) ? (old & 0xf0) | random.below(11) : (old & 0x0f) | (random.below(11) << 4)
    case 'operand': {
      const step = random.pick([1, 1, 2, 4, 8, 16, 64])
      if (random.oneIn(3))
        return random.pick([0, 1, 2, 8, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff])
      return random.oneIn(2) ? old + step : old - step
    }
    default:
      break
  }
  switch (random.below(6)) {
    case 0:
      return old + random.below(17) - 8
    case 1:
      return random.pick([0, 1, 2, 3, 7, 8, 16, 24, 64, 0xff, 0x100, 0xffff, 0x1_0000])
    case 2:
      return random.pick([0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fff8, 0x4000_0000, 2 ** 53, 2 ** 63])
    case 3:
      return random.pick([length, length - 1, length + 1, length - 8]) + random.below(3) - 1
    case 4:
      return field.limit + random.below(3) - 1
    default:
      return random.below(Math.max(field.limit, length))
  }
}

function read(view: DataView, { at, bytes }: Field): number {
  switch (bytes) {
    case 1:
      return view.getUint8(at)
    case 2:
      return view.getUint16(at, true)
    case 4:
      return view.getUint32(at, true)
    case 8:
      return Number(view.getBigUint64(at, true))
  }
}

function write(view: DataView, { at, bytes }: Field, value: number): void {
  switch (bytes) {
    case 1:
      view.setUint8(at, value)
      break
    case 2:
      view.setUint16(at, value, true)
      break
    case 4:
      view.setUint32(at, value >>> 0, true)
      break
    case 8:
      view.setBigUint64(at, BigInt.asUintN(64, BigInt(Math.trunc(value))), true)
  }
}

function rough(random: Random, bytes: Uint8Array, window: Window, donors: readonly Uint8Array[]): Uint8Array {
  const start = Math.min(window.start, bytes.length)
  const length = Math.min(window.end, bytes.length) - start
  if (length <= 0) return bytes
  const at = start + random.below(length)
  switch (random.below(10)) {
    case 0:
    case 1:
    case 2:
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8))
      return bytes
    case 3:
      bytes[at] = random.word()
      return bytes
    case 4: {
      const word = start + (random.below(length) & ~3)
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      if (word + 4 <= bytes.length)
        view.setUint32(word, random.pick([0, 1, 0xffff_ffff, 0x8000_0000, length]), true)
      return bytes
    }
    case 5:
      // Cut short, rarely inside of something: it says little about what comes behind.
      return random.oneIn(4) ? bytes.slice(0, at) : bytes
    case 6: {
      const donor = donors.length === 0 ? bytes : random.pick(donors)
      const count = Math.min(1 + random.below(LONGEST_SPLICE), bytes.length - at, donor.length)
      const from = random.below(donor.length - count + 1)
      bytes.set(donor.slice(from, from + count), at)
      return bytes
    }
    case 7: {
      const count = Math.min(1 + random.below(64), bytes.length - at)
      bytes.copyWithin(at, start + random.below(length - count), start + random.below(length - count) + count)
      return bytes
    }
    case 8: {
      // Taken out: what follows moves up.
      const count = Math.min(4 * (1 + random.below(8)), bytes.length - at)
      const less = new Uint8Array(bytes.length - count)
      less.set(bytes.subarray(0, at))
      less.set(bytes.subarray(at + count), at)
      return less
    }
    default: {
      const count = 4 * (1 + random.below(8))
      const more = new Uint8Array(bytes.length + count)
      more.set(bytes.subarray(0, at))
      more.set(bytes.subarray(at, at + count), at)
      more.set(bytes.subarray(at), at + count)
      return more
    }
  }
}
