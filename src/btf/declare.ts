/**
 * Types from lines of C, added to BTF that is there: what a kernel says of functions that its operating system does not
 * have.
 *
 * Rules
 * - Known are the fixed-width integers, `bool`, `char`, `void`, structs and enumerations by name, pointers, `const`, and pointers to
 *   functions as parameters. A struct of the base is used as the base has it; one that nobody declares is empty.
 * - Members of a struct lie as C lays them out on a 64-bit machine.
 */
import type { Btf } from './btf.ts'
import { BTF_KIND, BTF_LINKAGE } from './kinds.ts'
import type { BtfId, BtfMember } from './types.ts'
import type { BtfWriter } from './writer.ts'

const VOID = 0 as BtfId
const POINTER_BYTES = 8

interface Scalar {
  readonly size: number
  readonly isSigned?: true
  readonly isBool?: true
}

const integers: Readonly<Record<string, Scalar>> = {
  int: { size: 4, isSigned: true },
  'unsigned int': { size: 4 },
  'unsigned char': { size: 1 },
  char: { size: 1, isSigned: true },
  'unsigned short': { size: 2 },
  'long int': { size: 8, isSigned: true },
  'long unsigned int': { size: 8 },
  'long long int': { size: 8, isSigned: true },
  'long long unsigned int': { size: 8 },
  _Bool: { size: 1, isBool: true },
}

const typedefs: Readonly<Record<string, string>> = {
  __u8: 'unsigned char',
  __u16: 'unsigned short',
  __u32: 'unsigned int',
  __u64: 'long long unsigned int',
  __s32: 'int',
  __s64: 'long long int',
  u8: '__u8',
  u16: '__u16',
  u32: '__u32',
  u64: '__u64',
  s32: '__s32',
  s64: '__s64',
  bool: '_Bool',
  size_t: 'long unsigned int',
  refcount_t: 'unsigned int',
}

/** Names of the integers and their typedefs that declarations may be made of. */
export const declaredScalars: readonly string[] = [...Object.keys(integers), ...Object.keys(typedefs)]

/** By name, the values by theirs. */
export type DeclaredEnums = Readonly<Record<string, Readonly<Record<string, number>>>>

export class Declarations {
  readonly #writer: BtfWriter
  readonly #base: Btf | undefined
  readonly #structs: ReadonlyMap<string, string>
  readonly #enums: DeclaredEnums
  readonly #known = new Map<string, BtfId>()

  /** `structs`: declarations `struct name { type member[count]; ... }`, made when something names them. */
  constructor(
    writer: BtfWriter,
    base: Btf | undefined,
    structs: readonly string[],
    enums: DeclaredEnums = {},
  ) {
    this.#writer = writer
    this.#base = base
    this.#enums = enums
    this.#structs = new Map(structs.map((text) => [/^struct (\w+)/.exec(text)?.[1] ?? '', text]))
  }

  /** The id of FUNC for `type name(type parameter, ...)`. */
  function(declaration: string): BtfId {
    const parts = /^(.*?)(\w+)\((.*)\)$/.exec(declaration)
    if (parts === null) throw new Error(`no function: ${declaration}`)
    const [, returns = '', name = '', parameters = ''] = parts
    const prototype = this.#prototype(returns, parameters)
    return this.#writer.add({ kind: BTF_KIND.FUNC, name, type: prototype, linkage: BTF_LINKAGE.STATIC })
  }

  /** The id of a struct, the base's or a declared one. */
  struct(name: string): BtfId {
    return this.#type(`struct ${name}`)
  }

