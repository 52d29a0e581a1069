/**
 * Codecs from the types that clang wrote into the object.
 *
 * | C | JavaScript | |
 * | --- | --- | --- |
 * | integers up to 32 bits, bit fields of them | `number` | |
 * | wider integers, pointers | `bigint` | `number` is taken, too |
 * | `bool` | `boolean` | |
 * | `float`, `double` | `number` | |
 * | enum | `number` (`bigint` from 64 bits) | its name with `enums: 'name'` |
 * | `char[n]` | `string` up to the NUL | `Uint8Array` with `charArrays: 'bytes'` |
 * | `unsigned char[n]` | `Uint8Array` | |
 * | other arrays | array | |
 * | struct | object; members of an anonymous member are the struct's own | |
 * | union | object with every member, each reading the same bytes | only members given are written |
 *
 * A value that does not fit its type is a TypeError that names the path to it.
 */
import { bytes, chars } from '../abi/index.ts'
import { BTF_KIND, type Btf, type BtfComposite, type BtfEnum, type BtfId, type BtfInt } from '../btf/index.ts'
import type { Codec } from './codec.ts'

/** What a BTF type reads as. */
export type BtfValue =
  | number
  | bigint
  | string
  | boolean
  | Uint8Array
  | readonly BtfValue[]
  | { readonly [member: string]: BtfValue }

export interface BtfCodecOptions {
  /** Default `string`. */
  readonly charArrays?: 'string' | 'bytes'
  /** Default `value`. A value without a name reads as its number in either case. */
  readonly enums?: 'value' | 'name'
}

/** Types nest at most this deep: BTF itself cannot contain itself by value, a damaged one can. */
const MAX_DEPTH = 32

/** Integers are at most `__int128`. */
const MAX_INTEGER_BYTES = 16

/**
 * Parts that a value may be read as: so many, and so many for each byte, since the members of a union read the same
 * bytes. Hostile types make any number of parts of none: arrays of empty structs, unions of unions.
 */
const MAX_PARTS = 1 << 16
const MAX_PARTS_PER_BYTE = 8

/**
 * The codec of a type, or undefined where it has no size (void, a function, a forward declaration) or is none that
 * C can say. Members that do not lie inside of their struct are left out.
 */
export function btfCodec(btf: Btf, type: BtfId, options: BtfCodecOptions = {}): Codec<BtfValue> | undefined {
  const { charArrays = 'string', enums = 'value' } = options
  return build({ btf, charArrays, enums, built: new Map() }, type, 0)
}

/** A codec that knows how many parts a value is read as. */
interface Built extends Codec<BtfValue> {
  readonly parts?: number
  /** Of a struct, union or section: for the one around it, where this has no name. */
  readonly fields?: readonly Field[]
}

interface Context {
  readonly btf: Btf
  readonly charArrays: 'string' | 'bytes'
  readonly enums: 'value' | 'name'
  /** Undefined while it is being built: what holds itself has no codec. */
  readonly built: Map<BtfId, Built | undefined>
}

function build(context: Context, id: BtfId, depth: number): Built | undefined {
  if (depth > MAX_DEPTH) return undefined
  const { btf, built } = context
  const resolved = btf.resolve(id)
  if (built.has(resolved)) return built.get(resolved)
  built.set(resolved, undefined)
  const codec = buildNew(context, resolved, depth)
  const isBounded = codec !== undefined && (codec.parts ?? 1) <= MAX_PARTS + MAX_PARTS_PER_BYTE * codec.size
  built.set(resolved, isBounded ? codec : undefined)
  return built.get(resolved)
}

function buildNew(context: Context, id: BtfId, depth: number): Built | undefined {
  const { btf } = context
  const type = btf.typeById(id)
  if (
    (type.kind === BTF_KIND.INT || type.kind === BTF_KIND.ENUM || type.kind === BTF_KIND.ENUM64) &&
    !hasWidth(type)
  )
    return undefined
  switch (type.kind) {
    case BTF_KIND.INT:
      return integer(type)
    case BTF_KIND.PTR:
      return wholeNumber(8, false)
    case BTF_KIND.ENUM:
    case BTF_KIND.ENUM64:
      return enumeration(type, context.enums)
    case BTF_KIND.FLOAT:
      return float(type.size)
    case BTF_KIND.VAR:
      return build(context, type.type, depth + 1)
    case BTF_KIND.STRUCT:
    case BTF_KIND.UNION:
      return composite(context, type, depth)
    case BTF_KIND.ARRAY: {
      const element = btf.typeById(btf.resolve(type.element))
      if (element.kind === BTF_KIND.INT && element.size === 1 && !element.isBool) {
        const isText = element.isChar || element.name === 'char'
        if (isText && context.charArrays === 'string') return text(type.count)
        if (isText || !element.isSigned) return rawBytes(type.count)
      }
      const codec = build(context, type.element, depth + 1)
      return codec && sequence(codec, type.count)
    }
    case BTF_KIND.DATASEC: {
      const members = type.variables.map((variable) => ({
        name: btf.nameOf(variable.type),
        offset: variable.offset,
        codec: build(context, variable.type, depth + 1),
      }))
      return record(
        type.size,
        members.filter(({ offset, codec }) => offset + (codec?.size ?? 0) <= type.size),
      )
    }
    default:
      return undefined
  }
}

