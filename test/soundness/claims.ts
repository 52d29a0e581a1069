/**
 * Does a value that was seen lie within what the proof claimed of a register?
 *
 * Written apart from the code under test: a scalar is held against its four ranges and its known bits, a pointer
 * against the objects that the run really has.
 */
import { BASE, baseOf, FLAG } from '../../src/verifier/domain/kinds.ts'
import {
  AT_PACKET_END,
  BEYOND_PACKET_END,
  type Register,
  S64_MIN,
  U64_MAX,
} from '../../src/verifier/domain/register.ts'
import type { MapSpec } from '../../src/verifier/program.ts'

/** The objects of one run, by address. */
export interface Objects {
  readonly context: bigint
  /** r10 of a frame, counted from the first frame of the function whose walk is followed. */
  framePointer(frame: number): bigint | undefined
  functionAddress(subprogram: number): bigint
  mapAddress(map: MapSpec): bigint | undefined
  /** Where values of the map lie that were handed out. */
  values(map: MapSpec): Iterable<bigint>
  keys(map: MapSpec): Iterable<bigint>
  /** Other memory that was handed out: where it lies, and its size. */
  readonly memory: Map<bigint, number>
  /** The bytes may be read and belong to one object. */
  isAccessible(address: bigint, sizeBytes: number): boolean
  readonly packet: { readonly meta: bigint; readonly data: bigint; readonly end: bigint } | undefined
}

export interface Region {
  readonly start: bigint
  readonly sizeBytes: number
}

const s64 = (x: bigint): bigint => BigInt.asIntN(64, x)
const u64 = (x: bigint): bigint => BigInt.asUintN(64, x)

/** The numbers of a register admit `value`, 64 bits unsigned. */
export function admitsNumber(r: Register, value: bigint): boolean {
  if (
    r.mask === U64_MAX &&
    r.umin === 0n &&
    r.umax === U64_MAX &&
    r.smin === S64_MIN &&
    r.s32min === -0x8000_0000
  ) {
    // Nothing, or only an upper bound, is claimed; look at the rest only where it says something.
    if (
      r.smax === 0x7fff_ffff_ffff_ffffn &&
      r.s32max === 0x7fff_ffff &&
      r.u32min === 0 &&
      r.u32max === 0xffff_ffff
    ) {
      return true
    }
  }
  const signed = s64(value)
  const low = Number(value & 0xffff_ffffn)
  return (
    (value & ~r.mask) === r.value &&
    value >= r.umin &&
    value <= r.umax &&
    signed >= r.smin &&
    signed <= r.smax &&
    low >= r.u32min &&
    low <= r.u32max &&
    (low | 0) >= r.s32min &&
    (low | 0) <= r.s32max
  )
}

/** The 64-bit ranges and bits only: pointers keep no 32-bit ranges of their offset. */
function admitsOffset(r: Register, offset: bigint): boolean {
  if (r.mask === 0n) return u64(offset) === r.value
  const unsigned = u64(offset)
  const signed = s64(offset)
  return (
    (unsigned & ~r.mask) === r.value &&
    unsigned >= r.umin &&
    unsigned <= r.umax &&
    signed >= r.smin &&
    signed <= r.smax
  )
}

/** The low `bytes` bytes of some value that the register admits are `low`. */
export function admitsLow(r: Register, low: bigint, bytes: number): boolean {
  if (bytes === 8) return admitsNumber(r, low)
  const bits = BigInt(bytes * 8)
  // Where all that it admits fits, the value is known.
  if (r.umax >> bits === 0n) return admitsNumber(r, low)
  if (((low ^ r.value) & ~r.mask & ((1n << bits) - 1n)) !== 0n) return false
  if (bytes !== 4) return true
  const n = Number(low)
  return n >= r.u32min && n <= r.u32max && (n | 0) >= r.s32min && (n | 0) <= r.s32max
}

/** `value` is `start` plus the offset that the register claims. */
const pointsInto = (r: Register, value: bigint, start: bigint): boolean =>
  admitsOffset(r, value - start - BigInt(r.off))

function among(r: Register, value: bigint, starts: Iterable<bigint>, sizeBytes: number): Region | undefined {
  for (const start of starts) if (pointsInto(r, value, start)) return { start, sizeBytes }
  return undefined
}

const only = (r: Register, value: bigint, start: bigint, sizeBytes: number): Region | undefined =>
  pointsInto(r, value, start) ? { start, sizeBytes } : undefined

function packetRegion(
  r: Register,
  value: bigint,
  packet: NonNullable<Objects['packet']>,
): Region | undefined {
  if (r.kind === BASE.PACKET_END) return value === packet.end ? { start: value, sizeBytes: 0 } : undefined
  const isMeta = r.kind === BASE.PACKET_META
  const start = isMeta ? packet.meta : packet.data
  const end = isMeta ? packet.data : packet.end
  if (!pointsInto(r, value, start)) return undefined
  // The range counts from where the pointer would be without its fixed offset.
  if (r.range > 0 && value - BigInt(r.off) + BigInt(r.range) > end) return undefined
  if (r.range === AT_PACKET_END && value < end) return undefined
  if (r.range === BEYOND_PACKET_END && value <= end) return undefined
  return { start, sizeBytes: Number(end - start) }
}

/** What the pointer may reach; undefined: it points to nothing that it could, `null`: that is not known here. */
export function regionOf(r: Register, value: bigint, objects: Objects): Region | undefined | null {
  switch (baseOf(r.kind)) {
    case BASE.STACK: {
      const top = objects.framePointer(r.frame)
      return top !== undefined && pointsInto(r, value, top)
        ? { start: top - 512n, sizeBytes: 512 }
        : undefined
    }
    case BASE.CTX:
      return only(r, value, objects.context, 0x10000)
    case BASE.MAP_VALUE:
      return r.map === undefined ? null : among(r, value, objects.values(r.map), r.map.valueSize)
    case BASE.MAP_KEY:
      return r.map === undefined ? null : among(r, value, objects.keys(r.map), r.map.keySize)
    case BASE.CONST_MAP: {
      const address = r.map === undefined ? undefined : objects.mapAddress(r.map)
      return address === undefined ? null : only(r, value, address, 0)
    }
    case BASE.MEM:
      for (const [start, sizeBytes] of objects.memory) {
        if (sizeBytes >= r.memSize && pointsInto(r, value, start)) return { start, sizeBytes: r.memSize }
      }
      return undefined
    case BASE.FUNC:
      return only(r, value, objects.functionAddress(r.subprogram), 0)
    case BASE.PACKET:
    case BASE.PACKET_META:
    case BASE.PACKET_END:
      return objects.packet === undefined ? null : packetRegion(r, value, objects.packet)
    default:
      return null
  }
}

/** The pointer is one that the register claims, or null where it may be. */
export function admitsPointer(r: Register, value: bigint, objects: Objects): boolean {
  if ((r.kind & FLAG.MAYBE_NULL) !== 0 && value === 0n) return true
  return regionOf(r, value, objects) !== undefined
}