  #prototype(returns: string, parameters: string): BtfId {
    const list = parameters === '' ? [] : splitParameters(parameters).map((text) => this.#parameter(text))
    return this.#once(`${returns}(${parameters})`, () => {
      const result = this.#type(returns)
      return this.#writer.add({
        kind: BTF_KIND.FUNC_PROTO,
        name: '',
        returns: result,
        parameters: list,
        isVariadic: false,
      })
    })
  }

  #parameter(text: string): { readonly name: string; readonly type: BtfId } {
    const callback = /^(.*)\(\*(\w+)\)\((.*)\)$/.exec(text)
    if (callback !== null) {
      const [, returns = '', name = '', parameters = ''] = callback
      const target = this.#prototype(returns, parameters)
      const type = this.#once(`${returns}(*)(${parameters})`, () => this.#pointer(target))
      return { name, type }
    }
    const [, type = '', name = ''] = /^(.*?)(\w+)$/.exec(text.trim()) ?? []
    return { name, type: this.#type(type) }
  }

  #type(text: string): BtfId {
    const words = text.trim().replace(/\s+/g, ' ').replaceAll(' *', '*')
    if (words === 'void') return VOID
    return this.#once(words, () => {
      if (words.endsWith('*')) return this.#pointer(this.#type(words.slice(0, -1)))
      if (words.startsWith('const ')) {
        const type = this.#type(words.slice('const '.length))
        return this.#writer.add({ kind: BTF_KIND.CONST, name: '', type })
      }
      if (words.startsWith('struct ')) return this.#struct(words.slice('struct '.length))
      if (words.startsWith('enum ')) return this.#enum(words.slice('enum '.length))
      return this.#scalar(words)
    })
  }

  #scalar(name: string): BtfId {
    const target = typedefs[name]
    if (target !== undefined) {
      const known = this.#base?.find(name, BTF_KIND.TYPEDEF)
      if (known !== undefined) return known
      const type = this.#type(target)
      return this.#writer.add({ kind: BTF_KIND.TYPEDEF, name, type })
    }
    const integer = integers[name]
    if (integer === undefined) throw new Error(`no type '${name}'`)
    const known = this.#base?.find(name, BTF_KIND.INT)
    if (known !== undefined) return known
    const { size, isSigned = false, isBool = false } = integer
    return this.#writer.add({
      kind: BTF_KIND.INT,
      name,
      size,
      isSigned,
      isChar: false,
      isBool,
      bits: isBool ? 8 : size * 8,
      bitOffset: 0,
    })
  }

  #enum(name: string): BtfId {
    const known = this.#base?.find(name, BTF_KIND.ENUM)
    if (known !== undefined) return known
    const values = Object.entries(this.#enums[name] ?? {}).map(([of, value]) => ({
      name: of,
      value: BigInt(value),
    }))
    return this.#writer.add({ kind: BTF_KIND.ENUM, name, size: 4, isSigned: false, values })
  }

  #struct(name: string): BtfId {
    const known = this.#base?.find(name, BTF_KIND.STRUCT)
    if (known !== undefined) return known
    const body = /\{(.*)\}/s.exec(this.#structs.get(name) ?? '')?.[1] ?? ''
    const members: BtfMember[] = []
    let size = 0
    let align = 1
    for (const line of body.split(';')) {
      const parts = /^(.*?)(\w+)(?:\[(\d+)\])?$/.exec(line.trim())
      if (parts === null) continue
      const [, type = '', member = '', count] = parts
      const one = this.#type(type)
      const bytes = this.#bytesOf(type)
      align = Math.max(align, Math.min(bytes, POINTER_BYTES))
      const alignedTo = Math.min(bytes, POINTER_BYTES)
      size = Math.ceil(size / alignedTo) * alignedTo
      members.push({
        name: member,
        type: count === undefined ? one : this.#array(one, Number(count)),
        bitOffset: size * 8,
        bitSize: 0,
      })
      size += bytes * (count === undefined ? 1 : Number(count))
    }
    size = Math.ceil(size / align) * align
    return this.#writer.add({ kind: BTF_KIND.STRUCT, name, size, members })
  }

  /** Bytes of a type as it is declared here. */
  #bytesOf(text: string): number {
    const words = text.trim()
    if (words.endsWith('*')) return POINTER_BYTES
    if (words.startsWith('struct ')) {
      const id = this.#type(words)
      const inBase = this.#base?.id(id) === undefined ? undefined : this.#base.sizeOf(id)
      return inBase ?? this.#declaredBytes(words.slice('struct '.length))
    }
    if (words.startsWith('enum ')) return 4
    return integers[words]?.size ?? this.#bytesOf(typedefs[words] ?? 'int')
  }

  #declaredBytes(name: string): number {
    const body = /\{(.*)\}/s.exec(this.#structs.get(name) ?? '')?.[1] ?? ''
    let bytes = 0
    for (const line of body.split(';')) {
      const parts = /^(.*?)(\w+)(?:\[(\d+)\])?$/.exec(line.trim())
      if (parts !== null) bytes += this.#bytesOf(parts[1] ?? '') * Number(parts[3] ?? 1)
    }
    return bytes
  }

  #array(element: BtfId, count: number): BtfId {
    const index = this.#type('int')
    return this.#writer.add({ kind: BTF_KIND.ARRAY, name: '', element, index, count })
  }

  #pointer(type: BtfId): BtfId {
    return this.#writer.add({ kind: BTF_KIND.PTR, name: '', type })
  }

  #once(key: string, make: () => BtfId): BtfId {
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const made = make()
    this.#known.set(key, made)
    return made
  }
}

/** At commas outside of parentheses. */
function splitParameters(text: string): string[] {
  const parts: string[] = []
  let depth = 0
  let from = 0
  for (let at = 0; at <= text.length; at++) {
    const c = text[at]
    if (c === '(') depth++
    else if (c === ')') depth--
    else if (c === undefined || (c === ',' && depth === 0)) {
      parts.push(text.slice(from, at).trim())
      from = at + 1
    }
  }
  return parts
}
