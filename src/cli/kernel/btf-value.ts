/** Writes bytes as JSON by their BTF type, with the habits of bpftool's map dumps. */
import { BTF_KIND, type Btf, type BtfArray, type BtfId, type BtfInt } from '../../btf/index.ts'
import type { JsonWriter } from './json-writer.ts'

/** Types nest at most this deep. */
const MAX_DEPTH = 32

export interface BtfValueWriter {
  readonly json: JsonWriter
  readonly btf: Btf
  /** For people: bit fields and characters that cannot be printed are `0x1f`, which JSON does not know. */
  readonly isPlain: boolean
}

/** A value of type `id` in `bytes`, from their beginning. */
export function writeBtfValue(writer: BtfValueWriter, id: BtfId, bytes: Uint8Array, depth = 0): void {
  const { json, btf } = writer
  if (depth > MAX_DEPTH) {
    json.raw('"..."')
    return
  }
  const type = btf.typeById(btf.resolve(id))
  switch (type.kind) {
    case BTF_KIND.INT:
      writeInteger(writer, type, bytes)
      return
    case BTF_KIND.STRUCT:
    case BTF_KIND.UNION:
      json.object(() => {
        for (const member of type.members) {
          json.name(member.name)
          const at = member.bitOffset >> 3
          if (member.bitSize > 0) {
            writeBits(writer, readBits(bytes, member.bitOffset, member.bitSize))
          } else writeBtfValue(writer, member.type, bytes.subarray(at), depth + 1)
        }
      })
      return
    case BTF_KIND.ARRAY: {
      if (isText(btf, type, bytes)) {
        json.string(new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0))))
        return
      }
      const size = btf.sizeOf(type.element) ?? 0
      json.array(() => {
        for (let index = 0; index < type.count; index++) {
          writeBtfValue(writer, type.element, bytes.subarray(index * size), depth + 1)
        }
      })
      return
    }
    case BTF_KIND.ENUM:
    case BTF_KIND.ENUM64: {
      const value = BigInt.asIntN(type.size * 8, readBits(bytes, 0, type.size * 8))
      const name = type.values.find((one) => BigInt.asIntN(64, one.value) === value)?.name
      if (name === undefined) json.number(value)
      else json.string(name)
      return
    }
    case BTF_KIND.PTR: {
      const value = readBits(bytes, 0, 64)
      if (!writer.isPlain) json.number(value)
      else json.raw(value === 0n ? '"(nil)"' : `"0x${value.toString(16)}"`)
      return
    }
    case BTF_KIND.VAR:
      json.object(() => {
        json.name(type.name)
        writeBtfValue(writer, type.type, bytes, depth + 1)
      })
      return
    case BTF_KIND.DATASEC:
      json.object(() => {
        json.name(type.name).array(() => {
          for (const { type: variable, offset } of type.variables) {
            writeBtfValue(writer, variable, bytes.subarray(offset), depth + 1)
          }
        })
      })
      return
    default:
      // bpftool stops here with an invalid document; floats are the one kind that maps have and it does not know.
      json.raw('"(unsupported-kind)"')
  }
}

function writeInteger(writer: BtfValueWriter, type: BtfInt, bytes: Uint8Array): void {
  const { json, isPlain } = writer
  if (type.bitOffset !== 0 || type.bits % 8 !== 0 || ![8, 16, 32, 64].includes(type.bits)) {
    writeBits(writer, readBits(bytes, type.bitOffset, type.bits))
    return
  }
  const value = readBits(bytes, 0, type.bits)
  if (type.isChar) {
    const code = Number(value)
    if (code >= 0x20 && code < 0x7f) json.raw(`"${String.fromCharCode(code)}"`)
    else json.raw(isPlain ? `0x${code.toString(16)}` : `"\\u00${code.toString(16).padStart(2, '0')}"`)
    return
  }
  if (type.isBool) json.boolean(value !== 0n)
  else json.number(type.isSigned ? BigInt.asIntN(type.bits, value) : value)
}

function writeBits({ json, isPlain }: BtfValueWriter, value: bigint): void {
  const text = `0x${value.toString(16)}`
  json.raw(isPlain ? text : `"${text}"`)
}

/** `count` bits from bit `start`, unsigned. */
function readBits(bytes: Uint8Array, start: number, count: number): bigint {
  const first = start >> 3
  const last = Math.ceil((start + count) / 8)
  let value = 0n
  for (let at = last - 1; at >= first; at--) value = (value << 8n) | BigInt(bytes[at] ?? 0)
  return BigInt.asUintN(count, value >> BigInt(start & 7))
}

/** Whether an array of `char` holds printable text with an end. */
function isText(btf: Btf, array: BtfArray, bytes: Uint8Array): boolean {
  if (array.count === 0) return false
  const element = btf.typeById(plainId(btf, array.element))
  if (element.kind !== BTF_KIND.INT || element.size !== 1) return false
  if (!element.isChar && element.name !== 'char') return false
  for (let at = 0; at < array.count; at++) {
    const byte = bytes[at] ?? 0
    if (byte === 0) return true
    if (byte <= 0x1f || byte >= 0x7f) return false
  }
  return false
}

/** Past const and volatile, but not past a typedef: what is called otherwise than `char` is no text. */
function plainId(btf: Btf, id: BtfId): BtfId {
  for (let step = 0; step < MAX_DEPTH; step++) {
    const type = btf.typeById(id)
    if (
      type.kind !== BTF_KIND.CONST &&
      type.kind !== BTF_KIND.VOLATILE &&
      type.kind !== BTF_KIND.RESTRICT &&
      type.kind !== BTF_KIND.TYPE_TAG
    ) {
      return id
    }
    id = type.type
  }
  return id
}