const hasWidth = ({ size }: BtfInt | BtfEnum): boolean => size > 0 && size <= MAX_INTEGER_BYTES

function integer(type: BtfInt): Codec<BtfValue> {
  if (type.isBool) {
    return {
      size: type.size,
      get: (view, offset) => readWhole(view, offset, type.size, false) !== 0n,
      set: (view, offset, value) => writeWhole(view, offset, type.size, BigInt(expectBoolean(value))),
    }
  }
  return wholeNumber(type.size, type.isSigned)
}

function wholeNumber(size: number, isSigned: boolean): Codec<BtfValue> {
  if (size > 4) {
    return {
      size,
      get: (view, offset) => readWhole(view, offset, size, isSigned),
      set: (view, offset, value) => writeWhole(view, offset, size, expectInteger(value, size * 8)),
    }
  }
  return {
    size,
    get: (view, offset) => Number(readWhole(view, offset, size, isSigned)),
    set: (view, offset, value) => writeWhole(view, offset, size, expectInteger(value, size * 8)),
  }
}

function enumeration(type: BtfEnum, form: 'value' | 'name'): Codec<BtfValue> {
  const plain = wholeNumber(type.size, type.isSigned)
  const named = new Map(type.values.map(({ name, value }) => [name, value]))
  const names = new Map(type.values.map(({ name, value }) => [value, name]))
  return {
    size: type.size,
    get(view, offset) {
      const value = plain.get(view, offset)
      if (form === 'value') return value
      return names.get(BigInt(value as number | bigint)) ?? value
    },
    set(view, offset, value) {
      const number = typeof value === 'string' ? named.get(value) : value
      if (number === undefined) {
        throw new TypeError(`'${value}' is no value of enum ${type.name}: ${[...named.keys()].join(', ')}`)
      }
      plain.set(view, offset, number)
    },
  }
}

function float(size: number): Codec<BtfValue> | undefined {
  if (size !== 4 && size !== 8) return undefined
  return {
    size,
    get: (view, offset) => (size === 4 ? view.getFloat32(offset, true) : view.getFloat64(offset, true)),
    set(view, offset, value) {
      if (typeof value !== 'number') throw new TypeError(`expected a number, found ${describe(value)}`)
      if (size === 4) view.setFloat32(offset, value, true)
      else view.setFloat64(offset, value, true)
    },
  }
}

function text(length: number): Codec<BtfValue> {
  const codec = chars(length)
  const raw = rawBytes(length)
  return {
    size: length,
    get: codec.get,
    set(view, offset, value) {
      if (typeof value === 'string') codec.set(view, offset, value)
      else raw.set(view, offset, value)
    },
  }
}

function rawBytes(length: number): Codec<BtfValue> {
  const codec = bytes(length)
  return {
    size: length,
    get: codec.get,
    set(view, offset, value) {
      if (!(value instanceof Uint8Array) || value.length !== length) {
        throw new TypeError(`expected a Uint8Array of ${length} bytes, found ${describe(value)}`)
      }
      codec.set(view, offset, value)
    },
  }
}

function sequence(element: Built, count: number): Built {
  return {
    size: element.size * count,
    parts: count * (element.parts ?? 1) + 1,
    get: (view, offset) =>
      Array.from({ length: count }, (_, index) => element.get(view, offset + index * element.size)),
    set(view, offset, value) {
      if (!Array.isArray(value) || value.length !== count) {
        throw new TypeError(`expected an array of ${count} elements, found ${describe(value)}`)
      }
      for (const [index, item] of value.entries()) {
        at(`[${index}]`, () => element.set(view, offset + index * element.size, item))
      }
    },
  }
}

interface Field {
  readonly name: string
  /** Bytes from the start of the composite. */
  readonly offset: number
  readonly codec: Built | undefined
}

function composite(context: Context, type: BtfComposite, depth: number): Built | undefined {
  const fields: Field[] = []
  let parts = 1
  for (const member of type.members) {
    const codec = build(context, member.type, depth + 1)
    const bits = member.bitSize === 0 ? (codec?.size ?? 0) * 8 : member.bitSize
    if (member.bitOffset + bits > type.size * 8) continue
    parts += codec?.parts ?? 1
    if (parts > MAX_PARTS + MAX_PARTS_PER_BYTE * type.size) return undefined
    if (member.name !== '') {
      fields.push(
        member.bitSize === 0
          ? { name: member.name, offset: member.bitOffset / 8, codec }
          : { name: member.name, offset: 0, codec: bitField(context.btf, member, codec) },
      )
      continue
    }
    const inner = context.btf.typeById(context.btf.resolve(member.type))
    if (inner.kind !== BTF_KIND.STRUCT && inner.kind !== BTF_KIND.UNION) continue
    for (const field of codec?.fields ?? []) {
      fields.push({ ...field, offset: field.offset + member.bitOffset / 8 })
    }
  }
  return record(type.size, fields)
}

