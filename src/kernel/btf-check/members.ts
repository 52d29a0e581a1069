/**
 * Whether a member's type goes where the member is in its struct.
 *
 * Source: the *_check_member and *_check_kflag_member functions of kernel/bpf/btf.c of Linux.
 */
import { BTF_KIND } from '../../btf/index.ts'
import { isModifier, type RawType, type RawTypes } from './raw-types.ts'

const K = BTF_KIND
const MOST_BITS = 128
const POINTER_BYTES = 8
const INT_BITS = 32
const U32_MAX = 0xffff_ffff

/** The type with a size that a reference comes down to, or undefined. */
export type SizeOf = (id: number) => { readonly type: RawType; readonly sizeBytes: number } | undefined

/** Whole bytes from bit 0 on, as CPUs load them. */
export function isRegularInt(types: RawTypes, type: RawType): boolean {
  const data = types.extra(type, 0)
  const bits = data & 0xff
  return ((data >>> 16) & 0xff) === 0 && [8, 16, 32, 64, 128].includes(bits)
}

/** What is wrong with a member, and the type that it turned out to have. */
export interface MemberFault {
  readonly message: string
  readonly type: number
}

/** What is wrong with a member of type `id` at `place`, the member's offset word; undefined: nothing. */
export function checkMember(
  types: RawTypes,
  sizeOf: SizeOf,
  struct: RawType,
  id: number,
  place: number,
): MemberFault | undefined {
  const type = types.get(id) as RawType
  const resolved = isModifier(type) ? sizeOf(id)?.type : type
  if (resolved === undefined) return { message: 'Invalid member', type: id }
  const message = checkPlace(types, sizeOf, struct, resolved, place)
  return message === undefined ? undefined : { message, type: resolved.id }
}

function checkPlace(
  types: RawTypes,
  sizeOf: SizeOf,
  struct: RawType,
  type: RawType,
  place: number,
): string | undefined {
  const structBytes = struct.word
  if (struct.kindFlag) {
    if (type.kind === K.INT) return checkBitfield(types, type, place, structBytes)
    if (type.kind === K.ENUM || type.kind === K.ENUM64) return checkEnumBitfield(place, structBytes)
    if (!isAllowed(type)) return 'Unsupported check_kflag_member'
    if (place >>> 24 !== 0) return 'Invalid member bitfield_size'
  }
  const bytes = Math.floor(place / 8)
  switch (type.kind) {
    case K.INT: {
      const data = types.extra(type, 0)
      const offset = (data >>> 16) & 0xff
      if (U32_MAX - place < offset) return 'bits_offset exceeds U32_MAX'
      return fitsBits(place + offset, data & 0xff, structBytes)
    }
    case K.PTR:
      return fitsBytes(place, POINTER_BYTES, structBytes)
    case K.ARRAY:
      return fitsBytes(place, sizeOf(type.id)?.sizeBytes ?? 0, structBytes)
    case K.STRUCT:
    case K.UNION:
    case K.ENUM:
    case K.ENUM64:
      return fitsBytes(place, type.word, structBytes)
    case K.FLOAT: {
      const alignBits = Math.min(POINTER_BYTES, type.word) * 8
      if (place % alignBits !== 0) return 'Member is not properly aligned'
      return bytes + type.word > structBytes ? 'Member exceeds struct_size' : undefined
    }
    default:
      return 'Unsupported check_member'
  }
}

const isAllowed = ({ kind }: RawType): boolean =>
  kind === K.PTR || kind === K.ARRAY || kind === K.STRUCT || kind === K.UNION || kind === K.FLOAT

function fitsBytes(place: number, sizeBytes: number, structBytes: number): string | undefined {
  if (place % 8 !== 0) return 'Member is not byte aligned'
  return structBytes - place / 8 < sizeBytes ? 'Member exceeds struct_size' : undefined
}

function fitsBits(place: number, bits: number, structBytes: number): string | undefined {
  const bytes = Math.floor(place / 8)
  const copied = bits + (place % 8)
  if (copied > MOST_BITS) return 'nr_copy_bits exceeds 128'
  return structBytes - bytes < Math.ceil(copied / 8) ? 'Member exceeds struct_size' : undefined
}

function checkBitfield(
  types: RawTypes,
  type: RawType,
  place: number,
  structBytes: number,
): string | undefined {
  if (!isRegularInt(types, type)) return 'Invalid member base type'
  const whole = types.extra(type, 0) & 0xff
  const offset = place & 0xffffff
  const bits = place >>> 24
  if (bits === 0 && offset % 8 !== 0) return 'Invalid member offset'
  if (bits > whole) return 'Invalid member bitfield_size'
  return fitsBits(offset, bits === 0 ? whole : bits, structBytes)
}

function checkEnumBitfield(place: number, structBytes: number): string | undefined {
  const offset = place & 0xffffff
  const bits = place >>> 24
  if (bits === 0 && offset % 8 !== 0) return 'Member is not byte aligned'
  if (bits > INT_BITS) return 'Invalid member bitfield_size'
  const end = Math.ceil((offset + (bits === 0 ? INT_BITS : bits)) / 8)
  return structBytes < end ? 'Member exceeds struct_size' : undefined
}
