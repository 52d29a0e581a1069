/**
 * The numbers that relocations put into instructions.
 *
 * Each is computed twice, on the object's own types and on the target's: the first must be what the compiler wrote
 * into the instruction, the second replaces it.
 *
 * Source: Documentation/bpf/llvm_reloc.rst, CO-RE relocations, which says what each kind means.
 */
import type { Btf } from '../btf.ts'
import { BTF_KIND } from '../kinds.ts'
import type { BtfComposite, BtfEnum, BtfId, BtfType } from '../types.ts'
import type { Access } from './access.ts'
import { CORE_KIND } from './kinds.ts'
import { isAnyEnum } from './names.ts'

/** A relocation's number for one BTF. */
export interface CoreValue {
  /** Unsigned, 64 bits. */
  readonly value: bigint
  /** Whether the compiler is sure to have written the same number as this one. */
  readonly isCertain: boolean
  /** What is loaded or stored, where that may decide the width of the instruction. */
  readonly memory: { readonly bytes: number; readonly type: BtfId } | undefined
}

const certain = (value: number | bigint): CoreValue => ({
  value: BigInt.asUintN(64, BigInt(value)),
  isCertain: true,
  memory: undefined,
})

/** The number, or why there is none. `isLittleEndian`: the machine that the program runs on. */
export function coreValue(access: Access, isLittleEndian: boolean): CoreValue | string {
  const { btf, root, relocation, steps } = access
  switch (relocation) {
    case CORE_KIND.FIELD_EXISTS:
    case CORE_KIND.TYPE_EXISTS:
    case CORE_KIND.TYPE_MATCHES:
    case CORE_KIND.ENUMVAL_EXISTS:
      return certain(1)
    case CORE_KIND.TYPE_ID_LOCAL:
    case CORE_KIND.TYPE_ID_TARGET:
      // Ids change when objects are linked, so the instruction's may be another.
      return { ...certain(root), isCertain: false }
    case CORE_KIND.TYPE_SIZE: {
      const bytes = btf.sizeOf(root)
      return bytes === undefined ? 'expected a type with a size, found none' : certain(bytes)
    }
    case CORE_KIND.ENUMVAL_VALUE: {
      const [step] = steps
      const type = btf.typeById((step as Access['steps'][number]).type) as BtfEnum
      const { value } = type.values[step?.index ?? 0] as BtfEnum['values'][number]
      return certain(value)
    }
    default:
      return fieldValue(access, isLittleEndian)
  }
}

/** The number where the target has nothing that answers; `undefined` means that the instruction must not run. */
export function missingValue(relocation: number): bigint | undefined {
  switch (relocation) {
    case CORE_KIND.FIELD_EXISTS:
    case CORE_KIND.ENUMVAL_EXISTS:
    case CORE_KIND.TYPE_ID_TARGET:
    case CORE_KIND.TYPE_EXISTS:
    case CORE_KIND.TYPE_SIZE:
    case CORE_KIND.TYPE_MATCHES:
      return 0n
    default:
      return undefined
  }
}

function fieldValue(access: Access, isLittleEndian: boolean): CoreValue | string {
  const { btf, relocation, steps, bitOffset } = access
  const last = steps.at(-1) as Access['steps'][number]
  if (last.kind !== 'member') return elementValue(access, last.type)

  const member = (btf.typeById(last.type) as BtfComposite).members[
    last.index
  ] as BtfComposite['members'][number]
  const id = btf.resolve(member.type)
  const type = btf.typeById(id)
  const isBitField = member.bitSize > 0
  const place = isBitField
    ? bitFieldPlace(btf.sizeOf(id) ?? 0, bitOffset, member.bitSize)
    : plainPlace(btf.sizeOf(id), bitOffset)
  if (typeof place === 'string') return place
  const { byteOffset, bytes, bits } = place
  // Compilers differ in how they load a bit field, but not in what its sign and width are.
  const aboutPlace = (value: number): CoreValue => ({ ...certain(value), isCertain: !isBitField })
  switch (relocation) {
    case CORE_KIND.FIELD_BYTE_OFFSET: {
      const memory = isBitField ? undefined : memoryOf(btf, id)
      return { ...aboutPlace(byteOffset), memory }
    }
    case CORE_KIND.FIELD_BYTE_SIZE:
      return aboutPlace(bytes)
    case CORE_KIND.FIELD_SIGNED:
      return certain(isSigned(type) ? 1 : 0)
    case CORE_KIND.FIELD_LSHIFT_U64:
      return aboutPlace(
        isLittleEndian
          ? 64 - (bitOffset + bits - byteOffset * 8)
          : (8 - bytes) * 8 + (bitOffset - byteOffset * 8),
      )
    case CORE_KIND.FIELD_RSHIFT_U64:
      return certain(64 - bits)
    default:
      throw new Error(`relocation ${relocation} is not about a field`)
  }
}

/** An access that ends in an index has an offset and a size, but no sign and no bits. */
function elementValue({ btf, relocation, bitOffset }: Access, element: BtfId): CoreValue | string {
  const bytes = btf.sizeOf(element)
  if (bytes === undefined) return 'expected elements with a size, found none'
  if (relocation === CORE_KIND.FIELD_BYTE_OFFSET) {
    return { ...certain(Math.floor(bitOffset / 8)), memory: memoryOf(btf, element) }
  }
  if (relocation === CORE_KIND.FIELD_BYTE_SIZE) return certain(bytes)
  return 'expected a member, found an element of an array'
}

interface FieldPlace {
  readonly byteOffset: number
  readonly bytes: number
  readonly bits: number
}

function plainPlace(bytes: number | undefined, bitOffset: number): FieldPlace | string {
  if (bytes === undefined) return 'expected a member with a size, found none'
  return { byteOffset: Math.floor(bitOffset / 8), bytes, bits: bytes * 8 }
}

/** The narrowest aligned load, from the declared type's width up, that holds all bits of the field. */
function bitFieldPlace(declaredBytes: number, bitOffset: number, bits: number): FieldPlace | string {
  let bytes = Math.max(1, declaredBytes)
  for (;;) {
    const byteOffset = Math.floor(Math.floor(bitOffset / 8) / bytes) * bytes
    if (bitOffset + bits <= (byteOffset + bytes) * 8) return { byteOffset, bytes, bits }
    if (bytes >= 8)
      return `expected a bit field within 64 aligned bits, found ${bits} bits at bit ${bitOffset}`
    bytes *= 2
  }
}

/** Arrays are loaded by elements. */
function memoryOf(btf: Btf, id: BtfId): CoreValue['memory'] {
  let element = id
  for (let depth = 0; depth < 32; depth++) {
    const type = btf.typeById(element)
    if (type.kind !== BTF_KIND.ARRAY) break
    element = btf.resolve(type.element)
  }
  const bytes = btf.sizeOf(element)
  return bytes === undefined ? undefined : { bytes, type: id }
}

const isSigned = (type: BtfType): boolean =>
  (type.kind === BTF_KIND.INT || isAnyEnum(type.kind)) && (type as { isSigned: boolean }).isSigned