function record(size: number, fields: readonly Field[]): Built {
  const known = new Map(fields.map((field) => [field.name, field]))
  const parts = fields.reduce((sum, { codec }) => sum + (codec?.parts ?? 1), 1)
  return {
    size,
    fields,
    parts,
    get(view, offset) {
      const value: Record<string, BtfValue> = {}
      for (const { name, offset: start, codec } of fields) {
        if (codec !== undefined) value[name] = codec.get(view, offset + start)
      }
      return value
    },
    set(view, offset, value) {
      if (typeof value !== 'object' || Array.isArray(value) || value instanceof Uint8Array) {
        throw new TypeError(`expected an object, found ${describe(value)}`)
      }
      for (const [name, item] of Object.entries(value)) {
        const field = known.get(name)
        if (field?.codec === undefined) {
          throw new TypeError(`there is no member '${name}', only ${[...known.keys()].join(', ')}`)
        }
        const { codec, offset: start } = field
        at(`.${name}`, () => codec.set(view, offset + start, item))
      }
    },
  }
}

/** A bit field, addressed from the start of its struct; little endian, so bit 0 is the lowest of byte 0. */
function bitField(
  btf: Btf,
  member: { readonly type: BtfId; readonly bitOffset: number; readonly bitSize: number },
  whole: Codec<BtfValue> | undefined,
): Built | undefined {
  if (whole === undefined) return undefined
  const type = btf.typeById(btf.resolve(member.type))
  const isSigned = 'isSigned' in type && type.isSigned
  const isBool = type.kind === BTF_KIND.INT && type.isBool
  const first = member.bitOffset >> 3
  const shift = BigInt(member.bitOffset & 7)
  const bits = member.bitSize
  const count = Math.ceil(((member.bitOffset & 7) + bits) / 8)
  const mask = ((1n << BigInt(bits)) - 1n) << shift
  return {
    size: whole.size,
    get(view, offset) {
      const raw = (readWhole(view, offset + first, count, false) & mask) >> shift
      if (isBool) return raw !== 0n
      const value = isSigned ? BigInt.asIntN(bits, raw) : raw
      return whole.size > 4 ? value : Number(value)
    },
    set(view, offset, value) {
      const number = isBool ? BigInt(expectBoolean(value)) : expectInteger(value, bits)
      const before = readWhole(view, offset + first, count, false)
      const placed = (BigInt.asUintN(bits, number) << shift) & mask
      writeWhole(view, offset + first, count, (before & ~mask) | placed)
    },
  }
}

/** A little-endian integer of any number of bytes. */
function readWhole(view: DataView, offset: number, size: number, isSigned: boolean): bigint {
  let value: bigint
  if (size === 8) value = view.getBigUint64(offset, true)
  else if (size === 4) value = BigInt(view.getUint32(offset, true))
  else {
    value = 0n
    for (let index = size - 1; index >= 0; index--)
      value = (value << 8n) | BigInt(view.getUint8(offset + index))
  }
  return isSigned ? BigInt.asIntN(size * 8, value) : value
}

function writeWhole(view: DataView, offset: number, size: number, value: bigint): void {
  let rest = BigInt.asUintN(size * 8, value)
  for (let index = 0; index < size; index++) {
    view.setUint8(offset + index, Number(rest & 0xffn))
    rest >>= 8n
  }
}

/** Takes what fits `bits` bits as a signed or as an unsigned number. */
function expectInteger(value: BtfValue, bits: number): bigint {
  if (typeof value !== 'bigint' && !(typeof value === 'number' && Number.isInteger(value))) {
    throw new TypeError(`expected an integer, found ${describe(value)}`)
  }
  const integer = BigInt(value)
  if (integer < -(1n << BigInt(bits - 1)) || integer >= 1n << BigInt(bits)) {
    throw new TypeError(`${integer} does not fit ${bits} bits`)
  }
  return integer
}

function expectBoolean(value: BtfValue): boolean {
  if (typeof value === 'boolean') return value
  if (value === 0 || value === 1 || value === 0n || value === 1n) return value === 1 || value === 1n
  throw new TypeError(`expected true or false, found ${describe(value)}`)
}

function describe(value: BtfValue): string {
  if (value instanceof Uint8Array) return `a Uint8Array of ${value.length} bytes`
  if (Array.isArray(value)) return `an array of ${value.length} elements`
  return typeof value === 'object' ? 'an object' : `${typeof value} ${String(value)}`
}

/** Puts the path to a value in front of what was wrong with it. */
function at(path: string, write: () => void): void {
  try {
    write()
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    const message = /^[.[]/.test(error.message) ? error.message : `: ${error.message}`
    throw new TypeError(`${path}${message}`)
  }
}
